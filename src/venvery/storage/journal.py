"""The journal: every change that somebody made, in the order in which they were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["Change", "Journal", "Note", "write_down"]

_COLUMNS = "at, who, action, source, project, version, filename, detail"
_WRITE = f"""INSERT INTO journal ({_COLUMNS})
VALUES (:at, :who, :action, :source, :project, :version, :filename, :detail)"""
_LAST = "SELECT max(serial) FROM journal WHERE project IS NOT NULL"
_OF_PROJECT = "SELECT max(serial) FROM journal WHERE source = :source AND project = :project"
_CHANGED = "SELECT DISTINCT source, project FROM journal WHERE serial > :serial AND project IS NOT NULL"
_PROJECTS = """SELECT source, project, max(serial) FROM journal WHERE project IS NOT NULL
AND serial > :serial GROUP BY source, project ORDER BY 3"""
_ENTRIES = f"SELECT serial, {_COLUMNS} FROM journal"
_CONDITIONS = {
    "since": "at >= :since",
    "who": "who = :who",
    "project": "project = :project",
    "before": "serial < :before",
}


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody does, to be written down in the transaction that does it."""

    action: str
    """One word: upload, yank, unyank, delete, promote, …"""
    source: str | None = None
    project: str | None = None
    version: str | None = None
    filename: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made."""

    serial: int
    at: float
    who: str
    note: Note


class Journal:
    """Who did what, and when. Nothing of it is ever changed or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_serial(self) -> int:
        """Give the serial of the last change to any project; 0 when there was none."""
        with self._database.look() as transaction:
            return int(transaction.value(_LAST) or 0)

    def serial_of(self, source: str, project: str) -> int:
        """Give the serial of the last change to a project of a hosted source; 0 when there was none."""
        with self._database.look() as transaction:
            return int(transaction.value(_OF_PROJECT, source=source, project=project) or 0)

    def changed_since(self, serial: int) -> tuple[int, list[tuple[str | None, str]]]:
        """Give the serial of the last change, and each (source, project) that changed after `serial`.

        A change that is true of a project wherever it comes from has no source.
        """
        with self._database.look() as transaction:
            last = int(transaction.value(_LAST) or 0)
            return last, [(source, project) for source, project in transaction.rows(_CHANGED, serial=serial)]

    def projects_since(self, serial: int) -> list[tuple[str, str, int]]:
        """Give (source, project, last serial) of all hosted projects that changed after `serial`, oldest first."""
        with self._database.look() as transaction:
            return [
                (source, project, last) for source, project, last in transaction.rows(_PROJECTS, serial=serial)
            ]

    def entries(
        self,
        *,
        since: float | None = None,
        who: str | None = None,
        project: str | None = None,
        before: int | None = None,
        most: int = 100,
    ) -> list[Change]:
        """Give changes, newest first; `before` is the serial from which on they are left out."""
        said: dict[str, Any] = {"since": since, "who": who, "project": project, "before": before}
        asked = {name: value for name, value in said.items() if value is not None}
        conditions = " AND ".join(_CONDITIONS[name] for name in asked)
        sql = f"{_ENTRIES} {f'WHERE {conditions} ' if asked else ''}ORDER BY serial DESC LIMIT :most"
        with self._database.look() as transaction:
            rows = transaction.rows(sql, most=most, **asked)
        return [Change(serial, at, whose, Note(*note)) for serial, at, whose, *note in rows]

    def write(self, who: str, note: Note) -> int:
        """Write down what was done, where doing it was no transaction of its own."""
        with self._database.change(lasting=True) as transaction:
            return write_down(transaction, self._database.clock(), who, note)


def write_down(transaction: Transaction, at: float, who: str, note: Note) -> int:
    """Write a change into the journal as part of the transaction that makes it, and give its serial."""
    transaction.do(
        _WRITE,
        at=at,
        who=who,
        action=note.action,
        source=note.source,
        project=note.project,
        version=note.version,
        filename=note.filename,
        detail=note.detail,
    )
    return int(transaction.value("SELECT max(serial) FROM journal"))
