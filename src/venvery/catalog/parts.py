"""What each source has of a project: read once for all views, fresh from memory, the database, or the source.

A source that fails is an error: it is never taken for a source that does not have the project.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from venvery.catalog.keeper import Keeper
from venvery.catalog.reporter import Reporter
from venvery.catalog.rows import EMPTY_REVISION, files_of, revision_of, rows_of, status_of
from venvery.catalog.sharing import Shared
from venvery.catalog.sources import Absent, Found, Held, Source, Unchanged
from venvery.model.files import DistFile, ProjectStatus
from venvery.model.names import NormalizedName
from venvery.storage.compression import pack, unpack
from venvery.storage.listings import StoredListing

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["LOCAL_FRESHNESS", "Numbered", "Part", "Parts", "Stored"]

T = TypeVar("T")

LOCAL_FRESHNESS = 2.0
"""Seconds for which a folder is not looked at again."""
MEMORY_LIMIT = 400_000
"""Files of all sources that are held in memory together, about 300 bytes each."""
FOREVER = float("inf")
_FEW = 4
_LITTLE = 2000
"""Files for whose sake no thread is asked: they take two milliseconds."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one source has of a project."""

    known: bool
    revision: str
    files: Sequence[DistFile]
    checked_at: float
    fresh_until: float
    status: ProjectStatus | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """A source and its number in the database."""

    source: Source
    number: int


