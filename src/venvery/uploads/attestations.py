"""Attestations that come with an upload, kept as the provenance of the file (PEP 740).

It is checked that each is about this very file. Who signed it is not: that is for whoever relies on it, with
the trust roots that they choose.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from venvery.errors import UploadRefused
from venvery.model.digests import canonical_json
from venvery.uploads.refusing import shown

__all__ = ["provenance_of"]

_MOST = 16


def provenance_of(attestations: str, filename: str, sha256: str, who: str) -> bytes:
    """Give the provenance object of a file with these attestations. Raises `UploadRefused`."""
    try:
        listed = json.loads(attestations)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST:
        raise UploadRefused(f"{shown(filename)}: its attestations are no JSON list of attestations (PEP 740)")
    for attestation in listed:
        _check(attestation, filename, sha256)
    bundle = {"publisher": {"kind": "venvery", "claims": {"who": who}}, "attestations": listed}
    return canonical_json({"version": 1, "attestation_bundles": [bundle]})


def _check(attestation: Any, filename: str, sha256: str) -> None:
    try:
        if attestation["version"] != 1 or not isinstance(attestation["verification_material"], dict):
            raise ValueError
        envelope = attestation["envelope"]
        base64.b64decode(envelope["signature"], validate=True)
        statement = json.loads(base64.b64decode(envelope["statement"], validate=True))
        subjects = {(one["name"], one["digest"]["sha256"]) for one in statement["subject"]}
    except (KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        raise UploadRefused(
            f"{shown(filename)}: it came with an attestation that cannot be read (PEP 740)"
        ) from None
    if (filename, sha256) not in subjects:
        raise UploadRefused(f"{shown(filename)}: it came with an attestation for another file")
