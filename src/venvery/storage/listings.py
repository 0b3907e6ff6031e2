"""Questions about listings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from venvery.storage import schema
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Listings", "StoredListing"]

_table = schema.listings
_get_many = select(_table).where(
    _table.c.source == bindparam("source"), _table.c.project.in_(bindparam("projects", expanding=True))
)
_get_briefs = select(_table.c.project, _table.c.known, _table.c.revision, _table.c.checked_at).where(
    _table.c.source == bindparam("source"), _table.c.project.in_(bindparam("projects", expanding=True))
)
_checked = (
    update(_table)
    .where(_table.c.source == bindparam("of_source"), _table.c.project == bindparam("of_project"))
    .values(checked_at=bindparam("now"))
)
_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class StoredListing:
    """A project page of one source, as it was when it was last checked."""

    source: int
    project: str
    known: bool
    revision: str
    etag: str | None
    last_modified: str | None
    body: str | None
    """The digest of the page as it came."""
    checked_at: float
    packed: bytes


class Listings:
    """Project pages by source and project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_many(self, source: int, projects: Sequence[str]) -> dict[str, StoredListing]:
        """Give what is stored of some projects of one source."""
        found = {}
        with self._database.read() as connection:
            for start in range(0, len(projects), _AT_ONCE):
                part = list(projects[start : start + _AT_ONCE])
                for row in connection.execute(_get_many, {"source": source, "projects": part}):
                    found[row.project] = StoredListing(
                        row.source,
                        row.project,
                        bool(row.known),
                        row.revision,
                        row.etag,
                        row.last_modified,
                        row.body,
                        row.checked_at,
                        row.packed,
                    )
        return found

    def get_briefs(self, source: int, projects: Sequence[str]) -> dict[str, tuple[bool, str, float]]:
        """Give (known, revision, checked at) of some projects of one source, without their files."""
        found = {}
        with self._database.read() as connection:
            for start in range(0, len(projects), _AT_ONCE):
                part = list(projects[start : start + _AT_ONCE])
                for project, *brief in connection.execute(_get_briefs, {"source": source, "projects": part}):
                    found[project] = (bool(brief[0]), brief[1], brief[2])
        return found

    def put_many(self, listings: Iterable[StoredListing]) -> None:
        """Store pages, replacing older ones."""
        rows = [
            {
                "source": one.source,
                "project": one.project,
                "known": int(one.known),
                "revision": one.revision,
                "etag": one.etag,
                "last_modified": one.last_modified,
                "body": one.body,
                "checked_at": one.checked_at,
                "packed": one.packed,
            }
            for one in listings
        ]
        if rows:
            with self._database.write() as connection:
                connection.execute(upsert(connection, _table), rows)

    def note_checked(self, checked: Iterable[tuple[int, str, float]]) -> None:
        """Note that pages (source, project) were found unchanged at an instant."""
        rows = [{"of_source": source, "of_project": project, "now": now} for source, project, now in checked]
        if rows:
            with self._database.write() as connection:
                connection.execute(_checked, rows)
