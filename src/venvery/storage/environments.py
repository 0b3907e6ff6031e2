"""Questions about environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from venvery.storage import schema
from venvery.storage.compression import pack, unpack
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Environments", "StoredEnvironment"]

TOUCH_EVERY = 3600.0
"""Seconds; `last_used` is no finer than this, so that a busy server does not write with every download."""

_table = schema.environments
_get = select(_table).where(_table.c.key == bindparam("key"))


@dataclass(frozen=True, slots=True)
class StoredEnvironment:
    """An environment as it was assembled."""

    key: str
    manifest: dict[str, Any]
    lock: dict[str, Any]
    created: float
    last_used: float
    """Seconds since the epoch; may lag by an hour."""


class Environments:
    """Environments by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> StoredEnvironment | None:
        """Give an environment; None when there is none under that key."""
        with self._database.read() as connection:
            row = connection.execute(_get, {"key": key}).one_or_none()
        if row is None:
            return None
        return StoredEnvironment(row.key, unpack(row.manifest), unpack(row.lock), row.created_at, row.last_used_at)

    def put(self, key: str, manifest: dict[str, Any], lock: dict[str, Any]) -> None:
        """Remember an environment all of whose layers are safely stored; the same key again replaces it."""
        now = self._database.clock()
        row = {
            "key": key,
            "manifest": pack(manifest),
            "lock": pack(lock),
            "created_at": now,
            "last_used_at": now,
        }
        with self._database.write() as connection:
            connection.execute(upsert(connection, _table), row)

    def touch(self, key: str) -> None:
        """Note that an environment was used now; writes at most once an hour for each."""
        now = self._database.clock()
        with self._database.read() as connection:
            last = connection.execute(select(_table.c.last_used_at).where(_table.c.key == key)).scalar()
        if last is None or now - last < TOUCH_EVERY:
            return
        with self._database.write() as connection:
            connection.execute(update(_table).where(_table.c.key == key).values(last_used_at=now))

    def count(self) -> int:
        """Count the environments."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(_table)).scalar_one())
