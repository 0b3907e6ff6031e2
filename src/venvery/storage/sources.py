"""Questions about sources, and about what hosts of files were found to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from venvery.storage import schema
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Sources"]

_sources = schema.sources
_hosts = schema.hosts
_id = select(_sources.c.id).where(_sources.c.digest == bindparam("digest"))


class Sources:
    """Sources by the digest of what they are; hosts by origin."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def identify(self, digest: str, kind: str, location: str) -> int:
        """Give the number of a source, giving it one when it is new. `location` holds no password."""
        with self._database.read() as connection:
            found = connection.execute(_id, {"digest": digest}).scalar_one_or_none()
        if found is not None:
            return int(found)
        with self._database.write() as connection:
            found = connection.execute(_id, {"digest": digest}).scalar_one_or_none()
            if found is None:
                row = {"digest": digest, "kind": kind, "location": location}
                found = connection.execute(_sources.insert().returning(_sources.c.id), row).scalar_one()
        return int(found)

    def abilities(self, *, newer_than: float) -> dict[tuple[str, str], bool]:
        """Give what hosts were found to do since an instant, as (origin, ability) → works."""
        with self._database.read() as connection:
            rows = connection.execute(select(_hosts).where(_hosts.c.checked_at > newer_than)).all()
        return {(row.origin, row.ability): bool(row.works) for row in rows}

    def note_ability(self, origin: str, ability: str, works: bool) -> None:
        """Remember what a host was just found to do."""
        row = {
            "origin": origin,
            "ability": ability,
            "works": int(works),
            "checked_at": self._database.clock(),
        }
        with self._database.write() as connection:
            connection.execute(upsert(connection, _hosts), row)
