"""Plain values as compressed JSON, for columns that are only ever read whole (zstd, RFC 8878)."""

from __future__ import annotations

import sys
from typing import Any

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["pack", "pack_written", "unpack"]

_LEVEL = 3


def pack(value: Any) -> bytes:
    """Encode and compress a plain value."""
    return zstd.compress(orjson.dumps(value), _LEVEL)


def pack_written(written: bytes) -> bytes:
    """Compress what is JSON already."""
    return zstd.compress(written, _LEVEL)


def unpack(data: bytes) -> Any:
    """Read back what `pack` made."""
    return orjson.loads(zstd.decompress(data))
