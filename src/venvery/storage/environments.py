"""Questions about environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from venvery.storage.compression import pack, unpack
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Environments", "StoredEnvironment"]

TOUCH_EVERY = 3600.0
"""Seconds; `last_used` is no finer than this, so that a busy server does not write with every download."""

MOST_TOUCHED = 100_000

_GET = "SELECT key, manifest, lock, created_at, last_used_at FROM environments WHERE key = :key"
_NEWEST = """
    SELECT key, manifest, lock, created_at, last_used_at FROM environments
    ORDER BY last_used_at DESC, key LIMIT :most
"""
_PUT = upsert("environments", ("key", "manifest", "lock", "created_at", "last_used_at"), key=("key",))
_LAST_USED = "SELECT last_used_at FROM environments WHERE key = :key"
_OLDEST_KEPT = "SELECT last_used_at FROM environments ORDER BY last_used_at DESC LIMIT 1 OFFSET :others"
_TOUCH = "UPDATE environments SET last_used_at = :now WHERE key = :key"


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
        self._touched: dict[str, float] = {}
        """When each was noted last by this process."""

    def get(self, key: str) -> StoredEnvironment | None:
        """Give an environment; None when there is none under that key."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, key=key)
        return None if row is None else _stored(row)

    def newest(self, most: int) -> list[StoredEnvironment]:
        """Give the environments that were used last."""
        with self._database.look() as transaction:
            return [_stored(row) for row in transaction.rows(_NEWEST, most=most)]

    def put(self, key: str, manifest: dict[str, Any], lock: dict[str, Any]) -> None:
        """Remember an environment all of whose layers are safely stored; the same key again replaces it."""
        now = self._database.clock()
        row = {"manifest": pack(manifest), "lock": pack(lock), "created_at": now, "last_used_at": now}
        with self._database.change() as transaction:
            transaction.do(_PUT, key=key, **row)

    def touch(self, key: str) -> None:
        """Note that an environment was used now; writes at most once an hour for each."""
        now = self._database.clock()
        if now - self._touched.get(key, float("-inf")) < TOUCH_EVERY:
            return
        if len(self._touched) > MOST_TOUCHED:
            self._touched.clear()
        self._touched[key] = now
        with self._database.look() as transaction:
            last = transaction.value(_LAST_USED, key=key)
        if last is None or now - last < TOUCH_EVERY:
            return
        with self._database.change() as transaction:
            transaction.do(_TOUCH, key=key, now=now)

    def keep_newest(self, most: int) -> int:
        """Forget all environments but the `most` that were used last; say how many."""
        with self._database.change() as transaction:
            before = int(transaction.value("SELECT count(*) FROM environments"))
            oldest = transaction.value(_OLDEST_KEPT, others=most - 1)
            if oldest is not None:
                transaction.do("DELETE FROM environments WHERE last_used_at < :oldest", oldest=oldest)
            return before - int(transaction.value("SELECT count(*) FROM environments"))

    def list_keys(self) -> list[str]:
        """List all keys."""
        with self._database.look() as transaction:
            return [key for (key,) in transaction.rows("SELECT key FROM environments ORDER BY key")]

    def forget(self, key: str) -> None:
        """Drop an environment, as when it cannot be read."""
        with self._database.change() as transaction:
            transaction.do("DELETE FROM environments WHERE key = :key", key=key)

    def count(self) -> int:
        """Count the environments."""
        with self._database.look() as transaction:
            return int(transaction.value("SELECT count(*) FROM environments"))


def _stored(row: Sequence[Any]) -> StoredEnvironment:
    return StoredEnvironment(row[0], unpack(row[1]), unpack(row[2]), row[3], row[4])
