"""Questions about remembered answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from venvery.storage import schema
from venvery.storage.compression import pack, unpack
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Answers", "StoredAnswer"]

_table = schema.answers
_get = select(_table).where(_table.c.request == bindparam("request"))


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
