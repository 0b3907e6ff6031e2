"""The archive of an environment: head, layers and end, joined. Nothing is compressed again, nothing is stored.

`zstd`: frames behind one another. `gzip`: one member, made of the deflate segments under one checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from venvery.environments import tar
from venvery.environments.checksums import crc32_combine
from venvery.environments.encodings import (
    DEFLATE_END,
    GZIP_HEADER,
    deflated,
    gzip_trailer,
    zstd_frame,
)
from venvery.environments.fragments import BlobReader
from venvery.environments.head import Encoding
from venvery.environments.layers import LayerInfo
from venvery.environments.manifest import Layer, Manifest
from venvery.model.digests import canonical_json, sha256

__all__ = ["Archive", "layer_archive"]

CHUNK = 1 << 20
"""Bytes that are read at a time; large ones are what makes Python as fast as a file server."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the archive: a blob by its digest, or bytes."""

    size: int
    blob: str | None = None
    data: bytes = b""

    @property
    def name(self) -> str:
        """What identifies its bytes."""
        return self.blob or sha256(self.data)


@dataclass(frozen=True, slots=True)
class _Part:
    """A fragment, or what stands for it: its encoded piece and what the checksum needs to know."""

    piece: _Piece
    size: int
    crc32: int


class Archive:
    """An archive that is not there until it is read, from any byte on."""

    def __init__(
        self,
        manifest: Manifest,
        head: bytes,
        blobs: BlobReader,
        encoding: Encoding,
        skip: frozenset[str] = frozenset(),
    ) -> None:
        """Join a head with the layers of its manifest, but for those that the client has (`skip`).

        The head is to be made with the same encoding and the same layers skipped.
        """
        layers = [_layer_part(layer, encoding) for layer in manifest.layers if layer.digest not in skip]
        parts = [_bytes_part(head, encoding), *layers, _bytes_part(tar.END, encoding)]
        self._join(parts, blobs, encoding)

    @classmethod
    def _of(cls, parts: Sequence[_Part], blobs: BlobReader, encoding: Encoding) -> Archive:
        archive = cls.__new__(cls)
        archive._join(parts, blobs, encoding)
        return archive

    def _join(self, parts: Sequence[_Part], blobs: BlobReader, encoding: Encoding) -> None:
        self._blobs = blobs
        self._encoding = encoding
        pieces = [part.piece for part in parts]
        if encoding == "gzip":
            crc32 = size = 0
            for part in parts:
                crc32 = crc32_combine(crc32, part.crc32, part.size)
                size += part.size
            pieces.insert(0, _piece(GZIP_HEADER))
            pieces.append(_piece(DEFLATE_END + gzip_trailer(crc32, size)))
        self._pieces = pieces
        self._starts = [0, *accumulate(piece.size for piece in pieces)]

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self._starts[-1]

    @property
    def blobs(self) -> tuple[str, ...]:
        """The digests of all blobs that it is read from."""
        return tuple(piece.blob for piece in self._pieces if piece.blob is not None)

    @cached_property
    def etag(self) -> str:
        """A strong entity tag, quoted (RFC 9110, section 8.8.3): equal tags, equal bytes."""
        return f'"{sha256(canonical_json([piece.name for piece in self._pieces]))[7:]}"'

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes from `start` to before `stop`; None: to the end. Constant memory."""
        stop = self.length if stop is None else min(stop, self.length)
        for piece, begin in zip(self._pieces, self._starts, strict=False):
            first, last = max(0, start - begin), min(piece.size, stop - begin)
            if first >= last:
                continue
            if piece.blob is None:
                yield piece.data[first:last]
            else:
                yield from self._blobs.stream(piece.blob, first, last, CHUNK)


def layer_archive(layer: Layer | LayerInfo, blobs: BlobReader, encoding: Encoding) -> Archive:
    """Give one layer alone: its fragment, without end blocks, as zstd frames or as one gzip member."""
    return Archive._of([_layer_part(layer, encoding)], blobs, encoding)


def _layer_part(layer: Layer | LayerInfo, encoding: Encoding) -> _Part:
    blob = layer.zstd if encoding == "zstd" else layer.deflate
    return _Part(_Piece(blob.size, blob.digest), layer.size, layer.deflate.crc32)


def _bytes_part(data: bytes, encoding: Encoding) -> _Part:
    encoded = zstd_frame(data) if encoding == "zstd" else deflated(data)
    return _Part(_piece(encoded), len(data), zlib.crc32(data))


def _piece(data: bytes) -> _Piece:
    return _Piece(len(data), data=data)
