"""`INSERT … ON CONFLICT`, which SQLite and PostgreSQL spell alike but SQLAlchemy does not."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert_new", "upsert"]


def upsert(connection: Connection, table: Table) -> Any:
    """Insert rows; where the primary key is taken, replace every other column."""
    return _statement(connection.dialect.name, table, True)


def insert_new(connection: Connection, table: Table) -> Any:
    """Insert rows; where the primary key is taken, leave what is there."""
    return _statement(connection.dialect.name, table, False)


@lru_cache(maxsize=64)
def _statement(dialect: str, table: Table, replace: bool) -> Any:
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    if not replace:
        return insert.on_conflict_do_nothing()
    keys = [column.name for column in table.primary_key]
    others = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)
