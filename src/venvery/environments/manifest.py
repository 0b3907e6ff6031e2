"""The manifest of an environment: what is in it, layer by layer, wherever it will live.

It is the first member of every archive (`.venvery/manifest.json`) and does not depend on the prefix.

    {"venvery_manifest": 1, "key": digest, "recipe": n,
     "target": {"python": "3.11", "implementation": "cpython", "os": "posix", "platform": "linux-x86_64",
                "threads": ""},
     "parts": digest of `.venvery/parts.json`,
     "pins": [{"project", "version", "requested": bool, "requires": [project], "license"?,
               "wheel": {"filename", "sha256", "size", "source", "url"?}}],
     "layers": [{"digest", "kind": "wheel" | "bytecode", "project", "version", "record", "of", "interpreter",
                 "size", "files", "zstd": {"digest", "size", "frames": [[compressed, uncompressed]]},
                 "deflate": {"digest", "size", "crc32"}}]}

`url` is there for a pin that named one, `record` is the SHA-256 of a wheel layer's RECORD. Layers stand in the
order of the stream, the large ones first. Where two hold the same path, the later one wins. Bytecode layers
come behind all wheels, in the order of the layers that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from venvery.environments.encodings import DeflateSegment, ZstdFrames
from venvery.environments.layers import RECIPE, LayerInfo
from venvery.environments.parts import gather_parts
from venvery.errors import StorageFailed
from venvery.model.digests import canonical_json, sha256
from venvery.model.lock import Lock, Pin
from venvery.model.targets import Family, Target

__all__ = ["Layer", "Manifest", "ManifestTarget", "PinnedWheel", "environment_key", "make_manifest"]


@dataclass(frozen=True, slots=True)
class ManifestTarget:
    """What an environment is for."""

    python: str
    """`3.11`."""
    os: Literal["posix", "nt"]
    platform: str
    threads: Literal["", "t"] = ""
    implementation: Literal["cpython"] = "cpython"

    @property
    def family(self) -> Family:
        """The family whose layers it uses."""
        return Family(self.os, self.python + self.threads)

    def to_json(self) -> dict[str, Any]:
        """Write as in the manifest."""
        return {
            "python": self.python,
            "implementation": self.implementation,
            "os": self.os,
            "platform": self.platform,
            "threads": self.threads,
        }


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """One release in the environment, and the wheel that it comes from."""

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    source: str
    url: str | None = None
    """Where the requirement itself said that it is."""
    requested: bool = False
    requires: tuple[str, ...] = ()
    """Projects of the environment that it depends on, sorted."""
    license: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write as in the manifest."""
        wheel = {"filename": self.filename, "sha256": self.sha256, "size": self.size, "source": self.source}
        value: dict[str, Any] = {
            "project": self.project,
            "version": self.version,
            "requested": self.requested,
            "requires": list(self.requires),
            "wheel": wheel | ({} if self.url is None else {"url": self.url}),
        }
        return value | ({} if self.license is None else {"license": self.license})


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as the manifest names it."""

    digest: str
    kind: Literal["wheel", "bytecode"]
    project: str
    version: str
    size: int
    files: int
    zstd: ZstdFrames
    deflate: DeflateSegment
    of: str | None = None
    interpreter: str | None = None
    record: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write as in the manifest."""
        value = {
            "digest": self.digest,
            "kind": self.kind,
            "project": self.project,
            "version": self.version,
            "size": self.size,
            "files": self.files,
            "zstd": self.zstd.to_json(),
            "deflate": self.deflate.to_json(),
        }
        if self.kind == "bytecode":
            return value | {"of": self.of, "interpreter": self.interpreter}
        return value | {"record": self.record}


