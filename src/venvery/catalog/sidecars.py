"""The METADATA of a wheel as a file of its own (PEP 658): the very bytes that are in the wheel.

Taken from the copy that the source offers beside the file, else out of the wheel; kept as a blob, since clients
are told its hash and must get the same bytes ever after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from venvery.catalog.core_metadata import METADATA_LIMIT
from venvery.catalog.fetch import Fetcher, storage_key
from venvery.catalog.metadata import MetadataReader, beside, bytes_in_wheel
from venvery.catalog.network import Network
from venvery.catalog.remote_zip import BadWheel
from venvery.catalog.sharing import Shared
from venvery.catalog.sources.folders import path_of
from venvery.errors import NotFound, SourceGarbage, SourceUnreachable
from venvery.model.digests import sha256
from venvery.model.files import DistFile
from venvery.model.sources import redact

if TYPE_CHECKING:
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["Sidecars", "sidecar_key"]


def sidecar_key(file: DistFile) -> str:
    """Give what names a file's METADATA in the database."""
    return "metadata:" + storage_key(file)


class Sidecars:
    """Metadata files, read once and kept."""

    def __init__(
        self, network: Network, database: Database, blobs: Blobs, fetcher: Fetcher, reader: MetadataReader
    ) -> None:
        self._network = network
        self._database = database
        self._blobs = blobs
        self._fetcher = fetcher
        self._reader = reader
        self._shared: Shared[str, str] = Shared()

    async def get(self, file: DistFile) -> str:
        """Give the digest of the blob that holds a file's metadata.

        Raises `NotFound` when it has none to offer, `SourceFailed`, `StorageFailed`.
        """
        return self.held(file) or await self._shared.get(storage_key(file), lambda: self._read(file))

    def held(self, file: DistFile) -> str | None:
        """Give the digest of the blob when it is there."""
        if file.core_metadata:
            digest = f"sha256:{file.core_metadata}"
            if self._blobs.has(digest):
                return digest
        stored = self._database.files.get(sidecar_key(file))
        return stored.digest if stored is not None and self._blobs.has(stored.digest) else None

    def known(self, files: Iterable[DistFile]) -> Mapping[str, str]:
        """Give the hashes (hex) that were learnt of some files' metadata, by `sidecar_key`."""
        stored = self._database.files.get_many([sidecar_key(file) for file in files])
        return {key: one.digest[7:] for key, one in stored.items()}

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _read(self, file: DistFile) -> str:
        data = await self._bytes(file)
        lease = await asyncio.to_thread(self._blobs.hold)
        try:
            stored = await asyncio.to_thread(self._blobs.put, data, keep=lease)
            await asyncio.to_thread(self._database.files.put, sidecar_key(file), stored)
        finally:
            lease.release()
        return stored.digest

    async def _bytes(self, file: DistFile) -> bytes:
        digest = self._fetcher.held(file)
        if digest is None and path_of(file.url) is None:
            if file.core_metadata is not None and (data := await self._beside(file)) is not None:
                return data
            if file.kind == "wheel" and (data := await self._reader.bytes_from_ranges(file)) is not None:
                return data
        if file.kind != "wheel":
            raise NotFound(f"{file.filename} has no metadata beside it")
        path = path_of(file.url)
        if digest is None and path is not None:
            try:
                return await asyncio.to_thread(lambda: _from_wheel(file, path.open("rb")))
            except OSError as error:
                raise SourceUnreachable(f"{path}: {error.strerror or error}", url=str(path)) from error
        held = digest or await self._fetcher.fetch(file)
        return await asyncio.to_thread(lambda: _from_wheel(file, self._blobs.open(held)))

    async def _beside(self, file: DistFile) -> bytes | None:
        """Get the copy that the source promises; None when it is not there after all."""
        url = beside(file.url)
        reply = await self._network.get(url, limit=METADATA_LIMIT)
        if reply.status != 200:
            return None
        if file.core_metadata and sha256(reply.body) != f"sha256:{file.core_metadata}":
            raise SourceGarbage(
                f"{redact(url)}: the metadata is not what the listing promises (its SHA-256 differs)",
                hint="the index lists metadata that does not belong to the file; nothing was kept",
                url=redact(url),
            )
        return reply.body


def _from_wheel(file: DistFile, data: BinaryIO) -> bytes:
    with data:
        try:
            return bytes_in_wheel(file, data)
        except BadWheel as bad:
            raise NotFound(f"{file.filename} has no metadata: {bad}") from None
