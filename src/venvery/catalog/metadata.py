"""Core metadata of files, by the cheapest way that works.

A wheel: the copy beside it (PEP 658) where the listing offers one; else its own METADATA through range
requests; else a copy beside it that was not offered, where its host is found to serve such; else the whole
file. An sdist: the copy beside it where offered, else its PKG-INFO if that is final (PEP 643).

Ranges come before what was not offered: a mirror that has the wheel answers them at once, and has to ask
elsewhere for a file of which its own listing says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from venvery.catalog.core_metadata import METADATA_LIMIT, read_metadata, read_pkg_info
from venvery.catalog.fetch import Fetcher, storage_key
from venvery.catalog.hosts import Hosts
from venvery.catalog.keeper import Keeper
from venvery.catalog.network import Network, Reply, origin_of
from venvery.catalog.remote_zip import DIRECTORY_LIMIT, TAIL, BadWheel, read_wheel_metadata
from venvery.catalog.reporter import Reporter
from venvery.catalog.sharing import Shared, all_of
from venvery.catalog.sources.folders import path_of
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.digests import sha256
from venvery.model.files import CoreMetadata, DistFile, NoMetadata
from venvery.model.sources import redact

if TYPE_CHECKING:
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["MetadataReader", "beside", "bytes_in_wheel"]

Known = CoreMetadata | NoMetadata
_FEW = 8


class MetadataReader:
    """Reads core metadata once and for all."""

    def __init__(
        self,
        network: Network,
        database: Database,
        blobs: Blobs,
        fetcher: Fetcher,
        hosts: Hosts,
        keeper: Keeper,
        reporter: Reporter,
    ) -> None:
        self._network = network
        self._database = database
        self._blobs = blobs
        self._fetcher = fetcher
        self._hosts = hosts
        self._keeper = keeper
        self._reporter = reporter
        self._shared: Shared[str, Known] = Shared()

    async def metadata(self, files: Sequence[DistFile]) -> dict[str, Known]:
        """Give the core metadata of files by `file.key`, or why there is none. Raises `SourceFailed`."""
        wanted = {storage_key(file): file for file in files}
        stored = {key: known for key in wanted if (known := self._keeper.pending_metadata(key)) is not None}
        if left := [key for key in wanted if key not in stored]:
            look = partial(self._database.metadata.get_many, left)
            # A few rows are there before a thread would have begun.
            stored |= look() if len(left) <= _FEW else await asyncio.to_thread(look)
        found = {}
        missing = []
        for key, file in wanted.items():
            if key in stored:
                found[file.key] = stored[key]
                self._reporter.metadata_read(file, "stored")
            else:
                missing.append((key, file))
        read = await all_of(self._shared.get(key, partial(self._read, key, file)) for key, file in missing)
        for (_key, file), one in zip(missing, read, strict=True):
            found[file.key] = one
        return found

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _read(self, key: str, file: DistFile) -> Known:
        if (known := self._keeper.pending_metadata(key)) is not None:  # came while the database was looked at
            return known
        how, found = await self._by_any_way(file)
        self._keeper.metadata(key, found)
        self._reporter.metadata_read(file, "none" if isinstance(found, NoMetadata) else how)
        return found

    async def _by_any_way(self, file: DistFile) -> tuple[str, Known]:
        digest = self._fetcher.held(file)
        if digest is not None:
            return "file", await asyncio.to_thread(self._from_blob, file, digest)
        path = path_of(file.url)
        if path is not None:
            return "file", await asyncio.to_thread(self._from_path, file, path)
        if file.core_metadata is not None and (found := await self._get_sidecar(file)) is not None:
            return "sidecar", found
        if file.kind == "wheel":
            if (found := await self._from_ranges(file)) is not None:
                return "ranges", found
            if file.core_metadata is None and (found := await self._from_unpromised_sidecar(file)) is not None:
                return "sidecar", found
        digest = await self._fetcher.fetch(file)
        return file.kind if file.kind == "sdist" else "file", await asyncio.to_thread(
            self._from_blob, file, digest
        )

    # beside the file

    async def _from_unpromised_sidecar(self, file: DistFile) -> Known | None:
        origin = origin_of(file.url)
        works = self._hosts.has(origin, "sidecar")
        if works is None:
            async with self._hosts.lock(origin, "sidecar"):
                works = self._hosts.has(origin, "sidecar")
                if works is None:
                    found = await self._get_sidecar(file)
                    self._hosts.saw(origin, "sidecar", found is not None)
                    return found
        return await self._get_sidecar(file) if works else None

    async def _get_sidecar(self, file: DistFile) -> Known | None:
        """Get the copy beside the file; None when it is not there, or is nothing that was promised."""
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
        read = read_metadata if file.kind == "wheel" else read_pkg_info
        found = read(reply.body, file)
        if isinstance(found, NoMetadata) and file.core_metadata is None:
            return None
        return found

    # out of the file, in pieces

    async def _from_ranges(self, file: DistFile) -> Known | None:
        """Read METADATA through range requests; None when that does not lead to it.

        What pieces of a file seem to lack is believed only of the whole, verified file.
        """
        data = await self.bytes_from_ranges(file)
        found = None if data is None else read_metadata(data, file)
        return None if isinstance(found, NoMetadata) else found

    async def bytes_from_ranges(self, file: DistFile) -> bytes | None:
        """Read METADATA as it is in a wheel, through range requests; None when that does not lead to it."""
        origin = origin_of(file.url)
        works = self._hosts.has(origin, "ranges")
        if works is None:
            async with self._hosts.lock(origin, "ranges"):
                works = self._hosts.has(origin, "ranges")
                if works is None:
                    tail = await self._tail(file)
                    self._hosts.saw(origin, "ranges", tail is not None)
                    return None if tail is None else await self._read_pieces(file, *tail)
        if not works or (tail := await self._tail(file)) is None:
            return None
        return await self._read_pieces(file, *tail)

    async def _read_pieces(self, file: DistFile, total: int, tail: bytes) -> bytes | None:
        async def read(start: int, end: int) -> bytes:
            reply = await self._range(file, f"bytes={start}-{end - 1}")
            if reply is None or _content_range(reply) != (start, total) or len(reply.body) != end - start:
                raise BadWheel("another range came than was asked for")
            return reply.body

        try:
            return await read_wheel_metadata(file.project, total, tail, read)
        except BadWheel:
            return None

    async def _tail(self, file: DistFile) -> tuple[int, bytes] | None:
        """Read the last bytes of a file, and learn its size."""
        if file.size is not None and file.size > TAIL:
            reply = await self._range(file, f"bytes={file.size - TAIL}-{file.size - 1}")
        else:
            reply = await self._range(file, f"bytes=-{TAIL}")
        if reply is None and (size := await self._size(file)) is not None:
            reply = await self._range(file, f"bytes={max(0, size - TAIL)}-{size - 1}")
        if reply is None:
            return None
        start, total = _content_range(reply)
        return (total, reply.body) if total and start + len(reply.body) == total else None

    async def _size(self, file: DistFile) -> int | None:
        """Ask for the size of a file whose host says that it answers ranges, but not counted from the end."""
        reply = await self._network.get(file.url, {"Accept-Encoding": "identity"}, method="HEAD")
        length = reply.headers.get("content-length", "")
        if reply.status != 200 or reply.headers.get("accept-ranges", "") != "bytes" or not length.isdigit():
            return None
        return int(length)

    async def _range(self, file: DistFile, wanted: str) -> Reply | None:
        """Read a range; None when the host answers otherwise, without waiting for the whole file then."""

        async def once() -> Reply | None:
            headers = {"Range": wanted, "Accept-Encoding": "identity"}
            async with self._network.open(file.url, headers) as answer:
                if answer.status in (401, 403, 404, 410):
                    url = redact(file.url)
                    raise SourceUnreachable(f"{url}: HTTP {answer.status}", url=url)
                if answer.status != 206:
                    return None
                return Reply(206, answer.headers, await answer.read(METADATA_LIMIT + DIRECTORY_LIMIT), answer.url)

        return await self._network.persist(file.url, once)

    # out of the whole file

    def _from_blob(self, file: DistFile, digest: str) -> Known:
        with self._blobs.open(digest) as data:
            return _from_file(file, data)

    def _from_path(self, file: DistFile, path: Path) -> Known:
        try:
            with path.open("rb") as data:
                return _from_file(file, data)
        except OSError as error:
            raise SourceUnreachable(f"{path}: {error.strerror or error}", url=str(path)) from error


def _from_file(file: DistFile, data: BinaryIO) -> Known:
    if file.kind == "sdist":
        from venvery.catalog.sdists import read_sdist_metadata

        return read_sdist_metadata(file, data)
    return _read_whole_wheel(file, data)


def _read_whole_wheel(file: DistFile, data: BinaryIO) -> Known:
    try:
        return read_metadata(bytes_in_wheel(file, data), file)
    except BadWheel as bad:
        return NoMetadata(str(bad))


def bytes_in_wheel(file: DistFile, data: BinaryIO) -> bytes:
    """Read METADATA as it is in a whole wheel. Raises `BadWheel`."""
    total = data.seek(0, 2)

    async def read(start: int, end: int) -> bytes:
        data.seek(start)
        return data.read(end - start)

    data.seek(max(0, total - TAIL))
    reading = read_wheel_metadata(file.project, total, data.read(), read)
    try:
        reading.send(None)  # `read` never waits, so one step runs to the end
    except StopIteration as done:
        found: bytes = done.value
        return found
    raise AssertionError("reading a local file waited for something")


def beside(url: str) -> str:
    """Give the URL of the metadata beside a file (PEP 658): `.metadata` behind the path, before any query."""
    path, question, query = url.partition("?")
    return f"{path}.metadata{question}{query}"


def _content_range(reply: Reply) -> tuple[int, int]:
    """Read `Content-Range: bytes START-END/TOTAL` as (START, TOTAL); (0, 0) when it cannot be."""
    unit, _, rest = reply.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit.lower() != "bytes" or not start.isdigit() or not total.isdigit():
        return 0, 0
    return int(start), int(total)