@dataclass(frozen=True)
class Manifest:
    """What an environment is made of."""

    key: str
    target: ManifestTarget
    pins: tuple[PinnedWheel, ...]
    """Sorted by project."""
    layers: tuple[Layer, ...]
    """In the order of the stream."""
    parts: str | None = None
    """The digest of `.venvery/parts.json`."""
    recipe: int = RECIPE

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values."""
        return {
            "venvery_manifest": 1,
            "key": self.key,
            "recipe": self.recipe,
            "target": self.target.to_json(),
            "parts": self.parts,
            "pins": [pin.to_json() for pin in self.pins],
            "layers": [layer.to_json() for layer in self.layers],
        }

    @cached_property
    def encoded(self) -> bytes:
        """The bytes of `.venvery/manifest.json`: canonical JSON."""
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Manifest:
        """Read what `to_json` wrote. Raises `StorageFailed` for anything else."""
        try:
            return _read(value)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageFailed("a stored manifest cannot be read") from error


def environment_key(target: Target, wheels: Iterable[LayerInfo]) -> str:
    """Name an environment by what is in it: the recipe, the family, the platform and the wheels.

    Bytecode, the prefix and what was asked for have no part in it.
    """
    contents = sorted(
        [info.wheel.sha256] if info.direct_url is None else [info.wheel.sha256, info.direct_url] for info in wheels
    )
    return sha256(canonical_json([RECIPE, str(target.family), target.platform, contents]))


def make_manifest(
    lock: Lock, target: int, wheels: Sequence[LayerInfo], bytecode: Sequence[LayerInfo] = ()
) -> Manifest:
    """Write down the environment of one target of a lock.

    `wheels` are the layers of that target's pins, `bytecode` those of its bytecode layers that there are;
    both in any order. Raises `ValueError` when a pin has no layer, or a layer no pin.
    """
    infos = {info.project: info for info in wheels}
    pins = lock.pins_for(target)
    if {str(pin.project) for pin in pins} != infos.keys() or len(infos) != len(wheels):
        raise ValueError("the layers are not those of the lock's pins")
    chosen = lock.targets[target]
    ordered = sorted(wheels, key=lambda info: (-info.size, info.digest))
    compiled = {info.of: info for info in bytecode if info.files}
    behind = [compiled[info.digest] for info in ordered if info.digest in compiled]
    return Manifest(
        key=environment_key(chosen, wheels),
        target=_target(chosen),
        pins=tuple(
            _pin(pin, lock.wheel_for(pin, target).source, infos[str(pin.project)], target)
            for pin in sorted(pins, key=lambda pin: str(pin.project))
        ),
        layers=tuple(_layer(info) for info in [*ordered, *_each_once(behind)]),
        parts=gather_parts(ordered).digest,
    )


def _each_once(infos: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Leave out all but the last of equal layers: two parts of a namespace may have equal bytecode."""
    last: dict[str, LayerInfo] = {}
    for info in infos:
        last.pop(info.digest, None)
        last[info.digest] = info
    return list(last.values())


def _target(target: Target) -> ManifestTarget:
    minor = ".".join(target.python.split(".")[:2])
    return ManifestTarget(minor, target.family.os, target.platform, target.threads)


def _pin(pin: Pin, source: str, info: LayerInfo, target: int) -> PinnedWheel:
    wheel = info.wheel
    requires = {str(edge.project) for edge in pin.edges if target in edge.targets} - {info.project}
    return PinnedWheel(
        info.project,
        info.version,
        wheel.filename,
        wheel.sha256,
        wheel.size,
        source,
        info.direct_url,
        pin.requested,
        tuple(sorted(requires)),
        info.license,
    )


def _layer(info: LayerInfo) -> Layer:
    return Layer(
        info.digest,
        info.kind,
        info.project,
        info.version,
        info.size,
        info.files,
        info.zstd,
        info.deflate,
        info.of,
        info.interpreter,
        info.record,
    )


def _read(value: Mapping[str, Any]) -> Manifest:
    if value["venvery_manifest"] != 1:
        raise ValueError("another manifest version")
    target = value["target"]
    return Manifest(
        key=value["key"],
        target=ManifestTarget(
            target["python"], target["os"], target["platform"], target["threads"], target["implementation"]
        ),
        pins=tuple(
            PinnedWheel(
                pin["project"],
                pin["version"],
                **{name: pin["wheel"][name] for name in _WHEEL},
                url=pin["wheel"].get("url"),
                requested=pin.get("requested", False),
                requires=tuple(pin.get("requires", ())),
                license=pin.get("license"),
            )
            for pin in value["pins"]
        ),
        layers=tuple(
            Layer(
                layer["digest"],
                layer["kind"],
                layer["project"],
                layer["version"],
                layer["size"],
                layer["files"],
                ZstdFrames.from_json(layer["zstd"]),
                DeflateSegment.from_json(layer["deflate"]),
                layer.get("of"),
                layer.get("interpreter"),
                layer.get("record"),
            )
            for layer in value["layers"]
        ),
        parts=value.get("parts"),
        recipe=value["recipe"],
    )


_WHEEL = ("filename", "sha256", "size", "source")
