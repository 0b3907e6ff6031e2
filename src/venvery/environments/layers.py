"""A layer: one wheel, unpacked for one family, as a reproducible tar fragment. Also what the head needs of it.

Standards: installing a wheel (PEP 427), RECORD and INSTALLER (PEP 376, 627), direct_url.json (PEP 610),
entry points specification. REQUESTED is not written: it tells what a person asked for, and the same layer
serves those who asked for the project and those who got it as a dependency.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from venvery.environments.encodings import DeflateSegment, ZstdFrames
from venvery.environments.fragments import BlobWriter, FragmentWriter, Planned
from venvery.environments.kernels import KernelSpec, is_kernel_spec, read_kernel_spec
from venvery.environments.wheel import DEFAULT_LIMITS, Limits, Wheel, WheelFile, check_name
from venvery.errors import SourceGarbage
from venvery.model.digests import canonical_json, sha256
from venvery.model.targets import Family

__all__ = [
    "RECIPE",
    "EntryPoint",
    "LayerInfo",
    "ScriptBody",
    "WheelRef",
    "build_layer",
    "layer_key",
    "read_entry_points",
]

RECIPE = 2
"""Goes up whenever the same wheel would give other bytes, so that old layers are not taken for new ones."""

_ENTRY_POINT = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attr>[\w.]+)\s*(?:\[[^\]]*\])?\s*\Z")
_REPLACED = ("INSTALLER", "REQUESTED", "direct_url.json")
_POSIX_RESERVED = ("python", "python3", "activate", "activate.csh", "activate.fish", "Activate.ps1")
_NT_RESERVED = (
    "python.exe", "pythonw.exe", "activate", "activate.bat", "deactivate.bat", "activate.ps1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WheelRef:
    """Which wheel a layer was made from."""

    filename: str
    sha256: str
    """64 hex digits, of the file that was read."""
    size: int


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A script that the head generates."""

    kind: Literal["console", "gui"]
    name: str
    module: str
    attr: str


