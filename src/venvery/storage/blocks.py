"""Questions about releases that administrators blocked while the server runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvery.errors import NotFound
from venvery.storage.journal import Note, write_down
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Block", "Blocks"]

_COLUMNS = ("pattern", "specifier", "reason", "blocked_at", "blocked_by")
_PUT = upsert("blocks", _COLUMNS, key=("pattern", "specifier"))
_DROP = "DELETE FROM blocks WHERE pattern = :pattern AND specifier = :specifier"


@dataclass(frozen=True, slots=True)
class Block:
    """Releases that nobody gets."""

    pattern: str
    specifier: str
    reason: str
    at: float
    by: str


class Blocks:
    """What is blocked, beside what the configuration blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Block]:
        """List what is blocked."""
        with self._database.look() as transaction:
            rows = transaction.rows(f"SELECT {', '.join(_COLUMNS)} FROM blocks ORDER BY pattern, specifier")
        return [Block(*row) for row in rows]

    def add(self, pattern: str, specifier: str, reason: str, *, who: str) -> None:
        """Block releases from now on."""
        now = self._database.clock()
        row = {"pattern": pattern, "specifier": specifier, "reason": reason, "blocked_at": now, "blocked_by": who}
        with self._database.change(lasting=True) as transaction:
            transaction.do(_PUT, **row)
            note = Note("block", project=pattern, version=specifier or None, detail=reason or None)
            write_down(transaction, now, who, note)

    def remove(self, pattern: str, specifier: str, *, who: str) -> None:
        """Block them no longer. Raises `NotFound`."""
        about = {"pattern": pattern, "specifier": specifier}
        with self._database.change(lasting=True) as transaction:
            sql = "SELECT 1 FROM blocks WHERE pattern = :pattern AND specifier = :specifier"
            if transaction.value(sql, **about) is None:
                raise NotFound(f"{pattern}{specifier} is not blocked here", hint="see venvery block --list")
            transaction.do(_DROP, **about)
            note = Note("unblock", project=pattern, version=specifier or None)
            write_down(transaction, self._database.clock(), who, note)
