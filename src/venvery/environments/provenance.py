"""What a server signs of an environment: an in-toto statement (v1) with SLSA provenance (v1).

Its subject is `.venvery/manifest.json`, which names every layer by digest; its materials are the wheels, each by
SHA-256 and source. Nothing in it depends on the time or the place, so that the same environment has the same
statement whenever it is asked for.
"""

from __future__ import annotations

import json
from typing import Any

from venvery.environments.manifest import Manifest, PinnedWheel
from venvery.errors import VerificationFailed
from venvery.model.digests import canonical_json, hex_of, sha256

__all__ = ["PAYLOAD_TYPE", "SUBJECT", "check_statement", "package_url", "statement"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUBJECT = ".venvery/manifest.json"

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "urn:venvery:environment:1"


def statement(manifest: Manifest, builder: str) -> bytes:
    """Write the statement about an environment; `builder` is the public key of the server that made it."""
    return canonical_json({
        "_type": _STATEMENT,
        "subject": [{"name": SUBJECT, "digest": {"sha256": hex_of(sha256(manifest.encoded))}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {"environment": manifest.key, "target": manifest.target.to_json()},
                "internalParameters": {"recipe": manifest.recipe},
                "resolvedDependencies": [_material(pin) for pin in manifest.pins],
            },
            "runDetails": {"builder": {"id": f"urn:venvery:server:{builder}"}},
        },
    })  # fmt: skip


def check_statement(payload: bytes, encoded_manifest: bytes) -> None:
    """Insist that a statement, whose signature was verified, is about these bytes. Raises `VerificationFailed`."""
    try:
        document = json.loads(payload)
        subjects = {entry["name"]: entry["digest"]["sha256"] for entry in document["subject"]}
        right = document["_type"] == _STATEMENT and document["predicateType"] == _PREDICATE
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise VerificationFailed("the signed statement cannot be read") from error
    if not right or subjects.get(SUBJECT) != hex_of(sha256(encoded_manifest)):
        raise VerificationFailed("the manifest is not the one that was signed")


def package_url(pin: PinnedWheel) -> str:
    """Name a release as a package URL."""
    return f"pkg:pypi/{pin.project}@{pin.version}"


def _material(pin: PinnedWheel) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": pin.filename,
        "uri": package_url(pin),
        "digest": {"sha256": pin.sha256},
        "annotations": {"source": pin.source, "size": pin.size},
    }
    return value | ({} if pin.url is None else {"downloadLocation": pin.url})