class Parts:
    """The pages of all sources."""

    def __init__(
        self,
        *,
        freshness: float,
        database: Database,
        keeper: Keeper,
        clock: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self._freshness = freshness
        self._database = database
        self._keeper = keeper
        self._clock = clock
        self._reporter = reporter
        self._held: OrderedDict[tuple[int, NormalizedName], Part] = OrderedDict()
        self._held_files = 0
        self._shared: Shared[tuple[int, NormalizedName], Part] = Shared()
        self._changes: dict[NormalizedName, int] = {}
        """How often each project was said to have changed."""

    def stored(self, projects: Sequence[NormalizedName]) -> Stored:
        """Give what the database holds of some projects, to be read when it is needed."""
        return Stored(self._database, projects)

    async def get(self, one: Numbered, project: NormalizedName, stored: Stored) -> Part:
        """Get what one source has of a project, from memory while that is fresh. Raises `SourceFailed`."""
        held = self._held.get((one.number, project))
        if held is not None and self._clock() < held.fresh_until:
            self._held.move_to_end((one.number, project))
            return held
        return await self._shared.get((one.number, project), lambda: self._read(one, project, stored))

    async def held(self, one: Numbered, project: NormalizedName, stored: Stored) -> Part | None:
        """Give what is held of a project, however old; folders are looked at, no index is asked.

        None when an index was never asked for it.
        """
        if one.source.local:
            return await self.get(one, project, stored)
        held = self._held.get((one.number, project))
        if held is not None:
            return held
        before = self._keeper.pending(one.number, project) or (await stored.of(one.number)).get(project)
        if before is None:
            return None
        return await _part_of(before, one.source.spec.name, before.checked_at, self._freshness)

    def forget(self, project: NormalizedName) -> None:
        """Read a project anew when it is next asked for: it is known to have changed."""
        self._changes[project] = self._changes.get(project, 0) + 1
        for key in [key for key in self._held if key[1] == project]:
            self._held_files -= len(self._held.pop(key).files)

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _read(self, one: Numbered, project: NormalizedName, stored: Stored) -> Part:
        while True:
            before = self._changes.get(project)
            part = await (self._ask_told(one, project) if one.source.told else self._ask(one, project, stored))
            if self._changes.get(project) == before:  # else it may be what was before
                return self._remember(one, project, part)

    def _remember(self, one: Numbered, project: NormalizedName, part: Part) -> Part:
        before = self._held.pop((one.number, project), None)
        self._held_files += len(part.files) - (len(before.files) if before else 0)
        self._held[one.number, project] = part
        while self._held_files > MEMORY_LIMIT and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._held_files -= len(oldest.files)
        return part

    async def _ask_told(self, one: Numbered, project: NormalizedName) -> Part:
        """Ask a source of whose changes we are told: its answer holds until then."""
        name = one.source.spec.name
        answer = await one.source.read(project, None)
        if not isinstance(answer, Found):
            self._reporter.listing_read(project, name, "absent")
            return Part(False, EMPTY_REVISION, (), FOREVER, FOREVER)
        revision, files, _rows = await _digest(project, answer, self._clock(), None, name)
        self._reporter.listing_read(project, name, "read")
        return Part(True, revision, files, FOREVER, FOREVER, answer.status)

    async def _ask(self, one: Numbered, project: NormalizedName, stored: Stored) -> Part:
        """Get what one source has of a project, from the database while that is fresh."""
        source, name = one.source, one.source.spec.name
        before = self._keeper.pending(one.number, project) or (await stored.of(one.number)).get(project)
        window = LOCAL_FRESHNESS if source.local else self._freshness
        if before is not None and not source.local and 0 <= self._clock() - before.checked_at < window:
            self._reporter.listing_read(project, name, "stored" if before.known else "absent")
            return await _part_of(before, name, before.checked_at, window)
        answer = await source.read(project, _held(before))
        now = self._clock()
        if isinstance(answer, Unchanged) and before is not None:
            self._keeper.checked(one.number, project, now)
            self._reporter.listing_read(project, name, "unchanged")
            return await _part_of(before, name, now, window)
        if isinstance(answer, Absent):
            self._keep_absent(one, project, before, now)
            self._reporter.listing_read(project, name, "absent")
            return Part(False, EMPTY_REVISION, (), now, now + window)
        assert isinstance(answer, Found), "a source said that nothing changed of what it never gave"
        revision, files, rows = await _digest(project, answer, now, before, name)
        if before is None or not before.known or before.revision != revision or not source.local:
            make = partial(_page, one.number, project, revision, answer, now, rows)
            self._keeper.listing(one.number, project, make)
        self._reporter.listing_read(project, name, "read")
        return Part(True, revision, files, now, now + window, answer.status)

    def _keep_absent(
        self, one: Numbered, project: NormalizedName, before: StoredListing | None, now: float
    ) -> None:
        if one.source.local and (before is None or not before.known):
            return
        # What was seen stays: should the project come back, its files are no newer than they were.
        packed = before.packed if before is not None else pack(None)
        gone = StoredListing(one.number, project, False, EMPTY_REVISION, None, None, None, now, packed)
        self._keeper.listing(one.number, project, lambda: gone)


async def _digest(
    project: NormalizedName, page: Found, now: float, before: StoredListing | None, source: str
) -> tuple[str, Sequence[DistFile], dict[str, Any]]:
    """Give revision, files and rows of a page."""
    weight = len(page.links)
    rows = await _apart(
        weight, partial(rows_of, project, page.links, now=now, before=_rows(before), status=page.status)
    )
    revision, files = await _apart(weight, lambda: (revision_of(rows), files_of(project, rows, source)))
    return revision, files, rows


def _page(
    source: int, project: NormalizedName, revision: str, answer: Found, now: float, rows: dict[str, Any]
) -> StoredListing:
    return StoredListing(
        source, project, True, revision, answer.etag, answer.last_modified, answer.body, now, pack(rows)
    )


class Stored:
    """What the database holds of some projects, read once for each source, when first asked for."""

    def __init__(self, database: Database, projects: Sequence[NormalizedName]) -> None:
        self._database = database
        self._projects = projects
        self._reading: dict[int, asyncio.Future[dict[str, StoredListing]]] = {}

    async def of(self, source: int) -> dict[str, StoredListing]:
        """Give the stored listings of one source."""
        reading = self._reading.get(source)
        if reading is None:
            look = partial(self._database.listings.get_many, source, self._projects)
            if len(self._projects) <= _FEW:  # they are there before a thread would have begun
                reading = asyncio.get_running_loop().create_future()
                reading.set_result(look())
            else:
                reading = asyncio.ensure_future(asyncio.to_thread(look))
            self._reading[source] = reading
        return await asyncio.shield(reading)


def _held(before: StoredListing | None) -> Held | None:
    return None if before is None else Held(before.known, before.etag, before.last_modified, before.body)


def _rows(before: StoredListing | None) -> dict[str, Any] | None:
    rows: dict[str, Any] | None = unpack(before.packed) if before is not None else None
    return rows


async def _part_of(before: StoredListing, source: str, checked_at: float, window: float) -> Part:
    if not before.known:
        return Part(False, EMPTY_REVISION, (), checked_at, checked_at + window)

    def read() -> Part:
        rows = unpack(before.packed)
        files = files_of(NormalizedName(before.project), rows, source)
        return Part(True, before.revision, files, checked_at, checked_at + window, status_of(rows))

    return await _apart(len(before.packed) // 40, read)


async def _apart(weight: int, work: Callable[[], T]) -> T:
    """Do work at once when it is little, in a thread when it would hold up the event loop."""
    if weight < _LITTLE:
        return work()
    return await asyncio.to_thread(work)
