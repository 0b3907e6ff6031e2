"""Listings: fresh from memory, from the database, or from the sources; united over the sources.

Within the freshness window a listing is what was last read. After it, every source is asked whether it
changed. A source that fails is an error: it is never taken for a source that does not have the project.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from venvery.catalog.keeper import Keeper
from venvery.catalog.reporter import Reporter
from venvery.catalog.rows import EMPTY_REVISION, files_of, revision_of, rows_of, status_of
from venvery.catalog.sharing import Shared, all_of
from venvery.catalog.sources import Absent, Found, Held, Source, Unchanged
from venvery.catalog.stamps import Brief, Stamp, Stamps, unite_revisions, unite_stamps
from venvery.model.files import DistFile, Listing, ProjectStatus
from venvery.model.names import NormalizedName
from venvery.model.sources import Union, sources_for
from venvery.storage.compression import pack, unpack
from venvery.storage.listings import StoredListing

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["LOCAL_FRESHNESS", "HeldListing", "Listings", "Numbered"]

T = TypeVar("T")

LOCAL_FRESHNESS = 2.0
"""Seconds for which a folder is not looked at again."""
MEMORY_LIMIT = 400_000
"""Files of all listings that are held in memory together, about 300 bytes each."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one source has of a project."""

    known: bool
    revision: str
    files: tuple[DistFile, ...]
    checked_at: float
    fresh_until: float
    status: ProjectStatus | None = None


@dataclass(frozen=True, slots=True)
class _Hot:
    listing: Listing
    parts: dict[int, _Part]
    """By the source's number."""
    fresh_until: float


@dataclass(frozen=True, slots=True)
class Numbered:
    """A source and its number in the database."""

    source: Source
    number: int


@dataclass(frozen=True, slots=True)
class HeldListing:
    """A listing as it was when it was last read."""

    listing: Listing
    checked_at: float
    """When the source that was asked longest ago was asked."""


