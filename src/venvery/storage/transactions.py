"""Transactions in plain SQL, written so that SQLite and PostgreSQL both understand it.

Parameters go by name (`:project`). The questions of every day are asked this way: a command that answers from
what it knows then does without importing SQLAlchemy, which takes longer than all the rest of its work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from venvery.errors import StorageFailed

__all__ = ["Driver", "Link", "Pool", "Transaction", "upsert"]

Row = tuple[Any, ...]

_AT_ONCE = 400
"""Values in one list; databases limit the parameters of a statement."""
_IDLE = 8
"""Connections that are kept open while nobody uses them."""


class Link(Protocol):
    """A connection to a database, in autocommit mode. `sqlite3.Connection` is one."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement, and give a cursor."""

    def executemany(self, sql: str, rows: Any, /) -> Any:
        """Run one statement with each row of parameters."""

    def close(self) -> None:
        """Close the connection."""


class Driver(Protocol):
    """What databases differ in."""

    errors: tuple[type[Exception], ...]
    """What its library raises."""

    def prepare(self) -> None: ...
    def connect(self) -> Link: ...
    def begin(self, connection: Link, *, write: bool, lasting: bool) -> None: ...
    def ended(self, connection: Link, *, lasting: bool) -> None: ...
    def revision(self, transaction: Transaction) -> str | None: ...
    def create(self, transaction: Transaction, revision: str) -> None: ...
    def change_mark(self, connection: Link) -> object: ...
    def damage(self, transaction: Transaction, *, deep: bool) -> list[str]: ...
    def size(self, transaction: Transaction) -> int: ...
    def engine(self) -> Engine: ...
    def failed(self, error: BaseException) -> StorageFailed: ...


class Transaction:
    """One transaction, for as long as its context is open."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Link) -> None:
        self._connection = connection

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """Give all rows."""
        found: list[Row] = self._connection.execute(sql, parameters).fetchall()
        return found

    def row(self, sql: str, **parameters: object) -> Row | None:
        """Give the first row; None when there is none."""
        row: Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def value(self, sql: str, **parameters: object) -> Any:
        """Give the first row's first column; None when there is no row."""
        row = self.row(sql, **parameters)
        return None if row is None else row[0]

    def rows_among(self, sql: str, among: Sequence[object], **parameters: object) -> Iterator[Row]:
        """Give all rows for any number of values; `:among` stands for their list, as in `x IN :among`."""
        for start in range(0, len(among), _AT_ONCE):
            part = among[start : start + _AT_ONCE]
            names = ", ".join(f":among{number}" for number in range(len(part)))
            values = {f"among{number}": value for number, value in enumerate(part)}
            yield from self._connection.execute(sql.replace(":among", f"({names})"), {**parameters, **values})

    def do(self, sql: str, **parameters: object) -> None:
        """Do one thing."""
        self._connection.execute(sql, parameters)

    def do_many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Do the same with each row of parameters."""
        self._connection.executemany(sql, rows)


def upsert(table: str, columns: Sequence[str], *, key: Sequence[str], replace: bool = True) -> str:
    """Write an insertion; where the key is taken, every other column is replaced, or all is left as it is."""
    others = [column for column in columns if column not in key]
    update = f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}" if replace else ""
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)}) "
        f"ON CONFLICT ({', '.join(key)}) {update or 'DO NOTHING'}"
    )


class Pool:
    """Connections that are open; whoever needs one while all are taken opens another."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._idle: list[Link] = []
        self._closed = False

    @contextlib.contextmanager
    def transaction(self, *, write: bool, lasting: bool = False) -> Iterator[Transaction]:
        """Open a transaction; it is undone when its context ends with an error.

        `lasting`: it is on the disk, and not only with the system, when the context has ended.
        """
        connection = self._take()
        try:
            self._driver.begin(connection, write=write, lasting=lasting)
            yield Transaction(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(*self._driver.errors):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        finally:
            self._driver.ended(connection, lasting=lasting)
            self._give(connection)

    def close(self) -> None:
        """Close all that nobody uses; the others when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Link:
        try:
            return self._idle.pop()
        except IndexError:
            return self._driver.connect()

    def _give(self, connection: Link) -> None:
        if self._closed or connection.in_transaction or len(self._idle) >= _IDLE:
            connection.close()
        else:
            self._idle.append(connection)
