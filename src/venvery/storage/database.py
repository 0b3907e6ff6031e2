"""The database: opened, brought up to date, and read and written in short transactions.

SQLite today, in WAL mode: many readers and one writer, over several processes. Every write transaction
begins with `BEGIN IMMEDIATE`, so that it waits for its turn at the start instead of failing at the end.
`synchronous=NORMAL` survives the death of the process; after a power cut the last moments may be missing,
which for what can be fetched again is no loss. What cannot (uploads, tokens) is written with `lasting=True`.

The questions of every day are plain SQL (`look` and `change`). Rare ones may use SQLAlchemy Core (`read` and
`write`), which is imported when the first of them is asked.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.errors import StorageFailed
from venvery.storage.answers import Answers
from venvery.storage.built import Built
from venvery.storage.environments import Environments
from venvery.storage.files import Files
from venvery.storage.holdings import Holdings
from venvery.storage.hosted import Hosted
from venvery.storage.jobs import Jobs
from venvery.storage.journal import Journal
from venvery.storage.layers import Layers
from venvery.storage.listings import Listings
from venvery.storage.metadata import Metadata
from venvery.storage.pages import Pages
from venvery.storage.revisions import REVISIONS
from venvery.storage.sources import Sources
from venvery.storage.tokens import Tokens
from venvery.storage.transactions import Pool, Transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["Database", "Watch"]

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write transaction."""
_REVISION = "SELECT version_num FROM alembic_version"


class Database:
    """All tables behind named questions, one attribute for each subject. Safe to use from any thread."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._path = path
        self._pool = Pool(lambda: _connect(path))
        self._engine: Engine | None = None
        self._making_engine = threading.Lock()
        self.sources = Sources(self)
        self.listings = Listings(self)
        self.metadata = Metadata(self)
        self.files = Files(self)
        self.layers = Layers(self)
        self.environments = Environments(self)
        self.answers = Answers(self)
        self.hosted = Hosted(self)
        self.journal = Journal(self)
        self.tokens = Tokens(self)
        self.holdings = Holdings(self)
        self.jobs = Jobs(self)
        self.built = Built(self)
        self.pages = Pages(self)

    @classmethod
    def open_file(cls, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> Database:
        """Open the SQLite file at `path`, making it or bringing it up to date where needed.

        Raises `StorageFailed` when it cannot be used: no right, no space, corrupt, made by a newer venvery.
        """
        with _storage_errors():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        database = cls(Path(path), clock=clock)
        try:
            database._bring_up_to_date()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._engine is not None:
            self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def look(self) -> Iterator[Transaction]:
        """Open a transaction in plain SQL that only reads. Raises `StorageFailed`."""
        with _storage_errors(), self._pool.transaction("BEGIN") as transaction:
            yield transaction

    @contextlib.contextmanager
    def change(self, *, lasting: bool = False) -> Iterator[Transaction]:
        """Open a transaction in plain SQL that may write, once it is its turn. Raises `StorageFailed`.

        `lasting`: what cannot be fetched again; when the context has ended it survives a power cut.
        """
        with _storage_errors(), self._pool.transaction("BEGIN IMMEDIATE", lasting=lasting) as transaction:
            yield transaction

    def watch(self) -> Watch:
        """Give what tells whether anybody has changed anything. Raises `StorageFailed`."""
        with _storage_errors():
            return Watch(_connect(self._path))

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's way to the same database."""
        with self._making_engine:
            if self._engine is None:
                self._engine = _engine(self._path)
            return self._engine

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction of SQLAlchemy that only reads. Raises `StorageFailed`."""
        with _storage_errors(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction of SQLAlchemy that may write, once it is its turn. Raises `StorageFailed`."""
        with _storage_errors(), self.engine.execution_options(venvery_write=True).begin() as connection:
            yield connection

    def _bring_up_to_date(self) -> None:
        with self.look() as transaction:
            if _revision(transaction) == REVISIONS[-1]:
                return
        with self.change() as transaction:  # whoever is first does it; the others find it done
            revision = _revision(transaction)
            if revision is None:
                _create(transaction)
            elif revision not in REVISIONS:
                raise StorageFailed(
                    f"the data folder was last used by a newer venvery (its revision is {revision!r})",
                    hint="use that version again, or another data folder",
                )
        if revision not in (None, REVISIONS[-1]):
            with self.write() as connection:
                _migrate(connection)


class Watch:
    """Tells whether any process has changed the database, for next to nothing. Belongs to one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seen = -1

    def changed(self) -> bool:
        """Tell whether anything was committed since the last time that this was asked. Raises `StorageFailed`."""
        with _storage_errors():
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        changed = version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        """Close its connection."""
        self._connection.close()


def _revision(transaction: Transaction) -> str | None:
    """Give the revision of the database's schema; None when the database is empty."""
    try:
        value = transaction.value(_REVISION)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return None if value is None else str(value)


def _create(transaction: Transaction) -> None:
    """Make what all migrations would make, without the time that it takes to import Alembic."""
    for statement in Path(__file__).with_name("schema.sql").read_text("utf-8").split(";\n"):
        transaction.do(statement)
    transaction.do("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    transaction.do("INSERT INTO alembic_version VALUES (:head)", head=REVISIONS[-1])


def _migrate(connection: Connection) -> None:
    """Take the steps that are missing; none when another process was first."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _engine(path: Path) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=24,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
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


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn what the driver and the system say into `StorageFailed`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _failed(error) from error
    except Exception as error:
        cause = getattr(error, "orig", None)  # SQLAlchemy wraps what the driver raises
        if isinstance(cause, sqlite3.Error):
            raise _failed(cause) from error
        raise


def _failed(error: BaseException) -> StorageFailed:
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
