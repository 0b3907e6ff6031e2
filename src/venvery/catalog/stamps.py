"""Stamps: what is known of a listing without holding it, so that an answer can be checked cheaply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from venvery.catalog.rows import EMPTY_REVISION
from venvery.model.digests import canonical_json, sha256
from venvery.model.names import NormalizedName
from venvery.model.sources import Union

__all__ = ["Brief", "Stamp", "Stamps", "unite_revisions", "unite_stamps"]

MOST = 500_000
"""Stamps that are kept, about 300 bytes each."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which revision of a project's listing is the present one, and since when that is known."""

    revision: str
    checked_at: float
    """When the source that was asked longest ago was asked."""
    fresh_until: float


@dataclass(frozen=True, slots=True)
class Brief:
    """The stamp of one source's page."""

    known: bool
    revision: str
    checked_at: float
    fresh_until: float


class Stamps:
    """The stamps of all projects that were looked at, and a number that tells when any revision changed."""

    def __init__(self) -> None:
        self.changes = 0
        """Grows when a listing that was known turns out to be another: equal numbers, nothing changed."""
        self._stamps: dict[NormalizedName, Stamp] = {}

    def note(self, project: NormalizedName, stamp: Stamp) -> None:
        """Take the stamp of a listing that was just read."""
        before = self._stamps.get(project)
        if before is None and len(self._stamps) >= MOST:
            self._stamps.clear()
            self.changes += 1  # what was forgotten may change unseen
        elif before is not None and before.revision != stamp.revision:
            self.changes += 1
        self._stamps[project] = stamp

    def held(self, project: NormalizedName) -> Stamp | None:
        """Give a stamp, however old."""
        return self._stamps.get(project)

    def revisions(self) -> dict[NormalizedName, str]:
        """Give all revisions, however old."""
        return {project: stamp.revision for project, stamp in list(self._stamps.items())}

    def forget(self, project: NormalizedName) -> None:
        """Say that a listing has changed, whatever it is now."""
        self._stamps.pop(project, None)
        self.changes += 1


def unite_revisions(known: Sequence[str]) -> str:
    """Give the revision of the listing that the sources which know a project have together."""
    if len(known) < 2:
        return known[0] if known else EMPTY_REVISION
    return sha256(canonical_json(list(known)))


def unite_stamps(briefs: Iterable[Brief | None], union: Union, now: float) -> Stamp | None:
    """Unite the pages of all sources, in their order; None when one that counts is missing or not fresh."""
    counted: list[Brief] = []
    for brief in briefs:
        if brief is None or not now < brief.fresh_until or now < brief.checked_at:
            return None
        counted.append(brief)
        if union == "priority" and brief.known:
            break
    return Stamp(
        unite_revisions([brief.revision for brief in counted if brief.known]),
        min((brief.checked_at for brief in counted), default=now),
        min((brief.fresh_until for brief in counted), default=float("inf")),
    )
