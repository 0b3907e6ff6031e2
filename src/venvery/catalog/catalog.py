"""The catalog: what exists, whichever source has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from venvery.catalog.arrivals import Follower
from venvery.catalog.fetch import Fetcher
from venvery.catalog.hosts import Hosts, since
from venvery.catalog.keeper import Keeper
from venvery.catalog.listings import HeldListing, Listings
from venvery.catalog.metadata import MetadataReader
from venvery.catalog.network import Network
from venvery.catalog.ownership import Ownership
from venvery.catalog.parts import Numbered, Parts
from venvery.catalog.reporter import Reporter
from venvery.catalog.shadows import Shadowed, find_shadowed
from venvery.catalog.sharing import all_of
from venvery.catalog.sidecars import Sidecars
from venvery.catalog.sources import Source, identify, make_source
from venvery.catalog.stamps import Stamp
from venvery.errors import NotFound, SourceUnreachable
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata
from venvery.model.names import NormalizedName
from venvery.model.sources import DEFAULT_VIEW, NetworkSettings, SourceSpec, Union, ViewSpec, redact

if TYPE_CHECKING:
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["Catalog"]


@dataclass(frozen=True, slots=True)
class _Works:
    """What the catalogs of all views share."""

    database: Database
    keeper: Keeper
    network: Network
    fetcher: Fetcher
    metadata: MetadataReader
    parts: Parts
    ownership: Ownership | None
    """None where no source is hosted."""
    sidecars: Sidecars
    sources: dict[str, Numbered]
    clock: Callable[[], float]
    freshness: float


class Catalog:
    """What exists: listings, core metadata and files of some sources. Belongs to one event loop."""

    def __init__(
        self,
        sources: Sequence[SourceSpec],
        *,
        database: Database,
        blobs: Blobs,
        union: Union = "merge",
        freshness: float = 600.0,
        network: NetworkSettings | None = None,
        reporter: Reporter | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        keeper = Keeper(database)
        reporter = reporter or Reporter()
        fetching = Network(
            network or NetworkSettings(),
            locations=[spec.location for spec in sources if spec.kind != "hosted"],
            reporter=reporter,
            sleep=sleep,
        )
        hosts = Hosts(database.sources.abilities(newer_than=since(clock())), keeper.ability)
        fetcher = Fetcher(fetching, database, blobs, reporter)
        reader = MetadataReader(fetching, database, blobs, fetcher, hosts, keeper, reporter)
        works = _Works(
            database,
            keeper,
            fetching,
            fetcher,
            reader,
            Parts(freshness=freshness, database=database, keeper=keeper, clock=clock, reporter=reporter),
            Ownership(sources, database) if any(spec.kind == "hosted" for spec in sources) else None,
            Sidecars(fetching, database, blobs, fetcher, reader),
            {spec.name: _number(make_source(spec, fetching, database), database) for spec in sources},
            clock,
            freshness,
        )
        if works.ownership is not None:
            works.ownership.tell(works.parts.forget)
        self._look(works, ViewSpec(DEFAULT_VIEW, tuple(spec.name for spec in sources), union))

    def view(self, spec: ViewSpec) -> Catalog:
        """Give the catalog of a view of the same sources; it lives as long as this one.

        What is learnt of a source through one view is known in all.
        """
        other = Catalog.__new__(Catalog)
        other._look(self._works, spec)
        return other

    def _look(self, works: _Works, spec: ViewSpec) -> None:
        """Become the catalog of one view."""
        self._works = works
        self.spec = spec
        """Which view this is."""
        self.clock = works.clock
        """Seconds since the epoch, as freshness counts them."""
        self._keeper, self._fetcher, self._metadata = works.keeper, works.fetcher, works.metadata
        seen = [works.sources[name] for name in spec.sources]
        claims = [[one.name, one.projects, one.shared] for one in self.sources if one.kind == "hosted"]
        named = [_identity(one.source.spec) for one in seen]
        self.identity = sha256(canonical_json([spec.name, spec.union, named, claims]))
        """Names the view, its sources and how they are united: with others, equal requests have other answers."""
        self._listings = Listings(
            seen,
            union=spec.union,
            freshness=works.freshness,
            database=works.database,
            parts=works.parts,
            ownership=works.ownership,
            clock=works.clock,
        )
        if works.ownership is not None:
            works.ownership.tell(self._listings.forget)

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """All sources, those of other views too."""
        return tuple(one.source.spec for one in self._works.sources.values())

    @property
    def ownership(self) -> Ownership | None:
        """Who owns which name; None where no source is hosted."""
        return self._works.ownership

    def shadowed(self) -> list[Shadowed]:
        """List the names that a hosted source has and another source has too, as far as is known. Slow."""
        if self._works.ownership is None:
            return []
        return find_shadowed(tuple(self._works.sources.values()), self._works.ownership, self._works.database)

    def notice(self) -> None:
        """Notice what was uploaded, yanked or deleted, here or in another process. Raises `StorageFailed`.

        To be called at the start of every request; it costs a few microseconds.
        """
        if self._works.ownership is not None:
            self._works.ownership.notice()

    async def __aenter__(self) -> Catalog:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listings.stop()
        await self._works.parts.stop()
        await self._metadata.stop()
        await self._works.sidecars.stop()
        await self._fetcher.stop()
        try:
            await self._keeper.flush()
        except Exception:
            if error is None:  # else the first error is the one to tell
                raise
        finally:
            if self._works.ownership is not None:
                self._works.ownership.close()
            await self._works.network.__aexit__(kind, error, trace)

    @property
    def source_names(self) -> tuple[str, ...]:
        """What the sources of this view are called, in their order."""
        return self.spec.sources

    def only_for(self, project: NormalizedName) -> tuple[str, ...]:
        """Name the sources of this view that answer for a name, so that others are not asked; none: any may."""
        return self._listings.only_for(project)

    def peek_listing(self, project: NormalizedName) -> Listing | None:
        """Give a listing that is held in memory and fresh; else None. Cheap, never waits."""
        return self._listings.peek(project)

    async def listings(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Listing]:
        """Give the listings of projects, none older than the freshness window.

        A project that every source says it does not have has a listing with `known=False`. Raises
        `SourceUnreachable` or `SourceGarbage` when a source fails, and `StorageFailed`.
        """
        self._keeper.check()
        self.notice()
        return await self._listings.listings(projects)

    @property
    def changes(self) -> int:
        """A number that grows when any listing turns out to have changed; while it stays, none has.

        As of the last `notice`: looking again each time would cost the quickest answers more than all the rest.
        """
        return self._listings.changes

    async def held(self, project: NormalizedName) -> HeldListing | None:
        """Give what is held of a project, however old; no index is asked.

        None when a source that counts was never asked for it: then nobody knows what the listing is.
        """
        return await self._listings.held(project)

    def names(self) -> list[NormalizedName]:
        """List the projects that are known: those in folders, and those that indexes were asked for. Slow."""
        return self._listings.names()

    async def short_lists(self) -> list[NormalizedName]:
        """List the projects of indexes that have few; asks each index once an hour. What fails lists nothing."""
        return await self._listings.short_lists()

    def revisions(self) -> dict[NormalizedName, str]:
        """Give the revision of every listing that was looked at here, however old."""
        return self._listings.revisions()

    def index_root(self, source: str) -> str | None:
        """Give the URL below which an index keeps `simple/`, without credentials; None for any other source."""
        return self._listings.index_root(source)

    def is_local(self, source: str) -> bool:
        """Tell whether a source of this name is at hand, so that what it has is always up to date."""
        return self._listings.is_local(source)

    def peek_stamp(self, project: NormalizedName) -> Stamp | None:
        """Give the revision of a listing that is fresh, and how old that is; else None. Never waits."""
        return self._listings.peek_stamp(project)

    def peek_stamps(self, projects: Iterable[NormalizedName]) -> list[Stamp | None]:
        """Give for several projects, in order, what `peek_stamp` gives for one."""
        return self._listings.peek_stamps(projects)

    async def stamps(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Stamp]:
        """Give the revisions of listings, each checked within the freshness window. Raises as `listings` does."""
        self._keeper.check()
        return await self._listings.stamps(projects)

    def forget(self, project: NormalizedName) -> None:
        """Say that a project has changed: it is read anew when it is next asked for."""
        self._works.parts.forget(project)
        self._listings.forget(project)

    async def metadata(self, files: Iterable[DistFile]) -> dict[str, CoreMetadata | NoMetadata]:
        """Give the core metadata of files by `DistFile.key`, or why there is none. Raises as `listings` does."""
        self._keeper.check()
        return await self._metadata.metadata(list(files))

    async def fetch(self, file: DistFile) -> str:
        """Bring a file into the blobs and give the blob's digest; at once when it is there.

        Raises `WrongHash` when the bytes are not those that the listing promises, `SourceUnreachable`,
        `SourceGarbage`, `StorageFailed`; then nothing of it is kept.
        """
        return await self._fetcher.fetch(file)

    def has(self, file: DistFile) -> bool:
        """Tell whether a file is among the blobs."""
        return self._fetcher.held(file) is not None

    async def follow(self, file: DistFile) -> str | Follower:
        """Give the digest of the blob that holds a file, or let it be read while it comes in.

        Raises as `fetch` does when it turns out before the first byte that it cannot be had.
        """
        return await self._fetcher.follow(file)

    async def sidecar(self, file: DistFile) -> str:
        """Give the digest of the blob that holds a file's metadata, as it is in the file (PEP 658).

        Raises `NotFound` when it has none to offer, and as `fetch` does.
        """
        return await self._works.sidecars.get(file)

    async def document(self, url: str, most: int) -> bytes:
        """Get a small document that a listing names, as provenance is. Raises `NotFound`, `SourceFailed`."""
        reply = await self._works.network.get(url, limit=most)
        if reply.status in (404, 410):
            raise NotFound(f"{redact(url)}: HTTP {reply.status}")
        if reply.status != 200:
            raise SourceUnreachable(f"{redact(url)}: HTTP {reply.status}", url=redact(url))
        return reply.body

    async def fetch_all(self, files: Sequence[DistFile]) -> list[str]:
        """Bring files into the blobs, at the same time, and give their blobs' digests in order."""
        return await all_of(self.fetch(file) for file in files)

    def size_of(self, digest: str) -> int:
        """Give the bytes of a file that was fetched."""
        return self._fetcher.size_of(digest)

    async def flush(self) -> None:
        """Wait until all that was learnt is in the database. Raises `StorageFailed`."""
        await self._keeper.flush()


def _number(source: Source, database: Database) -> Numbered:
    digest, location = identify(source.spec)
    return Numbered(source, database.sources.identify(digest, source.spec.kind, location))


def _identity(spec: SourceSpec) -> list[object]:
    return [spec.name, *identify(spec), list(spec.projects)]