@dataclass(frozen=True, slots=True)
class ScriptBody:
    """A script of the wheel whose first line names the interpreter, so that the head has to write it."""

    name: str
    kind: Literal["console", "gui"]
    body: bytes
    """What follows the first line."""


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """Everything that is to be known of a layer without reading it. Kept in the database as JSON."""

    digest: str
    """SHA-256 of the uncompressed fragment."""
    kind: Literal["wheel", "bytecode"]
    family: str
    project: str
    version: str
    wheel: WheelRef
    size: int
    """Bytes, uncompressed."""
    files: int
    zstd: ZstdFrames
    deflate: DeflateSegment
    entry_points: tuple[EntryPoint, ...] = ()
    scripts: tuple[ScriptBody, ...] = ()
    kernels: tuple[KernelSpec, ...] = ()
    record: str | None = None
    """SHA-256 of the RECORD in it, 64 hex digits; bytecode has none."""
    license: str | None = None
    """As the core metadata has it: an SPDX expression, or the first words of what was written instead."""
    direct_url: str | None = None
    """The URL that the pin named, where it was no file of an index."""
    of: str | None = None
    """Bytecode: the digest of the layer that it was compiled from."""
    interpreter: str | None = None
    """Bytecode: the cache tag, `cpython-311`."""
    recipe: int = RECIPE

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values."""
        return {
            "recipe": self.recipe,
            "digest": self.digest,
            "kind": self.kind,
            "family": self.family,
            "project": self.project,
            "version": self.version,
            "wheel": [self.wheel.filename, self.wheel.sha256, self.wheel.size],
            "size": self.size,
            "files": self.files,
            "zstd": self.zstd.to_json(),
            "deflate": self.deflate.to_json(),
            "entry_points": [[point.kind, point.name, point.module, point.attr] for point in self.entry_points],
            "scripts": [
                [script.name, script.kind, base64.b64encode(script.body).decode()] for script in self.scripts
            ],
            "kernels": [[spec.path, base64.b64encode(spec.body).decode()] for spec in self.kernels],
            "record": self.record,
            "license": self.license,
            "direct_url": self.direct_url,
            "of": self.of,
            "interpreter": self.interpreter,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LayerInfo:
        """Read what `to_json` wrote."""
        return cls(
            digest=value["digest"],
            kind=value["kind"],
            family=value["family"],
            project=value["project"],
            version=value["version"],
            wheel=WheelRef(*value["wheel"]),
            size=value["size"],
            files=value["files"],
            zstd=ZstdFrames.from_json(value["zstd"]),
            deflate=DeflateSegment.from_json(value["deflate"]),
            entry_points=tuple(EntryPoint(*point) for point in value["entry_points"]),
            scripts=tuple(ScriptBody(name, kind, base64.b64decode(body)) for name, kind, body in value["scripts"]),
            kernels=tuple(KernelSpec(path, base64.b64decode(body)) for path, body in value.get("kernels", ())),
            record=value.get("record"),
            license=value.get("license"),
            direct_url=value["direct_url"],
            of=value["of"],
            interpreter=value["interpreter"],
            recipe=value["recipe"],
        )


def layer_key(sha256_hex: str, family: Family, direct_url: str | None = None) -> str:
    """Name the layer of a wheel before it is built: equal keys give equal layers."""
    return sha256(canonical_json([RECIPE, sha256_hex, str(family), direct_url]))


def build_layer(
    wheel: BinaryIO,
    filename: str,
    family: Family,
    blobs: BlobWriter,
    *,
    direct_url: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> LayerInfo:
    """Unpack a wheel into a layer and keep it.

    `wheel` is seekable; `direct_url` is the content of direct_url.json (PEP 610) for a pin that named a URL.
    Takes a few megabytes of memory, however large the wheel. Raises `SourceGarbage` for a wheel that is
    damaged, hostile or contradicts itself, and `LimitExceeded` for a zip bomb; nothing is kept then.
    """
    reference = _refer(wheel, filename)
    opened = Wheel(wheel, filename, family.os, limits)
    entry_points = read_entry_points(opened, family.os)
    scripts, kernels, files = _divide(opened, family, entry_points)
    made = {
        f"{family.purelib}/{opened.dist_info}/{name}": content for name, content in _metadata(direct_url).items()
    }
    record_path = f"{family.purelib}/{opened.dist_info}/RECORD"
    in_head = [f"{family.scripts}/{name}" for name in _head_names(entry_points, scripts, family)]
    in_head += [spec.path for spec in kernels]
    made[record_path] = _record(files, made, in_head, record_path, family)
    plan = sorted(
        [Planned(path, file.size, file.executable) for path, file in files.items()]
        + [Planned(path, len(content)) for path, content in made.items()],
        key=lambda planned: planned.path.encode(),
    )
    _check_tree(opened, [planned.path for planned in plan] + in_head, family)
    with FragmentWriter(plan) as writer:
        for planned in plan:
            content = made.get(planned.path)
            writer.add(planned.path, opened.chunks(files[planned.path]) if content is None else [content])
        fragment = writer.finish(blobs)
    return LayerInfo(
        digest=fragment.digest,
        kind="wheel",
        family=str(family),
        project=str(opened.project),
        version=str(opened.version),
        wheel=reference,
        size=fragment.size,
        files=fragment.files,
        zstd=fragment.zstd,
        deflate=fragment.deflate,
        entry_points=entry_points,
        scripts=scripts,
        kernels=kernels,
        record=hashlib.sha256(made[record_path]).hexdigest(),
        license=opened.license,
        direct_url=None if direct_url is None else str(direct_url.get("url", "")),
    )


def _refer(wheel: BinaryIO, filename: str) -> WheelRef:
    hasher = hashlib.sha256()
    size = wheel.seek(0)
    while chunk := wheel.read(1 << 20):
        hasher.update(chunk)
        size += len(chunk)
    return WheelRef(filename, hasher.hexdigest(), size)


def read_entry_points(wheel: Wheel, os: Literal["posix", "nt"]) -> tuple[EntryPoint, ...]:
    """Read the scripts that entry points ask for, sorted by name. Names and objects are checked here, for good."""
    text = wheel.metadata("entry_points.txt")
    if text is None:
        return ()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        raise _unusable(wheel, "its entry_points.txt cannot be read") from error
    found = {}
    kinds: Sequence[Literal["console", "gui"]] = ("gui", "console")
    for kind in kinds:
        if not parser.has_section(f"{kind}_scripts"):
            continue
        for name, value in parser.items(f"{kind}_scripts"):
            match = _ENTRY_POINT.match(value)
            if match is None or not _is_path_of_names(match["module"]) or not _is_path_of_names(match["attr"]):
                raise _unusable(wheel, f"its entry point {name!r} names no object ({value!r})")
            if "/" in name or check_name(name, os) or name != name.strip():
                raise _unusable(wheel, f"its entry point {name!r} cannot be the name of a script")
            found[name] = EntryPoint(kind, name, match["module"], match["attr"])
    return tuple(found[name] for name in sorted(found))


def _is_path_of_names(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _divide(
    wheel: Wheel, family: Family, entry_points: Iterable[EntryPoint]
) -> tuple[tuple[ScriptBody, ...], tuple[KernelSpec, ...], dict[str, WheelFile]]:
    """Divide the files into scripts and kernels for the head and files for the layer, those by their place."""
    scripts: dict[str, ScriptBody] = {}
    kernels: dict[str, KernelSpec] = {}
    files: dict[str, WheelFile] = {}
    replaced = {f"{wheel.dist_info}/{name}" for name in _REPLACED}
    points = {point.name for point in entry_points}
    programs = points | {file.path for file in wheel.files if file.scheme == "scripts"}
    for file in wheel.files:
        if file.scheme == "site" and file.path in replaced:
            continue
        # Old builders packed what they had made for the entry points themselves; ours take their place.
        if file.scheme == "scripts" and re.sub(r"(-script\.pyw?|\.exe)\Z", "", file.path) in points:
            continue
        if file.scheme == "scripts" and _first_bytes(wheel, file) == b"#!python":
            first, _, body = wheel.read(file).partition(b"\n")
            scripts[file.path] = ScriptBody(file.path, "gui" if first[8:9] == b"w" else "console", body)
            continue
        path = _place(file, wheel, family)
        if file.scheme == "data" and is_kernel_spec(path, file.size):
            spec = read_kernel_spec(path, wheel.read(file), programs)
            if spec is not None:
                kernels[path] = spec
                continue
        if path in files:
            raise _unusable(wheel, f"two of its files belong at {path!r}")
        files[path] = file
    return (
        tuple(scripts[name] for name in sorted(scripts)),
        tuple(kernels[path] for path in sorted(kernels)),
        files,
    )


def _first_bytes(wheel: Wheel, file: WheelFile) -> bytes:
    chunks = wheel.chunks(file)
    start = next(chunks, b"")[:8]
    # A generator that is not run to its end has checked nothing: the file is read whole before it is used.
    chunks.close()
    return start


def _place(file: WheelFile, wheel: Wheel, family: Family) -> str:
    match file.scheme:
        case "site":
            return f"{family.purelib}/{file.path}"
        case "scripts":
            return f"{family.scripts}/{file.path}"
        case "headers":
            return f"{family.include}/{wheel.project}/{file.path}"
        case "data":
            # lib64 is a link to lib in an environment.
            if family.os == "posix" and file.path.startswith("lib64/"):
                return "lib/" + file.path.removeprefix("lib64/")
            return file.path


def _head_names(
    entry_points: Iterable[EntryPoint], scripts: Iterable[ScriptBody], family: Family
) -> Iterator[str]:
    """Give the file names of the scripts that the head will hold."""
    names = [script.name for script in scripts] + [point.name for point in entry_points]
    if family.os == "nt":
        names = [exe_name(name) for name in names]
    yield from dict.fromkeys(names)


def exe_name(script: str) -> str:
    """Give the file name of a script's launcher on Windows: `.py` and `.pyw` give way to `.exe`."""
    return re.sub(r"\.pyw?\Z", "", script) + ".exe"


