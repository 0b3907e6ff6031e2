"""Whole files: downloaded once, verified while they come in, kept while there is room."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.catalog.network import Broken, Network
from venvery.catalog.reporter import Reporter
from venvery.catalog.sharing import Shared
from venvery.catalog.sources.folders import path_of
from venvery.errors import SourceGarbage, SourceUnreachable, WrongHash
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import DistFile
from venvery.model.sources import redact
from venvery.storage.blobs import Blobs, Stored
from venvery.storage.leases import Lease

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Fetcher", "storage_key"]

PIECE = 1 << 20
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

    async def fetch(self, file: DistFile) -> str:
        """Give the digest of the blob that holds a file, fetching it when it is not there.

        Raises `WrongHash`, `SourceUnreachable`, `SourceGarbage`, `StorageFailed`; then nothing is kept.
        """
        return self.held(file) or await self._shared.get(storage_key(file), lambda: self._fetch(file))

    def held(self, file: DistFile) -> str | None:
        """Give the digest of the blob that holds a file; None when it was never fetched."""
        if file.sha256 is not None:
            digest = f"sha256:{file.sha256}"
            return digest if self._blobs.has(digest) else None
        stored = self._database.files.get(storage_key(file))
        return stored.digest if stored is not None and self._blobs.has(stored.digest) else None

    async def stop(self) -> None:
        """Cancel what is under way."""
        await self._shared.stop()

    async def _fetch(self, file: DistFile) -> str:
        path = path_of(file.url)
        lease = await asyncio.to_thread(self._blobs.hold)  # a blob is not removed before its row is there
        try:
            if path is not None:
                stored = await asyncio.to_thread(self._copy, file, path, lease)
            else:
                stored = await self._network.persist(file.url, lambda: self._download(file, lease))
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
        check = _Check(file)
        try:
            with path.open("rb") as source, self._blobs.incoming(expect=_expected(file)) as incoming:
                while piece := source.read(PIECE):
                    check.take(piece)
                    incoming.write(piece)
                check.end()
                return incoming.commit(keep=lease)
        except OSError as error:
            raise SourceUnreachable(f"{path}: {error.strerror or error}", url=str(path)) from error

    async def _download(self, file: DistFile, lease: Lease) -> Stored:
        """Download once. Raises `Broken` for what is worth another attempt."""
        async with self._network.open(file.url, {"Accept-Encoding": "identity"}) as response:
            if response.status_code != 200:
                url = redact(file.url)
                raise SourceUnreachable(f"{url}: HTTP {response.status_code}", url=url)
            length = response.headers.get("content-length", "")
            self._reporter.fetch_started(file, int(length) if length.isdigit() else file.size)
            check = _Check(file)
            with self._blobs.incoming(expect=_expected(file)) as incoming:
                async for piece in _pieces(response.aiter_raw()):
                    check.take(piece)
                    await asyncio.to_thread(incoming.write, piece)
                    self._reporter.fetch_advanced(file, len(piece))
                if length.isdigit() and incoming.size != int(length):
                    raise Broken(f"{incoming.size} of {length} bytes came", cut=True)
                check.end()
                return await asyncio.to_thread(incoming.commit, keep=lease)


class _Check:
    """Checks what the listing promises beside the SHA-256: the size, and other hashes."""

    def __init__(self, file: DistFile) -> None:
        self._file = file
        self._size = 0
        self._hashes = [(name, value, made) for name, value in file.hashes if (made := _hasher(name))]

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._file.size is not None and self._size > self._file.size:
            raise WrongHash(f"it has more than the promised {self._file.size} bytes")
        for _name, _value, made in self._hashes:
            made.update(piece)

    def end(self) -> None:
        file = self._file
        if file.size is not None and self._size != file.size:
            raise WrongHash(f"it has {self._size} bytes, not {file.size} as promised")
        for name, value, made in self._hashes:
            if made.hexdigest() != value:
                raise WrongHash(f"its {name} is {made.hexdigest()}, not {value} as promised")
        if self._size == 0:
            raise SourceGarbage(f"{file.filename} from {redact(file.url)} is empty", url=redact(file.url))


def _hasher(name: str) -> Any:
    if name == "blake2b_256":
        return hashlib.blake2b(digest_size=32)
    return hashlib.new(name) if name in hashlib.algorithms_guaranteed and not name.startswith("shake") else None


def _expected(file: DistFile) -> str | None:
    return None if file.sha256 is None else f"sha256:{file.sha256}"


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
