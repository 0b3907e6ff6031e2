"""Blobs that stay while a piece of work needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from venvery.storage.blobs import CHUNK, Blobs, Stored, storage_errors

__all__ = ["KeptBlobs"]


class KeptBlobs:
    """The blobs, for one piece of work: what it puts, and what it says it needs, stays until the work is done."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lease = blobs.hold()

    def __enter__(self) -> KeptBlobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.release()

    def need(self, digests: Iterable[str]) -> None:
        """Take in blobs that are there. Raises `NotFound` when one is not."""
        wanted = list(digests)
        with self._blobs.leases.begin():
            self._blobs.expect(wanted)
            with storage_errors("hold"):
                self._lease.add(wanted)

    def put(self, data: bytes | Path | BinaryIO | Iterable[bytes]) -> Stored:
        """Store bytes, as `Blobs.put` does."""
        return self._blobs.put(data, keep=self._lease)

    def open(self, digest: str) -> BinaryIO:
        """Open a blob, as `Blobs.open` does."""
        return self._blobs.open(digest)

    def stream(self, digest: str, start: int = 0, end: int | None = None, chunk: int = CHUNK) -> Iterator[bytes]:
        """Give a blob's bytes, as `Blobs.stream` does."""
        return self._blobs.stream(digest, start, end, chunk)
