"""An environment on disk, as its own documents describe it: nothing in them is trusted, all of it is checked.

`.venvery/` holds `manifest.json`, `head.json`, `parts.json`, and where they were sent `provenance.json`,
`keys.json` and `sbom.json`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from venvery.environments.head import HeadOptions, read_head_options
from venvery.environments.manifest import Layer, Manifest, PinnedWheel
from venvery.environments.parts import HeadParts
from venvery.errors import BadInput, StorageFailed, VerificationFailed
from venvery.model.digests import is_digest

__all__ = ["DOCUMENTS", "Installed", "open_installed", "read_document"]

DOCUMENTS = ("manifest.json", "head.json", "parts.json", "provenance.json", "keys.json", "sbom.json")
LARGEST = 64 << 20
"""Bytes of a document that is read."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_MINOR = re.compile(r"3\.\d{1,3}\Z")


@dataclass(frozen=True, slots=True)
class Installed:
    """What an environment says of itself."""

    root: Path
    manifest: Manifest
    encoded: bytes
    """The bytes of its manifest, which is what is signed."""
    options: HeadOptions
    """Where it was made for."""
    about: dict[str, Any]
    """Its head.json."""
    parts: HeadParts


def open_installed(directory: Path) -> Installed:
    """Read the documents of an environment.

    Raises `BadInput` for a folder that is no environment of ours, `VerificationFailed` for one whose documents
    are damaged, hostile or contradict each other.
    """
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - `..` goes, links stay as they are named
    if not (root / ".venvery" / "manifest.json").is_file():
        what = "is no environment that venvery made" if root.is_dir() else "is not there"
        raise BadInput(f"{directory} {what}", hint="it would have a file .venvery/manifest.json")
    encoded = read_document(root, "manifest.json") or b""
    manifest = _read_manifest(encoded)
    about = _parse(read_document(root, "head.json"), "head.json")
    options = read_head_options(about)
    parts = HeadParts.from_json(_parse(read_document(root, "parts.json"), "parts.json"))
    if parts.digest != manifest.parts:
        raise VerificationFailed("the environment's parts.json is not the one that its manifest names")
    return Installed(root, manifest, encoded, options, about, parts)


def read_document(root: Path, name: str) -> bytes | None:
    """Read a document of an environment; None when it is not there. Raises `VerificationFailed`."""
    path = root / ".venvery" / name
    try:
        if path.is_symlink() or not path.is_file():
            return None
        if path.stat().st_size > LARGEST:
            raise VerificationFailed(f"the environment's {name} is larger than {LARGEST >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise StorageFailed(f"{path} cannot be read: {error.strerror}") from None


def _parse(document: bytes | None, name: str) -> Any:
    if document is None:
        raise VerificationFailed(f"the environment has no .venvery/{name}", hint="sync it again")
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as error:
        raise VerificationFailed(f"the environment's {name} is not JSON") from error


def _read_manifest(encoded: bytes) -> Manifest:
    try:
        manifest = Manifest.from_json(_parse(encoded, "manifest.json"))
        sound = manifest.encoded == encoded and _is_sound(manifest)
    except (StorageFailed, AttributeError, TypeError, ValueError) as error:
        raise VerificationFailed("the environment's manifest cannot be read") from error
    if not sound:
        raise VerificationFailed("the environment's manifest is not one that venvery writes")
    return manifest


def _is_sound(manifest: Manifest) -> bool:
    target = manifest.target
    return (
        is_digest(manifest.key)
        and (manifest.parts is None or is_digest(manifest.parts))
        and type(manifest.recipe) is int
        and _MINOR.match(target.python) is not None
        and target.os in ("posix", "nt")
        and target.threads in ("", "t")
        and isinstance(target.platform, str)
        and all(map(_is_pin, manifest.pins))
        and all(map(_is_layer, manifest.layers))
    )


def _is_pin(pin: PinnedWheel) -> bool:
    texts = (pin.version, pin.filename, pin.source, pin.url or "", pin.license or "", *pin.requires)
    return (
        _PROJECT.match(pin.project) is not None
        and _HEX.match(pin.sha256) is not None
        and type(pin.size) is int
        and all(isinstance(text, str) for text in texts)
    )


def _is_layer(layer: Layer) -> bool:
    return (
        is_digest(layer.digest)
        and layer.kind in ("wheel", "bytecode")
        and _PROJECT.match(layer.project) is not None
        and isinstance(layer.version, str)
        and type(layer.size) is int
        and (layer.of is None or is_digest(layer.of))
        and (layer.record is None or _HEX.match(layer.record) is not None)
        and (layer.interpreter is None or re.match(r"[a-z]+-\d+t?\Z", layer.interpreter) is not None)
    )