class Listings:
    """All listings of one catalog."""

    def __init__(
        self,
        sources: Sequence[Numbered],
        *,
        union: Union,
        freshness: float,
        database: Database,
        keeper: Keeper,
        clock: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self._sources = sources
        self._by_name = any(one.source.spec.projects for one in sources)
        self._union = union
        self._freshness = freshness
        self._database = database
        self._keeper = keeper
        self._clock = clock
        self._reporter = reporter
        self._hot: OrderedDict[NormalizedName, _Hot] = OrderedDict()
        self._hot_files = 0
        self._shared: Shared[NormalizedName, Listing] = Shared()
        self._stamps = Stamps()

    @property
    def changes(self) -> int:
        """A number that grows when a listing turns out to have changed."""
        return self._stamps.changes

    def peek(self, project: NormalizedName) -> Listing | None:
        """Give a listing that is held in memory and fresh; else None."""
        hot = self._hot.get(project)
        if hot is None or self._clock() >= hot.fresh_until:
            return None
        with suppress(KeyError):  # searches look from threads of their own, while the loop lets old ones go
            self._hot.move_to_end(project)
        return hot.listing

    async def listings(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Listing]:
        """Give the listings of projects, each fresh. Raises `SourceFailed`."""
        wanted = list(dict.fromkeys(projects))
        found = {project: listing for project in wanted if (listing := self.peek(project)) is not None}
        missing = [project for project in wanted if project not in found]
        if missing:
            stored = _Stored(self._database, missing)
            read = await all_of(
                self._shared.get(project, partial(self._read, project, stored)) for project in missing
            )
            found.update(zip(missing, read, strict=True))
        return {project: found[project] for project in wanted}

    def peek_stamp(self, project: NormalizedName) -> Stamp | None:
        """Give the stamp of a listing that is fresh, whether or not the listing itself is held; else None."""
        stamp = self._stamps.held(project)
        return stamp if stamp is not None and self._clock() < stamp.fresh_until else None

    async def stamps(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Stamp]:
        """Give the stamps of listings, each fresh; reads only the listings for which no stamp is stored.

        Raises `SourceFailed`.
        """
        wanted = list(dict.fromkeys(projects))
        found = {project: stamp for project in wanted if (stamp := self.peek_stamp(project)) is not None}
        missing = [project for project in wanted if project not in found]
        if missing and not any(one.source.local for one in self._sources):
            for project, stamp in (await asyncio.to_thread(self._stored_stamps, missing)).items():
                found[project] = self.peek_stamp(project) or stamp  # meanwhile it may have been read anew
                self._stamps.note(project, found[project])
            missing = [project for project in missing if project not in found]
        if missing:
            await self.listings(missing)
            read = ((project, self._stamps.held(project)) for project in missing)
            found |= {project: stamp for project, stamp in read if stamp is not None}
        return found

    async def held(self, project: NormalizedName) -> HeldListing | None:
        """Give what is held of a project, however old; folders are looked at, no index is asked.

        None when a source that counts was never asked for it.
        """
        stored = _Stored(self._database, [project])
        parts: list[_Part] = []
        for one in self._sources:
            part = await self._held_part(one, project, stored)
            if part is None:
                return None
            parts.append(part)
            if part.known and self._union == "priority":
                break
        checked_at = min((part.checked_at for part in parts), default=self._clock())
        return HeldListing(_unite(project, parts), checked_at)

    async def _held_part(self, one: Numbered, project: NormalizedName, stored: _Stored) -> _Part | None:
        if one.source.local:
            return await self._part(one, project, stored)
        hot = self._hot.get(project)
        if hot is not None and one.number in hot.parts:
            return hot.parts[one.number]
        before = self._keeper.pending(one.number, project) or (await stored.of(one.number)).get(project)
        if before is None:
            return None
        return await _part_of(before, one.source.spec.name, before.checked_at, self._freshness)

    def names(self) -> list[NormalizedName]:
        """List the projects that folders have, and those that indexes were found to have. Slow: reads folders."""
        found = set(self._database.listings.known([one.number for one in self._sources if not one.source.local]))
        for one in self._sources:
            found.update(one.source.names())
        return [NormalizedName(name) for name in sorted(found)]

    def forget(self, project: NormalizedName) -> None:
        """Read a listing anew when it is next asked for: something is known to have changed."""
        hot = self._hot.pop(project, None)
        self._hot_files -= len(hot.listing.files) if hot else 0
        self._stamps.forget(project)

    def _stored_stamps(self, projects: Sequence[NormalizedName]) -> dict[NormalizedName, Stamp]:
        now = self._clock()
        pages = {one.number: self._database.listings.get_briefs(one.number, projects) for one in self._sources}
        found = {}
        for project in projects:
            briefs = (
                Brief(*page[project], page[project][2] + self._freshness) if project in page else None
                for page in (pages[one.number] for one in self._asked_for(project))
            )
            stamp = unite_stamps(briefs, self._union, now)
            if stamp is not None:
                found[project] = stamp
        return found

    def _asked_for(self, project: NormalizedName) -> Sequence[Numbered]:
        """Give the sources in which a project is looked up, in their order."""
        if not self._by_name:
            return self._sources
        specs = sources_for(project, [one.source.spec for one in self._sources])
        return [one for one in self._sources if one.source.spec in specs]

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _read(self, project: NormalizedName, stored: _Stored) -> Listing:
        parts: dict[int, _Part] = {}
        sources = self._asked_for(project)
        if self._union == "merge":
            read = await all_of(self._part(one, project, stored) for one in sources)
            parts.update((one.number, part) for one, part in zip(sources, read, strict=True))
        else:
            for one in sources:  # one after the other: a name that is owned is not looked up elsewhere
                parts[one.number] = await self._part(one, project, stored)
                if parts[one.number].known:
                    break
        listing = _unite(project, list(parts.values()))
        fresh_until = min((part.fresh_until for part in parts.values()), default=float("inf"))
        checked_at = min((part.checked_at for part in parts.values()), default=self._clock())
        self._stamps.note(project, Stamp(listing.revision, checked_at, fresh_until))
        return self._remember(listing, parts, fresh_until)

    def _remember(self, listing: Listing, parts: dict[int, _Part], fresh_until: float) -> Listing:
        """Hold a listing in memory; where nothing changed it stays the same object, as what hangs on it wants."""
        before = self._hot.pop(listing.project, None)
        if before is not None:
            self._hot_files -= len(before.listing.files)
            if before.listing == listing:
                listing = before.listing
        self._hot[listing.project] = _Hot(listing, parts, fresh_until)
        self._hot_files += len(listing.files)
        while self._hot_files > MEMORY_LIMIT and len(self._hot) > 1:
            _, oldest = self._hot.popitem(last=False)
            self._hot_files -= len(oldest.listing.files)
        return listing

    async def _part(self, one: Numbered, project: NormalizedName, stored: _Stored) -> _Part:
        """Get what one source has of a project, from memory while that is fresh."""
        hot = self._hot.get(project)
        part = None if hot is None else hot.parts.get(one.number)
        if part is not None and self._clock() < part.fresh_until:
            return part
        return await self._read_part(one, project, stored)

    async def _read_part(self, one: Numbered, project: NormalizedName, stored: _Stored) -> _Part:
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
            return _Part(False, EMPTY_REVISION, (), now, now + window)
        assert isinstance(answer, Found), "a source said that nothing changed of what it never gave"
        weight = len(answer.links)
        rows = await _apart(
            weight, partial(rows_of, project, answer.links, now=now, before=_rows(before), status=answer.status)
        )
        revision, files = await _apart(weight, lambda: (revision_of(rows), files_of(project, rows, name)))
        if before is None or not before.known or before.revision != revision or not source.local:
            make = partial(_page, one.number, project, revision, answer, now, rows)
            self._keeper.listing(one.number, project, make)
        self._reporter.listing_read(project, name, "read")
        return _Part(True, revision, files, now, now + window, answer.status)

    def _keep_absent(
        self, one: Numbered, project: NormalizedName, before: StoredListing | None, now: float
    ) -> None:
        if one.source.local and (before is None or not before.known):
            return
        # What was seen stays: should the project come back, its files are no newer than they were.
        packed = before.packed if before is not None else pack(None)
        gone = StoredListing(one.number, project, False, EMPTY_REVISION, None, None, None, now, packed)
        self._keeper.listing(one.number, project, lambda: gone)


def _page(
    source: int, project: NormalizedName, revision: str, answer: Found, now: float, rows: dict[str, Any]
) -> StoredListing:
    return StoredListing(
        source, project, True, revision, answer.etag, answer.last_modified, answer.body, now, pack(rows)
    )


class _Stored:
    """What the database holds of some projects, read once for each source, when first asked for."""

    def __init__(self, database: Database, projects: Sequence[NormalizedName]) -> None:
        self._database = database
        self._projects = projects
        self._reading: dict[int, asyncio.Future[dict[str, StoredListing]]] = {}

    async def of(self, source: int) -> dict[str, StoredListing]:
        """Give the stored listings of one source."""
        reading = self._reading.get(source)
        if reading is None:
            work = asyncio.to_thread(self._database.listings.get_many, source, self._projects)
            reading = self._reading[source] = asyncio.ensure_future(work)
        return await asyncio.shield(reading)


def _held(before: StoredListing | None) -> Held | None:
    return None if before is None else Held(before.known, before.etag, before.last_modified, before.body)


def _rows(before: StoredListing | None) -> dict[str, Any] | None:
    rows: dict[str, Any] | None = unpack(before.packed) if before is not None else None
    return rows


async def _part_of(before: StoredListing, source: str, checked_at: float, window: float) -> _Part:
    if not before.known:
        return _Part(False, EMPTY_REVISION, (), checked_at, checked_at + window)

    def read() -> _Part:
        rows = unpack(before.packed)
        files = files_of(NormalizedName(before.project), rows, source)
        return _Part(True, before.revision, files, checked_at, checked_at + window, status_of(rows))

    return await _apart(len(before.packed) // 40, read)


async def _apart(weight: int, work: Callable[[], T]) -> T:
    """Do work at once when it is little, in a thread when it would hold up the event loop."""
    if weight < 200:
        return work()
    return await asyncio.to_thread(work)


def _unite(project: NormalizedName, parts: Sequence[_Part]) -> Listing:
    """Unite what the sources have. Of files with the same name, the first source's counts."""
    known = [part for part in parts if part.known]
    if not known:
        return Listing(project, EMPTY_REVISION, (), known=False)
    if len(known) == 1:
        return Listing(project, known[0].revision, known[0].files, status=known[0].status)
    files: dict[str, DistFile] = {}
    for part in known:
        for file in part.files:
            files.setdefault(file.filename, file)
    revision = unite_revisions([part.revision for part in known])
    status = next((part.status for part in known if part.status is not None), None)
    if files and status is not None and status.state == "quarantined":  # of the project as another source has it
        status = None
    return Listing(project, revision, tuple(files[name] for name in sorted(files)), status=status)
