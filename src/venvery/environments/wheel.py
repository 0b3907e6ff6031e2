"""Wheels, read as untrusted input: nothing of one is used before it is checked.

Standards: binary distribution format (PEP 427), RECORD (PEP 376, 627), entry points specification.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import BinaryIO, Literal, NoReturn

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file

from venvery.errors import LimitExceeded, SourceGarbage
from venvery.model.files import parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = ["DEFAULT_LIMITS", "Limits", "Scheme", "Wheel", "WheelFile", "check_name"]

Scheme = Literal["site", "scripts", "headers", "data"]

_SCHEMES: dict[str, Scheme] = {
    "purelib": "site",
    "platlib": "site",
    "scripts": "scripts",
    "headers": "headers",
    "data": "data",
}
_HASHES = ("sha256", "sha384", "sha512")
_CHUNK = 1 << 20
_NT_NAME = re.compile(r'[<>:"|?*]|[. ]\Z|\A(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a wheel may unpack to: more is taken for an attack."""

    files: int = 250_000
    unpacked: int = 64 << 30
    """Bytes."""
    free: int = 256 << 20
    """Bytes up to which the ratio is not looked at."""
    ratio: int = 200
    metadata: int = 16 << 20
    """Bytes of one file that is read whole: metadata, and scripts that are rewritten."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file of a wheel that is to be installed."""

    scheme: Scheme
    path: str
    """Relative to the scheme's folder."""
    size: int
    executable: bool
    algorithm: str
    hash: str
    """As RECORD writes it: URL-safe base64 without `=`."""
    member: zipfile.ZipInfo = field(compare=False)


