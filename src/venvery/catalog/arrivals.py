"""A file that is coming in: whoever wants it reads what is there while the rest still comes.

What is read before the end is not verified yet. So its last byte is held back until everything was found to be
what the listing promises: nobody ever has the whole of a wrong file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

from venvery.errors import SourceGarbage, StorageFailed, WrongHash
from venvery.model.files import DistFile
from venvery.model.sources import redact
from venvery.storage.blobs import Blobs, Incoming, Stored
from venvery.storage.leases import Lease

__all__ = ["Arrival", "Check", "Follower", "expected"]

PIECE = 256 * 1024
"""Bytes that are read at a time for one who follows."""
HELD_BACK = 1


class Arrival:
    """One file on its way into the blobs, over as many attempts as it takes."""

    def __init__(self, file: DistFile, blobs: Blobs) -> None:
        self.file = file
        self.size: int | None = file.size
        """Bytes in all, where the listing or the host says so."""
        self.etag: str | None = None
        self.begun = asyncio.Event()
        """Set when the host has agreed to send it, or it is clear that it will not."""
        self.over = False
        """True when nothing more comes."""
        self._blobs = blobs
        self._incoming: Incoming | None = None
        self._check = Check(file)
        self._changed = asyncio.Event()

    @property
    def written(self) -> int:
        """How many bytes are there."""
        return 0 if self._incoming is None else self._incoming.size

    @property
    def can_be_followed(self) -> bool:
        """Only what the listing gives a SHA-256 of is sent on before all of it is there."""
        return self.file.sha256 is not None

    def prepare(self) -> int:
        """Make ready for another attempt; give how many bytes need not come again.

        They are verified with the rest. Where no SHA-256 is promised nothing would, so all of it comes again.
        """
        if self._incoming is None or not self.can_be_followed:
            self.drop()
            self._check = Check(self.file)
            self._incoming = self._blobs.incoming(expect=expected(self.file))
        return self.written

    def begin(self, size: int | None) -> None:
        """Say that bytes will come, and how many there are in all."""
        if self.size is None:
            self.size = size
        self.begun.set()

    async def take(self, piece: bytes) -> None:
        """Append bytes. Raises `WrongHash` for more than was promised, `StorageFailed`."""
        assert self._incoming is not None
        self._check.take(piece)
        await asyncio.to_thread(self._incoming.write, piece)
        self._tell()

    async def commit(self, keep: Lease) -> Stored:
        """Verify everything and keep it. Raises `WrongHash`, `SourceGarbage`, `StorageFailed`."""
        assert self._incoming is not None
        self._check.end()
        return await asyncio.to_thread(self._incoming.commit, keep=keep)

    def end(self) -> None:
        """Say that nothing more comes, whether it went well or not."""
        self.over = True
        self.begun.set()
        self._tell()

    def drop(self) -> None:
        """Throw away what is there and not committed."""
        if self._incoming is not None:
            self._incoming.abandon()
            self._incoming = None

    def follow(self, fetching: asyncio.Future[str]) -> Follower:
        """Read along. Raises `FileNotFoundError` when it has just got its place among the blobs, or is gone."""
        assert self._incoming is not None
        return Follower(self, self._incoming.read_along(), fetching)

    async def change(self, since: int) -> None:
        """Wait until more is there than `since`, or nothing more comes."""
        while self.written <= since and not self.over:
            await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Follower:
    """One who reads a file while it comes in; to be closed."""

    def __init__(self, arrival: Arrival, descriptor: int, fetching: asyncio.Future[str]) -> None:
        self.size = arrival.size
        self._arrival = arrival
        self._descriptor = descriptor
        self._fetching = fetching
        """Keeps the file coming for as long as anyone wants it."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the bytes as they come, the last one when all were verified. Raises as `fetch` does."""
        position = 0
        while not self._fetching.done():
            ready = self._arrival.written - HELD_BACK
            if position < ready:
                piece = os.pread(self._descriptor, min(PIECE, ready - position), position)
                position += len(piece)
                yield piece
            elif self._arrival.over:
                break
            else:
                await self._arrival.change(position + HELD_BACK)
        await self._fetching
        while piece := os.pread(self._descriptor, PIECE, position):
            position += len(piece)
            yield piece
        if self.size is not None and position != self.size:
            raise StorageFailed(
                f"{position} of the {self.size} bytes of {self._arrival.file.filename} can be read"
            )

    def close(self) -> None:
        """Stop reading; when nobody else wants the file, it stops coming."""
        self._fetching.cancel()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Check:
    """Checks what the listing promises beside the SHA-256: the size, and other hashes."""

    def __init__(self, file: DistFile) -> None:
        self._file = file
        self._size = 0
        self._hashes = [(name, value, made) for name, value in file.hashes if (made := _hasher(name))]

    def take(self, piece: bytes) -> None:
        """Look at further bytes. Raises `WrongHash`."""
        self._size += len(piece)
        if self._file.size is not None and self._size > self._file.size:
            raise WrongHash(f"it has more than the promised {self._file.size} bytes")
        for _name, _value, made in self._hashes:
            made.update(piece)

    def end(self) -> None:
        """Judge the whole. Raises `WrongHash`, `SourceGarbage`."""
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


def expected(file: DistFile) -> str | None:
    """Give the digest that a file's blob must have; None when its source does not say."""
    return None if file.sha256 is None else f"sha256:{file.sha256}"
