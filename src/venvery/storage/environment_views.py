"""Questions about who had which environment, through which view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["EnvironmentViews", "Fetched"]

_NOTE = """INSERT INTO environment_views (key, view, fetched_at, fetched_by, fetches)
VALUES (:key, :view, :now, :who, 1)
ON CONFLICT (key, view) DO UPDATE
SET fetched_at = :now, fetched_by = :who, fetches = environment_views.fetches + 1"""
_ALL = "SELECT key, view, fetched_at, fetched_by FROM environment_views"


@dataclass(frozen=True, slots=True)
class Fetched:
    """Who had an environment last, through one view."""

    key: str
    view: str
    at: float
    """Seconds since the epoch; may lag by an hour."""
    who: str


class EnvironmentViews:
    """Environments by key and view."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, key: str, view: str, who: str) -> None:
        """Note that somebody had an environment now."""
        with self._database.change() as transaction:
            transaction.do(_NOTE, key=key, view=view, who=who, now=self._database.clock())

    def of(self, key: str) -> list[Fetched]:
        """Give the views through which an environment was had."""
        with self._database.look() as transaction:
            return [Fetched(*row) for row in transaction.rows(f"{_ALL} WHERE key = :key ORDER BY view", key=key)]

    def all(self) -> list[Fetched]:
        """List everything."""
        with self._database.look() as transaction:
            return [Fetched(*row) for row in transaction.rows(_ALL)]
