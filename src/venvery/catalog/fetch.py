"""Whole files: downloaded once, verified while they come in, kept while there is room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.catalog.arrivals import Arrival, Check, Follower, expected
from venvery.catalog.broken import Broken
from venvery.catalog.network import Network
from venvery.catalog.reporter import Reporter
from venvery.catalog.sharing import Shared
from venvery.catalog.sources.folders import path_of
from venvery.errors import SourceUnreachable, WrongHash
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import DistFile
from venvery.model.sources import redact
from venvery.storage.blobs import Blobs, Stored
from venvery.storage.leases import Lease

if TYPE_CHECKING:
    from venvery.catalog.transfers import Transfer
    from venvery.storage.database import Database

__all__ = ["Fetcher", "storage_key"]

PIECE = 256 * 1024
"""Bytes that are hashed and written at a time, away from the event loop."""


def storage_key(file: DistFile) -> str:
    """Give what names a file's bytes in the database.

    The SHA-256 where the source gives one. Else where the file lies and all that is said of it: the name that
    a configuration gives a source may mean another source tomorrow.
    """
    if file.sha256 is not None:
        return file.sha256
    return "at:" + sha256(canonical_json([file.url, file.size, file.hashes]))[7:]


class Fetcher:
    """Brings files into the blobs."""

    def __init__(self, network: Network, database: Database, blobs: Blobs, reporter: Reporter) -> None:
        self._network = network
        self._database = database
        self._blobs = blobs
        self._reporter = reporter
        self._shared: Shared[str, str] = Shared()
        self._arrivals: dict[str, Arrival] = {}

    async def fetch(self, file: DistFile) -> str:
        """Give the digest of the blob that holds a file, fetching it when it is not there.

        Raises `WrongHash`, `SourceUnreachable`, `SourceGarbage`, `StorageFailed`; then nothing is kept.
        """
        return self.held(file) or await self._shared.get(
            storage_key(file), lambda: self._fetch(file, self._arrive(file))
        )

    def held(self, file: DistFile) -> str | None:
        """Give the digest of the blob that holds a file; None when it was never fetched."""
        if file.sha256 is not None:
            digest = f"sha256:{file.sha256}"
            return digest if self._blobs.has(digest) else None
        stored = self._database.files.get(storage_key(file))
        return stored.digest if stored is not None and self._blobs.has(stored.digest) else None

    def size_of(self, digest: str) -> int:
        """Give the bytes of a file that was fetched. Raises `NotFound`."""
        return self._blobs.size(digest)

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def follow(self, file: DistFile) -> str | Follower:
        """Give the digest of the blob that holds a file, or let it be read while it comes in.

        Raises as `fetch` does when it turns out before the first byte that it cannot be had.
        """
        held = self.held(file)
        if held is not None:
            return held
        fetching = asyncio.ensure_future(self.fetch(file))
        try:
            return await self._follow(file, fetching)
        except BaseException:
            fetching.cancel()
            raise

    async def _follow(self, file: DistFile, fetching: asyncio.Future[str]) -> str | Follower:
        await asyncio.sleep(0)  # until it has begun, or joined what others have begun
        arrival = self._arrivals.get(storage_key(file))
        if arrival is not None and arrival.can_be_followed:
            await arrival.begun.wait()
            if not arrival.over:
                with suppress(FileNotFoundError):
                    return arrival.follow(fetching)
        return await fetching

    def _arrive(self, file: DistFile) -> Arrival:
        """Announce a file, before the task that fetches it has its first turn."""
        arrival = self._arrivals[storage_key(file)] = Arrival(file, self._blobs)
        return arrival

    async def _fetch(self, file: DistFile, arrival: Arrival) -> str:
        key = storage_key(file)
        try:
            return await self._bring(file, path_of(file.url), arrival)
        finally:
            arrival.end()
            arrival.drop()
            if self._arrivals.get(key) is arrival:  # else it was given up, and somebody has begun anew meanwhile
                del self._arrivals[key]

    async def _bring(self, file: DistFile, path: Path | None, arrival: Arrival) -> str:
        lease = await asyncio.to_thread(self._blobs.hold)  # a blob is not removed before its row is there
        try:
            if path is not None:
                stored = await asyncio.to_thread(self._copy, file, path, lease)
            else:
                stored = await self._network.persist(file.url, lambda: self._download(arrival, lease))
            await asyncio.to_thread(self._database.files.put, storage_key(file), stored)
        except WrongHash as wrong:
            raise WrongHash(
                f"{file.filename} from {redact(file.url)}: {wrong}",
                hint="the index promises other bytes than it serves; nothing was kept",
                **wrong.evidence,
            ) from None
        finally:
            lease.release()
        self._reporter.fetch_done(file)
        return stored.digest

    def _copy(self, file: DistFile, path: Path, lease: Lease) -> Stored:
        self._reporter.fetch_started(file, file.size)
        check = Check(file)
        try:
            with path.open("rb") as source, self._blobs.incoming(expect=expected(file)) as incoming:
                while piece := source.read(PIECE):
                    check.take(piece)
                    incoming.write(piece)
                check.end()
                return incoming.commit(keep=lease)
        except OSError as error:
            raise SourceUnreachable(f"{path}: {error.strerror or error}", url=str(path)) from error

    async def _download(self, arrival: Arrival, lease: Lease) -> Stored:
        """Download once, from where the last attempt ended. Raises `Broken` for what is worth another attempt."""
        file = arrival.file
        there = arrival.prepare()
        async with self._network.open(file.url, _headers(arrival, there)) as answer:
            start = _start_of(file, answer, there)
            length = answer.headers.get("content-length", "")
            total = start + int(length) if length.isdigit() else None
            self._reporter.fetch_started(file, total if total is not None else file.size)
            arrival.etag = answer.headers.get("etag")
            arrival.begin(total)
            passing = there - start
            async for piece in _pieces(answer.pieces()):
                new, passing = piece[passing:], max(0, passing - len(piece))
                if new:
                    await arrival.take(new)
                self._reporter.fetch_advanced(file, len(piece))
            if total is not None and arrival.written != total:
                raise Broken(f"the answer is cut off: {arrival.written} of {total} bytes came", cut=True)
            return await arrival.commit(lease)


def _headers(arrival: Arrival, there: int) -> dict[str, str]:
    """Ask for what is missing, and for all of it should the file have changed meanwhile."""
    headers = {"Accept-Encoding": "identity"}
    if there and arrival.etag and not arrival.etag.startswith("W/"):
        headers |= {"Range": f"bytes={there}-", "If-Range": arrival.etag}
    return headers


def _start_of(file: DistFile, answer: Transfer, there: int) -> int:
    """Tell at which byte of the file an answer begins. Raises `Broken`, `SourceUnreachable`."""
    if answer.status == 206 and there:
        if answer.headers.get("content-range", "").startswith(f"bytes {there}-"):
            return there
        raise Broken("another part came than was asked for")
    if answer.status != 200:
        url = redact(file.url)
        raise SourceUnreachable(f"{url}: HTTP {answer.status}", url=url)
    return 0


async def _pieces(raw: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join what the network gives into pieces worth a thread's while."""
    waiting, size = [], 0
    async for piece in raw:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
