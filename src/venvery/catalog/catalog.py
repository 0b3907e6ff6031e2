"""The catalog: what exists, whichever source has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from venvery.catalog.arrivals import Follower
from venvery.catalog.fetch import Fetcher
from venvery.catalog.hosts import Hosts, since
from venvery.catalog.keeper import Keeper
from venvery.catalog.listings import HeldListing, Listings, Numbered
from venvery.catalog.metadata import MetadataReader
from venvery.catalog.network import Network
from venvery.catalog.reporter import Reporter
from venvery.catalog.sharing import all_of
from venvery.catalog.sidecars import Sidecars
from venvery.catalog.sources import Source, identify, make_source
from venvery.catalog.stamps import Stamp
from venvery.errors import NotFound, SourceUnreachable
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata
from venvery.model.names import NormalizedName
from venvery.model.sources import NetworkSettings, SourceSpec, Union, redact

if TYPE_CHECKING:
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["Catalog"]


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
        self.clock = clock
        """Seconds since the epoch, as freshness counts them."""
        self._specs = tuple(sources)
        self.identity = sha256(canonical_json([union, [_identity(one) for one in self._specs]]))
        """Names the sources and how they are united: with others, equal requests have other answers."""
        self._database = database
        self._keeper = Keeper(database)
        reporter = reporter or Reporter()
        self._network = Network(
            network or NetworkSettings(),
            locations=[spec.location for spec in self._specs],
            reporter=reporter,
            sleep=sleep,
        )
        hosts = Hosts(database.sources.abilities(newer_than=since(clock())), self._keeper.ability)
        self._fetcher = Fetcher(self._network, database, blobs, reporter)
        self._metadata = MetadataReader(
            self._network, database, blobs, self._fetcher, hosts, self._keeper, reporter
        )
        self._sidecars = Sidecars(self._network, database, blobs, self._fetcher, self._metadata)
        self._listings = Listings(
            [self._number(make_source(spec, self._network, database.files)) for spec in self._specs],
            union=union,
            freshness=freshness,
            database=database,
            keeper=self._keeper,
            clock=clock,
            reporter=reporter,
        )

    async def __aenter__(self) -> Catalog:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listings.stop()
        await self._metadata.stop()
        await self._sidecars.stop()
        await self._fetcher.stop()
        try:
            await self._keeper.flush()
        except Exception:
            if error is None:  # else the first error is the one to tell
                raise
        finally:
            await self._network.__aexit__(kind, error, trace)

    @property
    def source_names(self) -> tuple[str, ...]:
        """What the sources are called, in their order."""
        return tuple(spec.name for spec in self._specs)

    def peek_listing(self, project: NormalizedName) -> Listing | None:
        """Give a listing that is held in memory and fresh; else None. Cheap, never waits."""
        return self._listings.peek(project)

    async def listings(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Listing]:
        """Give the listings of projects, none older than the freshness window.

        A project that every source says it does not have has a listing with `known=False`. Raises
        `SourceUnreachable` or `SourceGarbage` when a source fails, and `StorageFailed`.
        """
        self._keeper.check()
        return await self._listings.listings(projects)

    @property
    def changes(self) -> int:
        """A number that grows when any listing turns out to have changed; while it stays, none has."""
        return self._listings.changes

    async def held(self, project: NormalizedName) -> HeldListing | None:
        """Give what is held of a project, however old; no index is asked.

        None when a source that counts was never asked for it: then nobody knows what the listing is.
        """
        return await self._listings.held(project)

    def names(self) -> list[NormalizedName]:
        """List the projects that are known: those in folders, and those that indexes were asked for. Slow."""
        return self._listings.names()

    def peek_stamp(self, project: NormalizedName) -> Stamp | None:
        """Give the revision of a listing that is fresh, and how old that is; else None. Never waits."""
        return self._listings.peek_stamp(project)

    async def stamps(self, projects: Iterable[NormalizedName]) -> dict[NormalizedName, Stamp]:
        """Give the revisions of listings, each checked within the freshness window. Raises as `listings` does."""
        self._keeper.check()
        return await self._listings.stamps(projects)

    def forget(self, project: NormalizedName) -> None:
        """Say that a project has changed, as after an upload: it is read anew when it is next asked for."""
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

    async def follow(self, file: DistFile) -> str | Follower:
        """Give the digest of the blob that holds a file, or let it be read while it comes in.

        Raises as `fetch` does when it turns out before the first byte that it cannot be had.
        """
        return await self._fetcher.follow(file)

    async def sidecar(self, file: DistFile) -> str:
        """Give the digest of the blob that holds a file's metadata, as it is in the file (PEP 658).

        Raises `NotFound` when it has none to offer, and as `fetch` does.
        """
        return await self._sidecars.get(file)

    async def document(self, url: str, most: int) -> bytes:
        """Get a small document that a listing names, as provenance is. Raises `NotFound`, `SourceFailed`."""
        reply = await self._network.get(url, limit=most)
        if reply.status in (404, 410):
            raise NotFound(f"{redact(url)}: HTTP {reply.status}")
        if reply.status != 200:
            raise SourceUnreachable(f"{redact(url)}: HTTP {reply.status}", url=redact(url))
        return reply.body

    async def fetch_all(self, files: Sequence[DistFile]) -> list[str]:
        """Bring files into the blobs, at the same time, and give their blobs' digests in order."""
        return await all_of(self.fetch(file) for file in files)

    async def flush(self) -> None:
        """Wait until all that was learnt is in the database. Raises `StorageFailed`."""
        await self._keeper.flush()

    def _number(self, source: Source) -> Numbered:
        digest, location = identify(source.spec)
        return Numbered(source, self._database.sources.identify(digest, source.spec.kind, location))


def _identity(spec: SourceSpec) -> list[object]:
    return [spec.name, *identify(spec), list(spec.projects)]
