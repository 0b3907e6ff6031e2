"""Tiny real wheels, the same bytes every time, and broken ones on request.

Standards: binary distribution format (PEP 427), core metadata, entry points, names (PEP 503), RECORD
(PEP 376). Nothing here uses venvery: the tests must not believe what the program says of itself.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Literal, get_args

__all__ = ["BrokenWheel", "BuiltFile", "core_metadata", "make_wheel", "module_name", "normalize"]

BrokenWheel = Literal[
    "wrong-record",  # a hash in RECORD that is not the file's
    "unrecorded-member",  # a member that RECORD does not list
    "missing-member",  # a line in RECORD without its member
    "no-record",
    "no-metadata",
    "no-wheel-file",
    "no-dist-info",
    "two-dist-infos",
    "wrong-name",  # METADATA names another project
    "wrong-version",  # METADATA names another version
    "bad-metadata",  # a Requires-Dist that does not parse
    "huge-metadata",  # 20 MB of description
    "parent-member",  # ../escaped.txt
    "absolute-member",  # /tmp/venvery-escaped.txt
    "backslash-member",  # ..\escaped.txt
    "symlink-member",
    "symlinked-folder",  # a link to a folder outside, and a member behind it
    "duplicate-member",
    "case-clash",  # two members whose names differ in case only
    "corrupt-member",  # the compressed bytes of a module are damaged; the directory is fine
    "zip-bomb",  # a member of 1 GiB of zeros, a megabyte compressed
    "truncated",  # the last third of the file is missing
    "not-a-zip",
    "future-wheel-version",  # Wheel-Version: 9.0
    "escaping-entry-point",  # a console script called ../escaped
]

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A distribution file in memory."""

    filename: str
    data: bytes
    metadata: bytes
    """The core metadata as it lies in the file: METADATA of a wheel, PKG-INFO of an sdist."""

    @property
    def sha256(self) -> str:
        """64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def project(self) -> str:
        """The normalised project, from the file name."""
        if self.filename.endswith(".whl"):
            return normalize(self.filename.split("-")[0])
        return normalize(self._stem.rpartition("-")[0])

    @property
    def version(self) -> str:
        """The version, from the file name."""
        if self.filename.endswith(".whl"):
            return self.filename.split("-")[1]
        return self._stem.rpartition("-")[2]

    @property
    def requires_python(self) -> str | None:
        """What the core metadata says of it."""
        value = BytesHeaderParser().parsebytes(self.metadata).get("Requires-Python")
        return None if value is None else str(value)

    @property
    def _stem(self) -> str:
        return self.filename.removesuffix(".tar.gz").removesuffix(".zip")

    def write_to(self, folder: Path) -> Path:
        """Write the file into a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        path.write_bytes(self.data)
        return path


