"""Questions about remembered answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, update

from venvery.storage import schema
from venvery.storage.compression import pack, unpack
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Answers", "StoredAnswer"]

_table = schema.answers
_get = select(_table).where(_table.c.request == bindparam("request"))

TOUCH_EVERY = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, and what it rests on."""

    lock: dict[str, Any]
    footprint: dict[str, str]
    """The revision of every listing that was looked at."""
    created: float


class Answers:
    """Answers by the digest of their request; true exactly as long as their footprint is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, request: str) -> StoredAnswer | None:
        """Give what was remembered for a request; whether it still holds, the caller must check."""
        with self._database.read() as connection:
            row = connection.execute(_get, {"request": request}).one_or_none()
        return None if row is None else StoredAnswer(unpack(row.lock), unpack(row.footprint), row.created_at)

    def put(self, request: str, lock: dict[str, Any], footprint: dict[str, str]) -> None:
        """Remember an answer; the same request again replaces it."""
        now = self._database.clock()
        row = {
            "request": request,
            "lock": pack(lock),
            "footprint": pack(footprint),
            "created_at": now,
            "last_used_at": now,
        }
        with self._database.write() as connection:
            connection.execute(upsert(connection, _table), row)

    def touch(self, request: str) -> None:
        """Note that an answer was used now; writes at most once an hour for each."""
        now = self._database.clock()
        with self._database.read() as connection:
            last = connection.execute(select(_table.c.last_used_at).where(_table.c.request == request)).scalar()
        if last is None or now - last < TOUCH_EVERY:
            return
        with self._database.write() as connection:
            connection.execute(update(_table).where(_table.c.request == request).values(last_used_at=now))

    def keep_newest(self, most: int) -> None:
        """Forget all answers but the `most` that were used last."""
        kept = select(_table.c.last_used_at).order_by(_table.c.last_used_at.desc()).offset(most - 1).limit(1)
        with self._database.write() as connection:
            oldest = connection.execute(kept).scalar()
            if oldest is not None:
                connection.execute(delete(_table).where(_table.c.last_used_at < oldest))
