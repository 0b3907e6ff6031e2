"""Questions about listings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Listings", "StoredListing"]


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


_COLUMNS = tuple(field.name for field in fields(StoredListing))
_KEY = ("source", "project")
_GET = f"SELECT {', '.join(_COLUMNS)} FROM listings WHERE source = :source AND project IN :among"
_BRIEFS = "SELECT project, known, revision, checked_at FROM listings WHERE source = :source AND project IN :among"
_KNOWN = "SELECT DISTINCT project FROM listings WHERE known = 1 AND source IN :among"
_PUT = upsert("listings", _COLUMNS, key=_KEY)
_CHECKED = "UPDATE listings SET checked_at = :now WHERE source = :source AND project = :project"


class Listings:
    """Project pages by source and project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_many(self, source: int, projects: Sequence[str]) -> dict[str, StoredListing]:
        """Give what is stored of some projects of one source."""
        found = {}
        with self._database.look() as transaction:
            for number, project, known, *rest in transaction.rows_among(_GET, projects, source=source):
                found[project] = StoredListing(number, project, bool(known), *rest)
        return found

    def get_briefs(self, source: int, projects: Sequence[str]) -> dict[str, tuple[bool, str, float]]:
        """Give (known, revision, checked at) of some projects of one source, without their files."""
        with self._database.look() as transaction:
            rows = transaction.rows_among(_BRIEFS, projects, source=source)
            return {project: (bool(known), revision, at) for project, known, revision, at in rows}

    def known(self, sources: Sequence[int]) -> list[str]:
        """List the projects that some sources were found to have."""
        with self._database.look() as transaction:
            return [row[0] for row in transaction.rows_among(_KNOWN, sources)]

    def put_many(self, listings: Iterable[StoredListing]) -> None:
        """Store pages, replacing older ones."""
        rows = [{name: getattr(one, name) for name in _COLUMNS} for one in listings]
        if rows:
            with self._database.change() as transaction:
                transaction.do_many(_PUT, rows)

    def note_checked(self, checked: Iterable[tuple[int, str, float]]) -> None:
        """Note that pages (source, project) were found unchanged at an instant."""
        rows = [{"source": source, "project": project, "now": now} for source, project, now in checked]
        if rows:
            with self._database.change() as transaction:
                transaction.do_many(_CHECKED, rows)
