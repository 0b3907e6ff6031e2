"""Questions about remembered answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from venvery.storage.compression import pack, pack_written, unpack
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Answers", "NewAnswer", "StoredAnswer"]

_GET = "SELECT lock, footprint, created_at, ends_at FROM answers WHERE request = :request"
_PUT = upsert(
    "answers", ("request", "lock", "footprint", "created_at", "last_used_at", "ends_at"), key=("request",)
)
_LAST_USED = "SELECT last_used_at FROM answers WHERE request = :request"
_TOUCH = "UPDATE answers SET last_used_at = :now WHERE request = :request"
_OLDEST_KEPT = "SELECT last_used_at FROM answers ORDER BY last_used_at DESC LIMIT 1 OFFSET :before"
_FORGET = "DELETE FROM answers WHERE last_used_at < :oldest"

TOUCH_EVERY = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """An answer that is to be remembered."""

    lock: bytes
    """Its document, as JSON."""
    footprint: dict[str, str]
    ends_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, and what it rests on."""

    lock: dict[str, Any]
    footprint: dict[str, str]
    """The revision of every listing that was looked at."""
    created: float
    ends_at: float | None = None
    """From when on it has to be found anew, whatever it rests on; None: never."""


class Answers:
    """Answers by the digest of their request; true exactly as long as their footprint is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, request: str) -> StoredAnswer | None:
        """Give what was remembered for a request; whether it still holds, the caller must check."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, request=request)
        return None if row is None else StoredAnswer(unpack(row[0]), unpack(row[1]), row[2], row[3])

    def put_many(self, answers: Mapping[str, NewAnswer]) -> None:
        """Remember answers by the digest of their request; the same request again replaces the older one."""
        now = self._database.clock()
        rows = [
            {
                "request": request,
                "lock": pack_written(answer.lock),
                "footprint": pack(answer.footprint),
                "ends_at": answer.ends_at,
                "created_at": now,
                "last_used_at": now,
            }
            for request, answer in answers.items()
        ]
        with self._database.change() as transaction:
            transaction.do_many(_PUT, rows)

    def touch(self, request: str) -> None:
        """Note that an answer was used now; writes at most once an hour for each."""
        now = self._database.clock()
        with self._database.look() as transaction:
            last = transaction.value(_LAST_USED, request=request)
        if last is None or now - last < TOUCH_EVERY:
            return
        with self._database.change() as transaction:
            transaction.do(_TOUCH, request=request, now=now)

    def requests(self) -> list[str]:
        """List the digests of all requests that have an answer."""
        with self._database.look() as transaction:
            return [request for (request,) in transaction.rows("SELECT request FROM answers ORDER BY request")]

    def forget(self, request: str) -> None:
        """Drop an answer, as when it cannot be read."""
        with self._database.change() as transaction:
            transaction.do("DELETE FROM answers WHERE request = :request", request=request)

    def keep_newest(self, most: int) -> None:
        """Forget all answers but the `most` that were used last."""
        with self._database.change() as transaction:
            oldest = transaction.value(_OLDEST_KEPT, before=most - 1)
            if oldest is not None:
                transaction.do(_FORGET, oldest=oldest)
