"""Digests: SHA-256, written `sha256:` + 64 lower-case hex digits wherever a person or a program sees them."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from venvery.errors import BadInput

__all__ = ["canonical_json", "hex_of", "is_digest", "parse_digest", "sha256"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def sha256(data: bytes | bytearray | memoryview) -> str:
    """Give the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether `text` is a digest in our writing."""
    return _DIGEST.match(text) is not None


def parse_digest(text: str) -> str:
    """Check a digest that came from outside. Raises `BadInput`."""
    if not is_digest(text):
        raise BadInput(f"{text[:80]!r} is not a digest (sha256: and 64 hex digits)")
    return text


def hex_of(digest: str) -> str:
    """Give the bare 64 hex digits of a digest."""
    return digest[7:]


def canonical_json(value: Any) -> bytes:
    """Encode plain values so that equal values give equal bytes: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