def _metadata(direct_url: Mapping[str, Any] | None) -> dict[str, bytes]:
    made = {"INSTALLER": b"venvery\n"}
    if direct_url is not None:
        made["direct_url.json"] = canonical_json(direct_url)
    return made


def _record(
    files: Mapping[str, WheelFile],
    made: Mapping[str, bytes],
    in_head: Iterable[str],
    record_path: str,
    family: Family,
) -> bytes:
    """Write RECORD anew: every file at its real place; those that the head writes without hash and size."""
    rows = [
        (_relative(path, family), f"{file.algorithm}={file.hash}", str(file.size)) for path, file in files.items()
    ]
    for path, content in made.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append((_relative(path, family), f"sha256={digest}", str(len(content))))
    rows += [(_relative(path, family), "", "") for path in [*in_head, record_path]]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()


def _relative(path: str, family: Family) -> str:
    """Give a path relative to site-packages, which is what RECORD speaks of."""
    if path.startswith(family.purelib + "/"):
        return path[len(family.purelib) + 1 :]
    shared, ups = path.split("/"), family.purelib.split("/")
    while shared[0] == ups[0]:
        shared, ups = shared[1:], ups[1:]
    return "../" * len(ups) + "/".join(shared)


def _check_tree(wheel: Wheel, paths: Sequence[str], family: Family) -> None:
    """Refuse what could not stand on a disk together, or would replace what makes the environment one."""
    fold = str.lower if family.os == "nt" else str
    seen: dict[str, str] = {}
    for path in paths:
        if fold(path) in seen:
            raise _unusable(wheel, f"{seen[fold(path)]!r} and {path!r} are the same place")
        seen[fold(path)] = path
        if _is_reserved(fold(path), family):
            raise _unusable(wheel, f"its {path!r} would replace a part of the environment itself")
    folders = {fold(path[:at]) for path in paths for at in _slashes(path)}
    for folder in folders & seen.keys():
        raise _unusable(wheel, f"{seen[folder]!r} is both a file and a folder")


def _slashes(path: str) -> Iterator[int]:
    at = path.find("/")
    while at >= 0:
        yield at
        at = path.find("/", at + 1)


def _is_reserved(path: str, family: Family) -> bool:
    if path in ("pyvenv.cfg", "lib64") or path.split("/", 1)[0] == ".venvery":
        return True
    if family.os == "nt":
        return path in {f"scripts/{name}" for name in _NT_RESERVED}
    return path in {
        f"bin/{name}"
        for name in (*_POSIX_RESERVED, f"python{family.python}", "python" + family.python.rstrip("t"))
    }


def _unusable(wheel: Wheel, why: str) -> SourceGarbage:
    return SourceGarbage(f"{wheel.filename} is not a wheel that can be used: {why}", file=wheel.filename)
