"""Files of a view: looked up in its listings, brought in on first use, opened.

A digest is not a permission: whoever names one gets the file only where the view lists it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from venvery.catalog.arrivals import Follower
from venvery.catalog.fetch import storage_key
from venvery.catalog.page_writers import file_id
from venvery.errors import NotFound, StorageFailed
from venvery.model.files import DistFile, Listing
from venvery.model.names import NormalizedName
from venvery.model.sources import UPLOADED

if TYPE_CHECKING:
    from venvery.catalog.catalog import Catalog
    from venvery.services.simple_api import SimpleApi
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["FileServing", "Opened"]

PROVENANCE_LIMIT = 4 * 2**20
"""Bytes of a provenance object (PEP 740)."""
TRIES = 3


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is here, open; it stays readable should it be removed meanwhile."""

    data: BinaryIO
    size: int
    digest: str


class FileServing:
    """The files of one view."""

    def __init__(self, catalog: Catalog, database: Database, blobs: Blobs, simple: SimpleApi) -> None:
        self._catalog = catalog
        self._database = database
        self._blobs = blobs
        self._simple = simple
        self._refreshing: set[asyncio.Future[object]] = set()

    async def stop(self) -> None:
        """End what is under way."""
        for refreshing in list(self._refreshing):
            refreshing.cancel()
        await asyncio.gather(*self._refreshing, return_exceptions=True)

    async def find(self, project: NormalizedName, identity: str, filename: str) -> DistFile:
        """Find a file by what its URL says. Raises `NotFound`, `SourceFailed`.

        What a URL names does not change, so a listing that is held will do, however old, and is looked at anew on
        the side. Only what it does not have is waited for.
        """
        listing = self._catalog.peek_listing(project)
        if listing is not None and (file := self._in(listing, identity, filename)) is not None:
            return file
        held = await self._catalog.held(project) if listing is None else None
        if held is not None and (file := self._in(held.listing, identity, filename)) is not None:
            self._refresh(project)
            return file
        file = self._in(await self._simple.listing(project), identity, filename)
        if file is None:
            raise NotFound(f"{project} has no file {filename[:200]!r} of that hash here")
        return file

    async def open(self, file: DistFile) -> Opened | Follower:
        """Open a file; when it is not here yet, what comes in of it can be followed.

        Raises `SourceFailed`, `StorageFailed`.
        """
        for _ in range(TRIES):
            found = await self._catalog.follow(file)
            if isinstance(found, Follower):
                return found
            try:
                return self._opened(found)
            except NotFound:  # removed in this moment
                continue
        raise StorageFailed(
            "files are removed faster than they can be sent",
            hint="the data folder is too small for what it is asked for: raise max-size",
        )

    async def whole(self, file: DistFile) -> Opened:
        """Open a file when all of it is here. Raises as `open` does."""
        learns = file.sha256 is None and not self._catalog.has(file)
        digest = await self._catalog.fetch(file)
        if learns:
            await asyncio.to_thread(self._simple.forget, file.project)
        try:
            return self._opened(digest)
        except NotFound:
            return self._opened(await self._catalog.fetch(file))

    async def metadata(self, file: DistFile) -> Opened:
        """Open a file's metadata (PEP 658). Raises `NotFound` when it has none to offer, and as `open` does."""
        digest = await self._catalog.sidecar(file)
        try:
            return self._opened(digest)
        except NotFound:
            return self._opened(await self._catalog.sidecar(file))

    async def provenance(self, file: DistFile) -> bytes:
        """Give a file's provenance object (PEP 740). Raises `NotFound`, `SourceFailed`."""
        if file.provenance is None:
            raise NotFound(f"{file.filename} has no provenance")
        if file.provenance.startswith(UPLOADED):
            return await asyncio.to_thread(self._uploaded_provenance, file)
        return await self._catalog.document(file.provenance, PROVENANCE_LIMIT)

    def _uploaded_provenance(self, file: DistFile) -> bytes:
        hosted = self._database.hosted.file(file.source, file.filename)
        if hosted is None or hosted.provenance is None:
            raise NotFound(f"{file.filename} has no provenance")
        return self._blobs.read(hosted.provenance)

    def _opened(self, digest: str) -> Opened:
        self._blobs.use(digest)
        data = self._blobs.open(digest)
        size = data.seek(0, 2)
        return Opened(data, size, digest)

    def _in(self, listing: Listing, identity: str, filename: str) -> DistFile | None:
        place = bisect_left(listing.files, filename, key=lambda file: file.filename)
        if place == len(listing.files) or listing.files[place].filename != filename:
            return None
        if listing.status is not None and listing.status.state == "quarantined":
            return None
        file = listing.files[place]
        if file_id(file, file.sha256) == identity:
            return file
        if file.sha256 is None:
            stored = self._database.files.get(storage_key(file))
            if stored is not None and stored.digest == f"sha256:{identity}":
                return file
        return None

    def _refresh(self, project: NormalizedName) -> None:
        if len(self._refreshing) < 100:
            refreshing: asyncio.Future[object] = asyncio.ensure_future(self._simple.listing(project))
            self._refreshing.add(refreshing)
            refreshing.add_done_callback(self._refreshed)

    def _refreshed(self, refreshing: asyncio.Future[object]) -> None:
        self._refreshing.discard(refreshing)
        if not refreshing.cancelled():
            refreshing.exception()  # looked at: whoever needs the listing hears of it