class Wheel:
    """A wheel whose structure is sound. The content of each file is checked while it is read."""

    def __init__(
        self, stream: BinaryIO, filename: str, os: Literal["posix", "nt"], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Check everything but the content. Raises `SourceGarbage`, or `LimitExceeded` for a zip bomb."""
        self.filename = filename
        self._limits = limits
        self.project, self.version = self._read_filename()
        with self._reading("it is not a zip file"):
            self._zip = zipfile.ZipFile(stream)
        members = self._check_members(os)
        self._check_size(stream)
        self.dist_info = self._find_dist_info(members)
        """The name of the metadata folder."""
        self._record = self._read_record(members)
        self.license = self._read_metadata(members)
        """As METADATA has it: an SPDX expression (PEP 639), or the one line of what was written instead."""
        self.missing = tuple(sorted(set(self._record) - set(members)))
        """What RECORD lists and is not there."""
        self.files = tuple(self._files(members))
        """All files but those of RECORD and its signatures, in no order."""

    def chunks(self, file: WheelFile) -> Generator[bytes]:
        """Give the content in pieces; `SourceGarbage` comes at the end when RECORD says otherwise."""
        hasher = hashlib.new(file.algorithm)
        size = 0
        with self._reading(f"{file.member.filename!r} cannot be unpacked"), self._zip.open(file.member) as content:
            while chunk := content.read(_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
                yield chunk
        found = base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=")
        if found != file.hash or size != file.size:
            self._refuse(f"{file.member.filename!r} is not the file that RECORD lists")

    def read(self, file: WheelFile) -> bytes:
        """Read a small file whole. Raises `SourceGarbage` or `LimitExceeded`."""
        if file.size > self._limits.metadata:
            raise LimitExceeded(
                f"{self.filename} has {file.member.filename!r} of {file.size} bytes; such a file may have "
                f"at most {self._limits.metadata}"
            )
        return b"".join(self.chunks(file))

    def metadata(self, name: str) -> bytes | None:
        """Read a file of the metadata folder; None when it is not there."""
        path = f"{self.dist_info}/{name}"
        for file in self.files:
            if file.scheme == "site" and file.path == path:
                return self.read(file)
        return None

    def _read_filename(self) -> tuple[NormalizedName, Version]:
        parsed = parse_filename(self.filename)
        if parsed is None or parsed.kind != "wheel":
            self._refuse("its file name is not that of a wheel")
        return parsed.project, parsed.version

    def _check_members(self, os: Literal["posix", "nt"]) -> dict[str, zipfile.ZipInfo]:
        """Give the files by path; folders are left out, since no wheel needs an empty one."""
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            mode = info.external_attr >> 16
            if info.flag_bits & 0x1:
                self._refuse(f"{info.filename!r} is encrypted")
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                self._refuse(f"{info.filename!r} is a link or a device")
            if info.orig_filename.endswith("/"):
                continue
            if reason := check_name(info.orig_filename, os):
                self._refuse(f"{info.orig_filename!r} {reason}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                self._refuse(f"{info.filename!r} is compressed in a way that wheels do not know")
            if info.orig_filename in members:
                self._refuse(f"{info.filename!r} is in it twice")
            members[info.orig_filename] = info
        return members

    def _check_size(self, stream: BinaryIO) -> None:
        packed = stream.seek(0, 2)
        infos = self._zip.infolist()
        unpacked = sum(info.file_size for info in infos)
        if sum(info.compress_size for info in infos) > packed:
            self._refuse("its files overlap")
        allowed = min(self._limits.unpacked, max(self._limits.free, self._limits.ratio * packed))
        if unpacked > allowed or len(infos) > self._limits.files:
            raise LimitExceeded(
                f"{self.filename} would unpack to {unpacked} bytes in {len(infos)} files; at most {allowed} bytes "
                f"in {self._limits.files} files are taken from a wheel of {packed} bytes"
            )

    def _find_dist_info(self, members: dict[str, zipfile.ZipInfo]) -> str:
        found = sorted({path.split("/", 1)[0] for path in members if ".dist-info/" in path})
        found = [name for name in found if name.endswith(".dist-info")]
        if len(found) != 1:
            self._refuse(
                f"it has {len(found)} metadata folders ({', '.join(found)})"
                if found
                else "it has no metadata folder"
            )
        name, _, version = found[0].removesuffix(".dist-info").rpartition("-")
        if not self._is_ours(name, version):
            self._refuse(f"its metadata folder is {found[0]!r}")
        return found[0]

    def _read_record(self, members: dict[str, zipfile.ZipInfo]) -> dict[str, RecordEntry]:
        text = self._text(members, "RECORD")
        record: dict[str, RecordEntry] = {}
        try:
            for row in parse_record_file(text.splitlines()):
                entry = RecordEntry.from_elements(*row)
                if record.setdefault(entry.path, entry) != entry:
                    self._refuse(f"RECORD lists {entry.path!r} twice")
        except (InvalidRecordEntry, ValueError) as error:
            self._refuse(f"its RECORD cannot be read ({error})")
        return record

    def _read_metadata(self, members: dict[str, zipfile.ZipInfo]) -> str | None:
        wheel = BytesHeaderParser().parsebytes(self._text(members, "WHEEL").encode())
        written = str(wheel.get("Wheel-Version", ""))
        if not re.match(r"1\.\d+\s*\Z", written):
            self._refuse(f"its Wheel-Version is {written!r}; version 1 is what can be installed")
        metadata = BytesHeaderParser().parsebytes(self._text(members, "METADATA").encode())
        name, version = str(metadata.get("Name", "")), str(metadata.get("Version", ""))
        if not self._is_ours(name, version):
            self._refuse(f"its METADATA is that of {name!r} {version!r}")
        words = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
        # Some write the whole text of the licence there.
        return words if words and "\n" not in words and len(words) <= 200 else None

    def _is_ours(self, name: str, version: str) -> bool:
        try:
            return normalize(name.strip()) == self.project and parse_version(version.strip()) == self.version
        except InvalidVersion:
            return False

    def _text(self, members: dict[str, zipfile.ZipInfo], name: str) -> str:
        info = members.get(f"{self.dist_info}/{name}")
        if info is None:
            self._refuse(f"it has no {name}")
        if info.file_size > self._limits.metadata:
            raise LimitExceeded(f"{self.filename} has a {name} of {info.file_size} bytes")
        with self._reading(f"its {name} cannot be read"):
            return self._zip.read(info).decode()
        raise AssertionError  # for the type checker: `_reading` passes no error over

    def _files(self, members: dict[str, zipfile.ZipInfo]) -> Iterator[WheelFile]:
        unlisted = {f"{self.dist_info}/{name}" for name in ("RECORD", "RECORD.jws", "RECORD.p7s")}
        for path, info in members.items():
            if path in unlisted:
                continue
            entry = self._record.get(path)
            if entry is None or entry.hash_ is None:
                self._refuse(f"RECORD does not list {path!r} with a hash")
            if entry.hash_.name not in _HASHES:
                self._refuse(f"RECORD has no hash of {path!r} that counts (sha256 or longer)")
            if entry.size is not None and entry.size != info.file_size:
                self._refuse(f"{path!r} is not the file that RECORD lists")
            scheme, place = self._place(path)
            mode = info.external_attr >> 16
            yield WheelFile(
                scheme,
                place,
                info.file_size,
                bool(mode & 0o111) or scheme == "scripts",
                entry.hash_.name,
                entry.hash_.value.rstrip("="),
                info,
            )

    def _place(self, path: str) -> tuple[Scheme, str]:
        """Tell where a file belongs (PEP 427, "The .data directory")."""
        data = self.dist_info.removesuffix(".dist-info") + ".data/"
        if not path.startswith(data):
            return "site", path
        key, _, rest = path[len(data) :].partition("/")
        if key not in _SCHEMES or not rest:
            self._refuse(f"{path!r} belongs to no known place")
        return _SCHEMES[key], rest

    @contextmanager
    def _reading(self, otherwise: str) -> Iterator[None]:
        try:
            yield
        except SourceGarbage:
            raise
        except _BROKEN as error:
            raise SourceGarbage(
                f"{self.filename} is not a wheel that can be used: {otherwise}", file=self.filename
            ) from error

    def _refuse(self, why: str) -> NoReturn:
        raise SourceGarbage(f"{self.filename} is not a wheel that can be used: {why}", file=self.filename)


def check_name(path: str, os: Literal["posix", "nt"]) -> str | None:
    """Say why a relative path cannot be used; None when it can."""
    if _CONTROL.search(path):
        return "contains a control character"
    if "\\" in path or path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "is not a relative path with forward slashes"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder or around in it"
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "is not Unicode"
    if len(raw) > 1024 or any(len(part.encode()) > 255 for part in parts):
        return "is too long"
    if os == "nt" and any(_NT_NAME.search(part) for part in parts):
        return "has a name that Windows does not allow"
    return None
