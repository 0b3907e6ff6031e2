"""The two encodings of a fragment, each so that encoded fragments join by concatenation alone.

`zstd`: whole frames with their content size (RFC 8878); a large fragment is several frames, cut between
members, so that a client can unpack them side by side. `deflate`: a raw segment that looks back to nothing
before it and ends on a byte (RFC 1951; zlib's full flush), so that segments join into one gzip member,
which every reader of gzip takes to its end, those that stop after the first member too.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

try:
    from isal import isal_zlib as fast_zlib
except ImportError:  # not made for every machine
    import zlib as fast_zlib  # type: ignore[no-redef]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "DEFLATE_END",
    "GZIP_HEADER",
    "DeflateSegment",
    "DeflateWriter",
    "ZstdFrames",
    "ZstdWriter",
    "deflated",
    "gzip_trailer",
    "zstd",
    "zstd_frame",
]

ZSTD_LEVEL = 3
DEFLATE_LEVEL = 6
"""zlib's, for heads."""
FAST_LEVEL = min(3, fast_zlib.Z_BEST_COMPRESSION)
"""For layers. ISA-L's highest takes a tenth of zlib's time at 6, and 12 % more bytes."""
FRAME_SIZE = 16 << 20
"""Uncompressed bytes from which on a frame ends behind its current member."""
SPOOL = 4 << 20
"""Compressed bytes that are kept in memory before they go to a temporary file."""

GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""deflate, no flags, no time, default effort, unknown system (RFC 1952)."""
DEFLATE_END = b"\x03\0"
"""An empty final block."""
_CHECKED: dict[int, int] = {
    zstd.CompressionParameter.compression_level: ZSTD_LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


@dataclass(frozen=True, slots=True)
class ZstdFrames:
    """A fragment as zstd frames, which are one blob."""

    digest: str
    size: int
    frames: tuple[tuple[int, int], ...]
    """(compressed, uncompressed) size of every frame."""

    def to_json(self) -> dict[str, Any]:
        """Write as in the manifest."""
        return {"digest": self.digest, "size": self.size, "frames": [list(frame) for frame in self.frames]}

    @classmethod
    def from_json(cls, value: Any) -> ZstdFrames:
        """Read what `to_json` wrote."""
        frames = tuple((int(compressed), int(size)) for compressed, size in value["frames"])
        return cls(value["digest"], value["size"], frames)


@dataclass(frozen=True, slots=True)
class DeflateSegment:
    """A fragment as one raw deflate segment, which is a blob."""

    digest: str
    size: int
    crc32: int
    """Of the uncompressed bytes."""

    def to_json(self) -> dict[str, Any]:
        """Write as in the manifest."""
        return {"digest": self.digest, "size": self.size, "crc32": self.crc32}

    @classmethod
    def from_json(cls, value: Any) -> DeflateSegment:
        """Read what `to_json` wrote."""
        return cls(value["digest"], value["size"], value["crc32"])


class ZstdWriter:
    """Encodes a fragment while it is written. `begin` is told the size of a frame, `write` its bytes."""

    def __init__(self) -> None:
        self.spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
        self.frames: list[tuple[int, int]] = []
        self._compressor = zstd.ZstdCompressor(ZSTD_LEVEL)
        self._before = 0
        self._pledged = 0

    def begin(self, size: int) -> None:
        """Begin a frame that will hold `size` bytes."""
        self._compressor.set_pledged_input_size(size)
        self._pledged = size

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes to the frame."""
        self.spool.write(self._compressor.compress(data))

    def end(self) -> None:
        """End the frame."""
        self.spool.write(self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME))
        self.frames.append((self.spool.tell() - self._before, self._pledged))
        self._before = self.spool.tell()


class DeflateWriter:
    """Encodes a fragment while it is written."""

    def __init__(self) -> None:
        self.spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
        self.crc32 = 0
        self._compressor = fast_zlib.compressobj(FAST_LEVEL, zlib.DEFLATED, -15)

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes to the segment."""
        self.crc32 = fast_zlib.crc32(data, self.crc32)
        self.spool.write(self._compressor.compress(data))

    def end(self) -> None:
        """End the segment on a byte, not final."""
        self.spool.write(self._compressor.flush(zlib.Z_FULL_FLUSH))


@lru_cache(maxsize=256)
def deflated(data: bytes) -> bytes:
    """Encode a head as one segment. The last ones are remembered, for those who come back for the rest."""
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


@lru_cache(maxsize=256)
def zstd_frame(data: bytes) -> bytes:
    """Encode a head as one frame. The last ones are remembered, for those who come back for the rest.

    It carries a checksum of its content, for no digest covers a head.
    """
    return bytes(zstd.compress(data, options=_CHECKED))


def gzip_trailer(crc32: int, size: int) -> bytes:
    """End a gzip member: the CRC-32 and the size modulo 2^32 of all that was uncompressed."""
    return struct.pack("<LL", crc32, size & 0xFFFFFFFF)
