"""SQLite: one file in the data folder, in WAL mode: many readers and one writer, over several processes.

Every write transaction begins with `BEGIN IMMEDIATE`, so that it waits for its turn at the start instead of
failing at the end. `synchronous=NORMAL` survives the death of the process; after a power cut the last moments
may be missing, which for what can be fetched again is no loss. What cannot is written with `lasting=True`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.errors import StorageFailed
from venvery.storage.transactions import Transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["Sqlite"]

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write transaction."""


class Sqlite:
    """A database in one file."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def prepare(self) -> None:
        """Make the folder that the file is in. Raises `OSError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def connect(self) -> sqlite3.Connection:
        """Open a connection."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            _set_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA mmap_size=268435456")
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, connection: Any, *, write: bool, lasting: bool) -> None:
        """Begin a transaction; one that writes waits for its turn."""
        if lasting:
            connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def ended(self, connection: Any, *, lasting: bool) -> None:
        """Put a connection back to how it was before a transaction."""
        if lasting and not connection.in_transaction:
            connection.execute("PRAGMA synchronous=NORMAL")

    def revision(self, transaction: Transaction) -> str | None:
        """Give the revision of the schema; None when the database is empty."""
        try:
            value = transaction.value("SELECT version_num FROM alembic_version")
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
        return None if value is None else str(value)

    def create(self, transaction: Transaction, revision: str) -> None:
        """Make what all migrations would make, without the time that it takes to import Alembic."""
        for statement in Path(__file__).with_name("schema.sql").read_text("utf-8").split(";\n"):
            transaction.do(statement)
        transaction.do("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        transaction.do("INSERT INTO alembic_version VALUES (:head)", head=revision)

    def change_mark(self, connection: Any) -> object:
        """Give a value that is another one after anybody else has committed anything."""
        return connection.execute("PRAGMA data_version").fetchone()[0]

    def damage(self, transaction: Transaction, *, deep: bool) -> list[str]:
        """Give what is wrong with the database itself."""
        said = transaction.rows("PRAGMA integrity_check" if deep else "PRAGMA quick_check")
        return [str(line) for (line,) in said if line != "ok"]

    def size(self, _transaction: Transaction) -> int:
        """Give the size of the database without its log of late changes, which pruning itself makes longer."""
        return self.path.stat().st_size

    def engine(self) -> Engine:
        """Make SQLAlchemy's way to the same database."""
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import QueuePool

        engine = create_engine(
            "sqlite://", creator=self.connect, poolclass=QueuePool, pool_size=8, max_overflow=24
        )
        event.listen(engine, "begin", _begin)
        return engine

    def failed(self, error: BaseException) -> StorageFailed:
        """Say what an error of the driver or the system means."""
        said = str(error)
        if "full" in said or "No space left" in said:
            return StorageFailed(
                "the disk of the data folder is full",
                hint="free some space, or choose another folder with --data",
            )
        if "malformed" in said or "not a database" in said:
            return StorageFailed(
                "the database in the data folder is damaged",
                hint="move its venvery.sqlite aside; what can be fetched will be fetched again",
            )
        if "locked" in said:
            return StorageFailed("the database in the data folder is locked by another process for too long")
        return StorageFailed(f"the database in the data folder cannot be used: {said}")


def _set_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait for its turn here, so several first starts at once must."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("venvery_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
