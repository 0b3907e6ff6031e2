"""Writes a fragment once, and has its digest and both encodings at the end of that one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Protocol, cast

from venvery.environments import tar
from venvery.environments.encodings import FRAME_SIZE, DeflateSegment, DeflateWriter, ZstdFrames, ZstdWriter

__all__ = ["BlobReader", "BlobWriter", "Fragment", "FragmentWriter", "Planned", "Stored"]

_BUFFER = 256 << 10


class Stored(Protocol):
    """What a blob store says of bytes that it has taken."""

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        ...

    @property
    def size(self) -> int:
        """How many they are."""
        ...


class BlobWriter(Protocol):
    """The side of a blob store that layers are written to."""

    def put(self, data: bytes | Path | BinaryIO | Iterable[bytes]) -> Stored:
        """Keep the bytes; those that are there already are not written again."""
        ...


class BlobReader(Protocol):
    """The side of a blob store that archives are read from."""

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading."""
        ...

    def stream(self, digest: str, start: int = 0, end: int | None = None, chunk: int = 1 << 20) -> Iterator[bytes]:
        """Give the bytes from `start` to before `end`, in chunks."""
        ...


@dataclass(frozen=True, slots=True)
class Planned:
    """A file that the fragment will hold."""

    path: str
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment that is written and kept."""

    digest: str
    """Of the uncompressed bytes: no compressor's version has a say in it."""
    size: int
    files: int
    zstd: ZstdFrames
    deflate: DeflateSegment


class FragmentWriter:
    """Writes the planned files in the planned order, which is sorted by path.

    Used as a context, so that what was spooled is gone when something goes wrong.
    """

    def __init__(self, plan: Sequence[Planned]) -> None:
        self._frames = list(_cut(plan))
        self._plan = iter(plan)
        self._files = len(plan)
        self._sha256 = hashlib.sha256()
        self._zstd = ZstdWriter()
        self._deflate = DeflateWriter()
        self._buffer = bytearray()
        self._size = 0
        self._left = 0
        """Bytes that the current frame still waits for."""

    def __enter__(self) -> FragmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zstd.spool.close()
        self._deflate.spool.close()

    def add(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write the next planned file. Raises `ValueError` when it is another, or has another size."""
        planned = next(self._plan)
        if planned.path != path:
            raise ValueError(f"{planned.path} was to come next, not {path}")
        if not self._left:
            self._left = self._frames.pop(0)
            self._zstd.begin(self._left)
        self._write(tar.header(path, planned.size, executable=planned.executable))
        written = 0
        for chunk in chunks:
            written += len(chunk)
            self._write(chunk)
        if written != planned.size:
            raise ValueError(f"{path} has {written} bytes, not the {planned.size} that were planned")
        self._write(tar.padding(written))
        if not self._left:
            self._flush()
            self._zstd.end()

    def finish(self, blobs: BlobWriter) -> Fragment:
        """Keep both encodings."""
        if self._frames or self._left or next(self._plan, None) is not None:
            raise ValueError("the fragment is not whole yet")
        self._deflate.end()
        return Fragment(
            "sha256:" + self._sha256.hexdigest(),
            self._size,
            self._files,
            ZstdFrames(*_keep(self._zstd.spool, blobs), tuple(self._zstd.frames)),
            DeflateSegment(*_keep(self._deflate.spool, blobs), self._deflate.crc32),
        )

    def _write(self, data: bytes) -> None:
        self._buffer += data
        self._left -= len(data)
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        self._size += len(self._buffer)
        self._sha256.update(self._buffer)
        self._zstd.write(self._buffer)
        self._deflate.write(self._buffer)
        self._buffer = bytearray()


def _cut(plan: Iterable[Planned]) -> Iterator[int]:
    """Give the size of every frame: members are added until there is enough."""
    size = 0
    for planned in plan:
        size += len(tar.header(planned.path, planned.size)) + planned.size + -planned.size % 512
        if size >= FRAME_SIZE:
            yield size
            size = 0
    if size:
        yield size


def _keep(spool: IO[bytes], blobs: BlobWriter) -> tuple[str, int]:
    spool.seek(0)
    stored = blobs.put(cast("BinaryIO", spool))
    return stored.digest, stored.size
