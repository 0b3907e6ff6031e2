"""Transactions in plain SQL, written so that SQLite and PostgreSQL both understand it.

Parameters go by name (`:project`). The questions of every day are asked this way: a command that answers from
what it knows then does without importing SQLAlchemy, which takes longer than all the rest of its work.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

__all__ = ["Pool", "Transaction", "upsert"]

Row = tuple[Any, ...]

_AT_ONCE = 400
"""Values in one list; databases limit the parameters of a statement."""
_IDLE = 8
"""Connections that are kept open while nobody uses them."""


class Transaction:
    """One transaction, for as long as its context is open."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """Give all rows."""
        return self._connection.execute(sql, parameters).fetchall()

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

    def do_many(self, sql: str, rows: Iterable[dict[str, Any]]) -> None:
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

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextlib.contextmanager
    def transaction(self, begin: str, *, lasting: bool = False) -> Iterator[Transaction]:
        """Open a transaction; it is undone when its context ends with an error.

        `lasting`: it is on the disk, and not only with the system, when the context has ended.
        """
        connection = self._take()
        try:
            if lasting:
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute(begin)
            yield Transaction(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        finally:
            if lasting and not connection.in_transaction:
                connection.execute("PRAGMA synchronous=NORMAL")
            self._give(connection)

    def close(self) -> None:
        """Close all that nobody uses; the others when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give(self, connection: sqlite3.Connection) -> None:
        if self._closed or connection.in_transaction or len(self._idle) >= _IDLE:
            connection.close()
        else:
            self._idle.append(connection)
