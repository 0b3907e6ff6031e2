"""The bill of materials of an environment (CycloneDX 1.6, JSON): releases, wheels' hashes, licences, dependencies.

It is made from the manifest alone and says nothing of when, so that the same environment has the same bill.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from venvery import __version__
from venvery.environments.manifest import Manifest, PinnedWheel
from venvery.environments.provenance import package_url
from venvery.model.digests import sha256

__all__ = ["SBOM_MEDIA_TYPE", "write_sbom"]

SBOM_MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"

_ROOT = "environment"


def write_sbom(manifest: Manifest) -> bytes:
    """Write the bill of materials."""
    urls = {pin.project: package_url(pin) for pin in manifest.pins}
    required = {project for pin in manifest.pins for project in pin.requires}
    roots = [pin for pin in manifest.pins if pin.requested or pin.project not in required]
    target = manifest.target
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_serial(manifest)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "venvery", "version": __version__}]},
            "component": {
                "type": "application",
                "bom-ref": _ROOT,
                "name": f"Python {target.python}{target.threads} environment for {target.platform}",
                "version": manifest.key,
            },
        },
        "components": [_component(pin) for pin in manifest.pins],
        "dependencies": [
            {"ref": _ROOT, "dependsOn": [urls[pin.project] for pin in roots]},
            *(
                {"ref": urls[pin.project], "dependsOn": [urls[name] for name in pin.requires if name in urls]}
                for pin in manifest.pins
            ),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _serial(manifest: Manifest) -> uuid.UUID:
    """Give a serial number that the manifest decides (RFC 9562, version 8: bits of one's own)."""
    bits = bytearray(bytes.fromhex(sha256(manifest.encoded)[7:39]))
    bits[6] = bits[6] & 0x0F | 0x80
    bits[8] = bits[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(bits))


def _component(pin: PinnedWheel) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": package_url(pin),
        "name": pin.project,
        "version": pin.version,
        "hashes": [{"alg": "SHA-256", "content": pin.sha256}],
        "purl": package_url(pin),
        "properties": [
            {"name": "venvery:wheel", "value": pin.filename},
            {"name": "venvery:source", "value": pin.source},
        ],
    }
    if pin.license:
        component["licenses"] = [_license(pin.license)]
    if pin.url:
        component["externalReferences"] = [{"type": "distribution", "url": pin.url}]
    return component


def _license(text: str) -> dict[str, Any]:
    try:
        return {"expression": str(canonicalize_license_expression(text))}
    except InvalidLicenseExpression:
        return {"license": {"name": text}}