def normalize(name: str) -> str:
    """Normalise a project's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def module_name(name: str) -> str:
    """Give the module that a project of that name gets here."""
    return normalize(name).replace("-", "_")


def core_metadata(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    extras: Mapping[str, Iterable[str]] | None = None,
    requires_python: str | None = None,
    metadata_version: str = "2.1",
    dynamic: Iterable[str] = (),
    description: str = "",
) -> bytes:
    """Write core metadata. Requirements of an extra get their `extra ==` marker here."""
    lines = [f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}"]
    lines += [f"Dynamic: {field}" for field in dynamic]
    lines += [f"Summary: {name}, a tiny real distribution"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, requirements in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {_for_extra(requirement, extra)}" for requirement in requirements]
    return ("\n".join(lines) + "\n" + (f"\n{description}\n" if description else "")).encode()


def make_wheel(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    extras: Mapping[str, Iterable[str]] | None = None,
    requires_python: str | None = None,
    tag: str = "py3-none-any",
    build: str = "",
    files: Mapping[str, bytes | str] | None = None,
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    scripts: Mapping[str, bytes | str] | None = None,
    data: Mapping[str, bytes | str] | None = None,
    executable: Collection[str] = (),
    dist_info: Mapping[str, bytes | str] | None = None,
    metadata: bytes | None = None,
    metadata_version: str = "2.1",
    compress: bool = True,
    broken: Collection[BrokenWheel] = (),
) -> BuiltFile:
    """Build a wheel.

    `files` maps paths to content; without it there is one package, named as the project, with a
    `__version__`. `entry_points` maps a group to names, `{"console_scripts": {"hello": "pkg:main"}}`.
    `scripts` lie in `.data/scripts`, `data` in `.data/` (keys such as `data/share/x.txt`, `headers/x.h`).
    `executable` names the members with executable bits. `dist_info` adds files there. `metadata` replaces
    the METADATA that would be written.
    """
    unknown = set(broken) - set(get_args(BrokenWheel))
    if unknown:
        raise ValueError(f"no such defect: {sorted(unknown)}")
    stem = f"{module_name(name)}-{version}"
    info, data_folder = f"{stem}.dist-info", f"{stem}.data"
    members: dict[str, bytes] = {}
    for path, content in (files if files is not None else _default_files(name, version)).items():
        members[path] = _bytes(content)
    for script, content in (scripts or {}).items():
        members[f"{data_folder}/scripts/{script}"] = _bytes(content)
    for path, content in (data or {}).items():
        members[f"{data_folder}/{path}"] = _bytes(content)
    if metadata is None:
        metadata = core_metadata(
            "other-project" if "wrong-name" in broken else name,
            "999.0" if "wrong-version" in broken else version,
            requires=[*requires, *(["((not a requirement"] if "bad-metadata" in broken else [])],
            extras=extras,
            requires_python=requires_python,
            metadata_version=metadata_version,
            description="x" * 79 + "\n" + ("y" * 99 + "\n") * 200_000 if "huge-metadata" in broken else "",
        )
    members[f"{info}/METADATA"] = metadata
    members[f"{info}/WHEEL"] = _wheel_file(tag, build, "9.0" if "future-wheel-version" in broken else "1.0")
    points = {group: dict(names) for group, names in (entry_points or {}).items()}
    if "escaping-entry-point" in broken:
        points.setdefault("console_scripts", {})["../escaped"] = f"{module_name(name)}:main"
    if points:
        members[f"{info}/entry_points.txt"] = _entry_points(points)
    for path, content in (dist_info or {}).items():
        members[f"{info}/{path}"] = _bytes(content)
    _break_members(members, info, broken)
    filename = f"{stem}-{build + '-' if build else ''}{tag}.whl"
    return BuiltFile(filename, _pack(members, info, executable, compress, broken), metadata)


def _default_files(name: str, version: str) -> dict[str, str]:
    return {f"{module_name(name)}/__init__.py": f'__version__ = "{version}"\n'}


def _for_extra(requirement: str, extra: str) -> str:
    body, semicolon, marker = requirement.partition(";")
    if not semicolon:
        return f'{body.strip()} ; extra == "{extra}"'
    return f'{body.strip()} ; ({marker.strip()}) and extra == "{extra}"'


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _wheel_file(tag: str, build: str, wheel_version: str) -> bytes:
    pythons, abis, platforms = tag.split("-")
    lines = [f"Wheel-Version: {wheel_version}", "Generator: venvery-tests"]
    lines.append(f"Root-Is-Purelib: {'true' if platforms == 'any' else 'false'}")
    lines += [
        f"Tag: {python}-{abi}-{platform}"
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    ]
    if build:
        lines.append(f"Build: {build}")
    return ("\n".join(lines) + "\n").encode()


def _entry_points(groups: Mapping[str, Mapping[str, str]]) -> bytes:
    text = ""
    for group, names in groups.items():
        text += f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in names.items()) + "\n"
    return text.encode()


def _break_members(members: dict[str, bytes], info: str, broken: Collection[BrokenWheel]) -> None:
    if "no-metadata" in broken:
        del members[f"{info}/METADATA"]
    if "no-wheel-file" in broken:
        del members[f"{info}/WHEEL"]
    if "no-dist-info" in broken:
        for path in [path for path in members if path.startswith(f"{info}/")]:
            del members[path]
    if "two-dist-infos" in broken:
        members["another-1.0.dist-info/METADATA"] = core_metadata("another", "1.0")
    if "parent-member" in broken:
        members["../escaped.txt"] = b"escaped\n"
    if "absolute-member" in broken:
        members["/tmp/venvery-escaped.txt"] = b"escaped\n"
    if "backslash-member" in broken:
        members["..\\escaped.txt"] = b"escaped\n"
    if "symlinked-folder" in broken:
        members["linked"] = b"/tmp"
        members["linked/venvery-escaped.txt"] = b"escaped\n"
    if "symlink-member" in broken:
        members["link.txt"] = b"/etc/passwd"
    if "case-clash" in broken:
        first = next(iter(members))
        members[first.swapcase()] = b"# the other one\n"
    if "zip-bomb" in broken:
        members["bomb.bin"] = bytes(1 << 30)


def _pack(
    members: Mapping[str, bytes],
    info: str,
    executable: Collection[str],
    compress: bool,
    broken: Collection[BrokenWheel],
) -> bytes:
    if "not-a-zip" in broken:
        return b"This is not a zip file.\n" * 50
    unknown = set(executable) - set(members)
    if unknown:
        raise ValueError(f"not among the members: {sorted(unknown)}")
    contents = dict(members)
    if not {"no-record", "no-dist-info"} & set(broken):
        contents[f"{info}/RECORD"] = _record(members, info, broken)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for path, content in contents.items():
            archive.writestr(_member(path, archive.compression, path in executable), content)
        if "duplicate-member" in broken:
            _write_again(archive, next(iter(contents)))
    packed = buffer.getvalue()
    if "corrupt-member" in broken:
        packed = _damage(packed, next(iter(contents)))
    if "truncated" in broken:
        packed = packed[: len(packed) * 2 // 3]
    return packed


def _member(path: str, compression: int, executable: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(path, _EPOCH)
    member.filename = path  # ZipInfo would normalise what a broken one needs
    member.create_system = 3
    member.compress_type = compression
    mode = stat.S_IFREG | (0o755 if executable else 0o644)
    if path in ("link.txt", "linked"):
        mode = stat.S_IFLNK | 0o777
    member.external_attr = mode << 16
    return member


def _write_again(archive: zipfile.ZipFile, path: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(_member(path, archive.compression, False), b"# the second of that name\n")


def _damage(packed: bytes, path: str) -> bytes:
    """Turn over the bits of the first member's data; local header is 30 bytes and the name."""
    start = packed.index(path.encode()) + len(path.encode())
    damaged = bytearray(packed)
    for offset in range(start, start + 4):
        damaged[offset] ^= 0xFF
    return bytes(damaged)


def _record(members: Mapping[str, bytes], info: str, broken: Collection[BrokenWheel]) -> bytes:
    lines = []
    skipped = next(iter(members)) if "unrecorded-member" in broken else None
    for number, (path, content) in enumerate(members.items()):
        if path == skipped:
            continue
        hashed = content + b"!" if "wrong-record" in broken and number == 0 else content
        digest = base64.urlsafe_b64encode(hashlib.sha256(hashed).digest()).rstrip(b"=").decode()
        quoted = f'"{path}"' if "," in path else path
        lines.append(f"{quoted},sha256={digest},{len(content)}")
    if "missing-member" in broken:
        lines.append(f"not_there.py,sha256={'A' * 43},3")
    lines.append(f"{info}/RECORD,,")
    return ("\n".join(lines) + "\n").encode()
