"""PostgreSQL: the same tables for many processes on many machines. Needs the extra `fleet` (psycopg 3).

Transactions that write take turns, as they do in SQLite: each begins by taking one advisory lock. So whatever
was looked at within one is still so when it commits, and no transaction ever has to be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from venvery.errors import BadConfiguration, StorageFailed
from venvery.model.sources import redact
from venvery.storage.transactions import Transaction

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

__all__ = ["Postgres"]

_TURN = 0x76656E76657279
"""The advisory lock of all who write: `venvery`, as a number."""
_CONNECT_TIMEOUT = 10
_NAMED = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")


class Postgres:
    """A database on a PostgreSQL server."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise BadConfiguration(
                "a PostgreSQL database needs psycopg", hint="pip install 'venvery[fleet]'"
            ) from None
        self._psycopg = psycopg
        self._url = url
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def prepare(self) -> None:
        """Do nothing: the database is made by whoever runs the server."""

    def connect(self) -> _Link:
        """Open a connection."""
        raw = self._psycopg.connect(
            self._url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT, application_name="venvery"
        )
        return _Link(raw)

    def begin(self, connection: Any, *, write: bool, lasting: bool) -> None:
        """Begin a transaction; one that writes waits for its turn. What is committed is on the disk."""
        connection.execute("BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if write:
            connection.execute("SELECT pg_advisory_xact_lock(:turn)", {"turn": _TURN})
            if not lasting:
                connection.execute("SET LOCAL synchronous_commit = off")

    def ended(self, connection: Any, *, lasting: bool) -> None:
        """Do nothing: what was set was set for the transaction alone."""

    def revision(self, transaction: Transaction) -> str | None:
        """Give the revision of the schema; None when the database is empty."""
        if transaction.value("SELECT to_regclass('alembic_version')") is None:
            return None
        value = transaction.value("SELECT version_num FROM alembic_version")
        return None if value is None else str(value)

    def create(self, transaction: Transaction, revision: str) -> None:
        """Make what all migrations would make."""
        from venvery.storage.schema import as_sql

        for statement in as_sql("postgresql").split(";\n"):
            transaction.do(statement)
        transaction.do("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        transaction.do("INSERT INTO alembic_version VALUES (:head)", head=revision)

    def change_mark(self, connection: Any) -> object:
        """Give a value that is another one after anybody else has committed anything.

        It names all transactions that are under way; so it changes when one of them ends, too.
        """
        return connection.execute("SELECT pg_current_snapshot()::text").fetchone()[0]

    def damage(self, _transaction: Transaction, *, deep: bool) -> list[str]:
        """Give nothing: looking after its own files is the server's work."""
        return []

    def size(self, transaction: Transaction) -> int:
        """Give the bytes that the database takes."""
        return int(transaction.value("SELECT pg_database_size(current_database())"))

    def engine(self) -> Engine:
        """Make SQLAlchemy's way to the same database."""
        from sqlalchemy import create_engine, event

        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: self._psycopg.connect(self._url), pool_size=4, max_overflow=8
        )
        event.listen(engine, "begin", _wait_for_turn)
        return engine

    def failed(self, error: BaseException) -> StorageFailed:
        """Say what an error of the driver means."""
        said = redact(" ".join(str(error).split()))
        if isinstance(error, self._psycopg.OperationalError) and getattr(error, "sqlstate", None) is None:
            return StorageFailed(
                f"the database does not answer: {said}",
                hint="see database in the configuration, and the server's log",
            )
        if getattr(error, "sqlstate", None) == "53100":
            return StorageFailed("the disk of the database is full", hint="free some space on its machine")
        return StorageFailed(f"the database cannot be used: {said}")


class _Link:
    """A connection that takes SQL as the questions are written: parameters go by name, `:project`."""

    __slots__ = ("_raw",)

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.info.transaction_status != 0

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Run one statement."""
        return self._raw.execute(_translated(sql), _plain(parameters or {}))

    def executemany(self, sql: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Run one statement with each row of parameters."""
        with self._raw.cursor() as cursor:
            cursor.executemany(_translated(sql), [_plain(row) for row in rows])

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()


def _wait_for_turn(connection: Connection) -> None:
    if connection.get_execution_options().get("venvery_write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")


def _plain(parameters: Mapping[str, object]) -> Mapping[str, object]:
    """Write truth as 0 and 1, as all our columns have it."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in parameters.items()}


@lru_cache(maxsize=1024)
def _translated(sql: str) -> Any:
    """Write the parameters as psycopg has them."""
    return _NAMED.sub(r"%(\1)s", sql.replace("%", "%%"))
