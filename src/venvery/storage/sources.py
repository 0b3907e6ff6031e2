"""Questions about sources, and about what hosts of files were found to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Sources"]

_ID = "SELECT id FROM sources WHERE digest = :digest"
_NEW = "INSERT INTO sources (digest, kind, location) VALUES (:digest, :kind, :location)"
_ABILITIES = "SELECT origin, ability, works FROM hosts WHERE checked_at > :since"
_NOTE = upsert("hosts", ("origin", "ability", "works", "checked_at"), key=("origin", "ability"))


class Sources:
    """Sources by the digest of what they are; hosts by origin."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def identify(self, digest: str, kind: str, location: str) -> int:
        """Give the number of a source, giving it one when it is new. `location` holds no password."""
        with self._database.look() as transaction:
            found = transaction.value(_ID, digest=digest)
        if found is not None:
            return int(found)
        with self._database.change() as transaction:
            if transaction.value(_ID, digest=digest) is None:
                transaction.do(_NEW, digest=digest, kind=kind, location=location)
            return int(transaction.value(_ID, digest=digest))

    def abilities(self, *, newer_than: float) -> dict[tuple[str, str], bool]:
        """Give what hosts were found to do since an instant, as (origin, ability) → works."""
        with self._database.look() as transaction:
            rows = transaction.rows(_ABILITIES, since=newer_than)
        return {(origin, ability): bool(works) for origin, ability, works in rows}

    def note_ability(self, origin: str, ability: str, works: bool) -> None:
        """Remember what a host was just found to do."""
        row = {
            "origin": origin,
            "ability": ability,
            "works": int(works),
            "checked_at": self._database.clock(),
        }
        with self._database.change() as transaction:
            transaction.do(_NOTE, **row)
