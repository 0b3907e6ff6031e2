"""Signed envelopes (DSSE 1.0) with Ed25519 keys (RFC 8032).

A key is written `ed25519:` + 43 characters, the public key's 32 bytes in URL-safe base64 without padding, and
that text is also the `keyid` of its signatures: whoever has an environment has the key that signed it, and
decides by comparing two short lines whether it is the right one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from venvery.errors import VerificationFailed
from venvery.model.keys import is_key, raw_key

__all__ = ["Envelope", "Signer", "open_envelope", "sign", "signed_by"]

MOST_SIGNATURES = 16


class Signer(Protocol):
    """A private key."""

    @property
    def key(self) -> str:
        """Its public key, as text."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Give the 64 bytes of the signature."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """What was signed, and by whom it claims to be; nothing is verified yet."""

    payload: bytes
    type: str
    signatures: tuple[tuple[str, bytes], ...]
    """(key, signature)"""


def sign(payload: bytes, payload_type: str, signer: Signer) -> bytes:
    """Put a payload into an envelope and sign it; equal arguments give equal bytes."""
    signature = {"keyid": signer.key, "sig": _encoded(signer.sign(_what_is_signed(payload, payload_type)))}
    envelope = {"payload": _encoded(payload), "payloadType": payload_type, "signatures": [signature]}
    return json.dumps(envelope, separators=(",", ":")).encode()


def open_envelope(encoded: bytes, payload_type: str) -> Envelope:
    """Read an envelope that may come from anyone. Raises `VerificationFailed`."""
    try:
        document = json.loads(encoded)
        found = Envelope(
            _decoded(document["payload"]),
            document["payloadType"],
            tuple((entry["keyid"], _decoded(entry["sig"])) for entry in document["signatures"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise VerificationFailed("the signed envelope cannot be read") from error
    if found.type != payload_type:
        raise VerificationFailed("the signed envelope holds something else than it should")
    if not found.signatures or len(found.signatures) > MOST_SIGNATURES:
        raise VerificationFailed("the envelope is not signed")
    if not all(is_key(key) for key, _signature in found.signatures):
        raise VerificationFailed("the envelope is signed in a way that is not known here")
    return found


def signed_by(envelope: Envelope, keys: Collection[str]) -> str | None:
    """Give the first of `keys` that has truly signed the envelope; None when none of them has."""
    for key, signature in envelope.signatures:
        if key in keys and _verifies(key, signature, _what_is_signed(envelope.payload, envelope.type)):
            return key
    return None


def _what_is_signed(payload: bytes, payload_type: str) -> bytes:
    """Join type and payload such that neither can be taken for the other (DSSE's pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _verifies(key: str, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(raw_key(key)).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """Decode base64, in either alphabet as DSSE allows."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
