"""Listings: what the sources of one view have of a project, united.

Within the freshness window a listing is what was last read. After it, every source is asked whether it
changed. Who is asked at all depends on who owns the name.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from venvery.catalog.ownership import Ownership, Standing
from venvery.catalog.parts import Numbered, Part, Parts, Stored
from venvery.catalog.rows import EMPTY_REVISION
from venvery.catalog.sharing import Shared, all_of
from venvery.catalog.sources.index import Index
from venvery.catalog.stamps import Brief, Stamp, Stamps, unite_revisions, unite_stamps
from venvery.model.files import DistFile, Listing
from venvery.model.names import NormalizedName
from venvery.model.sources import Union, sources_for, without_credentials

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["HeldListing", "Listings"]

MEMORY_LIMIT = 400_000
"""Files of all listings that are held in memory together; most share them with the parts that they are made of."""


@dataclass(frozen=True, slots=True)
class _Hot:
    listing: Listing
    fresh_until: float


@dataclass(frozen=True, slots=True)
class HeldListing:
    """A listing as it was when it was last read."""

    listing: Listing
    checked_at: float
    """When the source that was asked longest ago was asked."""


class Listings:
    """All listings of one view."""

    def __init__(
        self,
        sources: Sequence[Numbered],
        *,
        union: Union,
        freshness: float,
        database: Database,
        parts: Parts,
        ownership: Ownership | None,
        clock: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._by_name = any(one.source.spec.projects for one in sources)
        self._hosted: Sequence[Numbered] = [one for one in sources if one.source.told]
        self._others: Sequence[Numbered] = [one for one in sources if not one.source.told]
        self._union = union
        self._freshness = freshness
        self._database = database
        self._parts = parts
        self._ownership = ownership
        self._clock = clock
        self._changes: dict[NormalizedName, int] = {}
        """How often each project was said to have changed."""
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
        try:  # noqa: SIM105 - every search comes here for every project, and `suppress` takes longer than all else
            self._hot.move_to_end(project)
        except KeyError:  # searches look from threads of their own, while the loop lets old ones go
            pass
        return hot.listing

    async def listings(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Listing]:
        """Give the listings of projects, each fresh. Raises `SourceFailed`."""
        wanted = list(dict.fromkeys(projects))
        found = {project: listing for project in wanted if (listing := self.peek(project)) is not None}
        missing = [project for project in wanted if project not in found]
        if missing:
            stored = self._parts.stored(missing)
            read = await all_of(
                self._shared.get(project, partial(self._read, project, stored)) for project in missing
            )
            found.update(zip(missing, read, strict=True))
        return {project: found[project] for project in wanted}

    def peek_stamp(self, project: NormalizedName) -> Stamp | None:
        """Give the stamp of a listing that is fresh, whether or not the listing itself is held; else None."""
        stamp = self._stamps.held(project)
        return stamp if stamp is not None and self._clock() < stamp.fresh_until else None

    def peek_stamps(self, projects: Iterable[NormalizedName]) -> list[Stamp | None]:
        """Give the stamps of listings, in order; None for one that is not held or not fresh."""
        now = self._clock()
        held = map(self._stamps.held, projects)
        return [stamp if stamp is not None and now < stamp.fresh_until else None for stamp in held]

    async def stamps(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Stamp]:
        """Give the stamps of listings, each fresh; reads only the listings for which no stamp is stored.

        Raises `SourceFailed`.
        """
        wanted = list(dict.fromkeys(projects))
        found = {project: stamp for project in wanted if (stamp := self.peek_stamp(project)) is not None}
        missing = [project for project in wanted if project not in found]
        if kept := [project for project in missing if not self._has_local(project)]:
            before = {project: self._changes.get(project) for project in kept}
            for project, stamp in (await asyncio.to_thread(self._stored_stamps, kept)).items():
                if self._changes.get(project) == before[project]:
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
        stored = self._parts.stored([project])
        parts: list[Part] = []
        sources, union = self._asked(project)
        for one in sources:
            part = await self._parts.held(one, project, stored)
            if part is None:
                return None
            parts.append(part)
            if part.known and union == "priority":
                break
        checked_at = min((part.checked_at for part in parts), default=self._clock())
        return HeldListing(_unite(project, parts), checked_at)

    def names(self) -> list[NormalizedName]:
        """List the projects that folders have, and those that indexes were found to have. Slow: reads folders."""
        found = set(self._database.listings.known([one.number for one in self._sources if not one.source.local]))
        for one in self._sources:
            found.update(one.source.names())
        return [name for name in map(NormalizedName, sorted(found)) if self._asked(name)[0]]

    async def short_lists(self) -> list[NormalizedName]:
        """List the projects of indexes that have few; asks each index once an hour."""
        indexes = [one.source for one in self._sources if isinstance(one.source, Index)]
        lists = await all_of(index.short_list() for index in indexes)
        return [name for names in lists for name in names if self._asked(name)[0]]

    def revisions(self) -> dict[NormalizedName, str]:
        """Give the revision of every listing that was looked at here, however old."""
        return self._stamps.revisions()

    def index_root(self, source: str) -> str | None:
        """Give the URL below which an index keeps `simple/`, without credentials; None for any other source."""
        for one in self._sources:
            spec = one.source.spec
            if spec.name == source and spec.kind == "index" and spec.location.rstrip("/").endswith("/simple"):
                return without_credentials(spec.location.rstrip("/")).removesuffix("/simple")
        return None

    def is_local(self, source: str) -> bool:
        """Tell whether a source of this name is at hand, so that what it has is always up to date."""
        return any(one.source.local for one in self._sources if one.source.spec.name == source)

    def forget(self, project: NormalizedName) -> None:
        """Read a listing anew when it is next asked for: something is known to have changed."""
        self._changes[project] = self._changes.get(project, 0) + 1
        hot = self._hot.pop(project, None)
        self._hot_files -= len(hot.listing.files) if hot else 0
        self._stamps.forget(project)

    def only_for(self, project: NormalizedName) -> tuple[str, ...]:
        """Name the sources that answer for a name alone: they list it, host it, or come first and have it."""
        sources, union = self._asked(project)
        specs = [one.source.spec for one in sources]
        listing = self.peek(project)
        if union == "priority" and listing is not None and listing.files:
            return tuple(spec.name for spec in specs if spec.name == listing.files[0].source)
        owning = any(spec.projects or spec.kind == "hosted" for spec in specs)
        return tuple(spec.name for spec in specs) if owning else ()

    def _asked(self, project: NormalizedName) -> tuple[Sequence[Numbered], Union]:
        """Tell which sources are asked for a project, and how their answers are united."""
        standing: Standing = "free" if self._ownership is None else self._ownership.standing(project)
        sources = {"free": self._others, "owned": self._hosted, "shared": self._sources}[standing]
        if self._by_name:
            specs = sources_for(project, [one.source.spec for one in sources])
            sources = [one for one in sources if one.source.spec in specs]
        return sources, "merge" if standing == "shared" else self._union

    def _has_local(self, project: NormalizedName) -> bool:
        return any(one.source.local for one in self._asked(project)[0])

    def _stored_stamps(self, projects: Sequence[NormalizedName]) -> dict[NormalizedName, Stamp]:
        now = self._clock()
        pages = {one.number: self._database.listings.get_briefs(one.number, projects) for one in self._others}
        found = {}
        for project in projects:
            briefs = (
                Brief(*page[project], page[project][2] + self._freshness) if project in page else None
                for page in (pages[one.number] for one in self._asked(project)[0] if one.number in pages)
            )
            stamp = unite_stamps(briefs, self._union, now)
            if stamp is not None:
                found[project] = stamp
        return found

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _read(self, project: NormalizedName, stored: Stored) -> Listing:
        while True:
            before = self._changes.get(project)
            parts = await self._ask(project, stored)
            if self._changes.get(project) == before:  # else it may be what was before
                break
        listing = _unite(project, parts)
        fresh_until = min((part.fresh_until for part in parts), default=float("inf"))
        checked_at = min((part.checked_at for part in parts), default=self._clock())
        self._stamps.note(project, Stamp(listing.revision, checked_at, fresh_until))
        return self._remember(listing, fresh_until)

    async def _ask(self, project: NormalizedName, stored: Stored) -> list[Part]:
        sources, union = self._asked(project)
        if union == "merge":
            return await all_of(self._parts.get(one, project, stored) for one in sources)
        parts: list[Part] = []
        for one in sources:  # one after the other: a name that is owned is not looked up elsewhere
            parts.append(await self._parts.get(one, project, stored))
            if parts[-1].known:
                break
        return parts

    def _remember(self, listing: Listing, fresh_until: float) -> Listing:
        """Hold a listing in memory; where nothing changed it stays the same object, as what hangs on it wants."""
        before = self._hot.pop(listing.project, None)
        if before is not None:
            self._hot_files -= len(before.listing.files)
            if before.listing == listing:
                listing = before.listing
        self._hot[listing.project] = _Hot(listing, fresh_until)
        self._hot_files += len(listing.files)
        while self._hot_files > MEMORY_LIMIT and len(self._hot) > 1:
            _, oldest = self._hot.popitem(last=False)
            self._hot_files -= len(oldest.listing.files)
        return listing


def _unite(project: NormalizedName, parts: Sequence[Part]) -> Listing:
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
