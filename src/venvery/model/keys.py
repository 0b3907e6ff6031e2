"""Public keys of servers: `ed25519:` + the 32 bytes in URL-safe base64 without padding (43 characters)."""

from __future__ import annotations

import base64
import re

from venvery.errors import BadInput

__all__ = ["is_key", "parse_key", "raw_key"]

_KEY = re.compile(r"ed25519:[A-Za-z0-9_-]{43}\Z")


def is_key(text: object) -> bool:
    """Tell whether something is a public key as we write it."""
    return isinstance(text, str) and _KEY.match(text) is not None


def parse_key(text: str) -> str:
    """Check a public key that a person gave. Raises `BadInput`."""
    if not is_key(text):
        raise BadInput(
            f"{text[:80]!r} is not a public key",
            hint="it reads ed25519: and 43 characters, as GET /v1/keys shows it",
        )
    return text


def raw_key(key: str) -> bytes:
    """Give the 32 bytes of a key that `is_key`."""
    return base64.urlsafe_b64decode(key.removeprefix("ed25519:") + "=")
