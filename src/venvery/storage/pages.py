"""Questions about pages of the simple API as they were written, and about the serial of every change.

A serial is a number that grows with every change of any listing in a view, as package indexes have it: whoever
mirrors asks for what has a larger one than last time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvery.model.names import NormalizedName
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["Pages", "StoredPage"]

_KEY = ("view", "project", "form")
_GET = """
    SELECT revision, etag, serial, max_age, body FROM simple_pages
    WHERE view = :view AND project = :project AND form = :form
"""
_PUT = upsert("simple_pages", (*_KEY, "revision", "etag", "serial", "max_age", "body"), key=_KEY)
_FORGET = "DELETE FROM simple_pages WHERE view = :view AND project = :project"
_SERIAL = "SELECT revision, serial FROM serials WHERE view = :view AND project = :project"
_LAST = "SELECT COALESCE(MAX(serial), 0) FROM serials"
_NOTE = upsert("serials", ("view", "project", "revision", "serial"), key=("view", "project"))
_ALL = "SELECT project, revision, serial FROM serials WHERE view = :view"


@dataclass(frozen=True, slots=True)
class StoredPage:
    """One page in one form."""

    revision: str
    """Of the listing that it says."""
    etag: str
    serial: int
    max_age: int
    """Seconds for which whoever has it need not ask again; 0: to be asked for every time."""
    body: bytes
    """Compressed with gzip, as it is sent."""


class Pages:
    """Pages and serials, by view: a digest of the sources and of how they are united."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, view: str, project: str, form: str) -> StoredPage | None:
        """Give a page as it was last written."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, view=view, project=project, form=form)
        return None if row is None else StoredPage(*row)

    def put(self, view: str, project: str, form: str, page: StoredPage) -> None:
        """Keep a page."""
        with self._database.change() as transaction:
            transaction.do(
                _PUT,
                view=view,
                project=project,
                form=form,
                revision=page.revision,
                etag=page.etag,
                serial=page.serial,
                max_age=page.max_age,
                body=page.body,
            )

    def forget(self, view: str, project: str) -> None:
        """Drop a project's pages: more is known of its files."""
        with self._database.change() as transaction:
            transaction.do(_FORGET, view=view, project=project)

    def serial(self, view: str, project: NormalizedName, revision: str) -> int:
        """Give the serial of a project's revision, a new one when it is another than it was."""
        with self._database.look() as transaction:
            row = transaction.row(_SERIAL, view=view, project=project)
        if row is not None and row[0] == revision:
            return int(row[1])
        return self.serials(view, [project], {project: revision})[project]

    def serials(
        self, view: str, projects: Sequence[NormalizedName], revisions: Mapping[NormalizedName, str]
    ) -> dict[NormalizedName, int]:
        """Give the serials of projects, new ones to those whose revision is known to be another than it was."""
        with self._database.look() as transaction:
            known = _known(transaction, view)
        if _changed(known, projects, revisions):
            with self._database.change() as transaction:
                known = _known(transaction, view)
                last = int(transaction.value(_LAST))
                for number, project in enumerate(_changed(known, projects, revisions), last + 1):
                    known[project] = revisions.get(project, ""), number
                    transaction.do(_NOTE, view=view, project=project, revision=known[project][0], serial=number)
        return {project: known[project][1] for project in projects}


def _known(transaction: Transaction, view: str) -> dict[NormalizedName, tuple[str, int]]:
    return {project: (revision, int(serial)) for project, revision, serial in transaction.rows(_ALL, view=view)}


def _changed(
    known: Mapping[NormalizedName, tuple[str, int]],
    projects: Sequence[NormalizedName],
    revisions: Mapping[NormalizedName, str],
) -> list[NormalizedName]:
    """List what needs a new serial: what has none, and what is now another than when it got its own."""
    return [
        project
        for project in sorted(projects)
        if project not in known or revisions.get(project, known[project][0]) != known[project][0]
    ]
