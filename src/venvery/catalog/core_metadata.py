"""Core metadata as text: what resolution needs of METADATA and PKG-INFO, and whether it may be believed.

Only the header block is read. It is written like the header of an e-mail (core metadata specification), and
real files are not always clean: lines are folded, wrongly encoded, or broken off by a bare line, after which
all is description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from venvery.model.files import CoreMetadata, DistFile, NoMetadata
from venvery.model.names import is_valid_name, normalize
from venvery.model.versions import InvalidVersion, parse_version

__all__ = ["METADATA_LIMIT", "Header", "read_header", "read_metadata", "read_pkg_info"]

METADATA_LIMIT = 16 * 1024 * 1024
"""Bytes; what is larger is not core metadata but an attack or an accident."""

_FIELD = re.compile(r"([!-9;-~]*):")
_DECISIVE = frozenset({"requires-dist", "requires-python", "provides-extra", "version"})


@dataclass(frozen=True, slots=True)
class Header:
    """The fields, by name in lower case; each with all its values as written, unfolded."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str | None:
        """Give a field's first value; None when it is absent or says nothing."""
        values = self.fields.get(name)
        if not values or values[0] in ("", "UNKNOWN"):
            return None
        return values[0]

    def all(self, name: str) -> list[str]:
        """Give all values of a field that may come several times."""
        return [value for value in self.fields.get(name, ()) if value]


def read_header(data: bytes) -> Header:
    """Read the fields up to the first empty line."""
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in _header_lines(data):
        if line[:1] in (" ", "\t"):
            if values:
                values[-1] = f"{values[-1]} {line.strip()}".strip()
            continue
        field = _FIELD.match(line)
        if field is None:
            break
        values = fields.setdefault(field[1].lower(), [])
        values.append(line[field.end() :].strip())
    return Header(fields)


def _header_lines(data: bytes) -> list[str]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    ends = [place for mark in (b"\n\n", b"\n\r\n", b"\r\r") if (place := data.find(mark)) >= 0]
    text = data[: min(ends, default=len(data))].decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_metadata(data: bytes, file: DistFile) -> CoreMetadata | NoMetadata:
    """Read the METADATA of a wheel, and check that it is that wheel's."""
    header = read_header(data)
    name, version = header.one("name"), header.one("version")
    if name is None or version is None:
        return NoMetadata("its METADATA states no name or no version")
    if not is_valid_name(name) or normalize(name) != file.project:
        return NoMetadata(f"its METADATA is that of another project, {name[:80]!r}")
    try:
        if parse_version(version) != file.version:
            return NoMetadata(f"its METADATA is that of another version, {version[:80]!r}")
    except InvalidVersion:
        return NoMetadata(f"its METADATA has a version that does not parse, {version[:80]!r}")
    return CoreMetadata(
        file.project,
        file.version,
        header.one("requires-python"),
        tuple(header.all("requires-dist")),
        tuple(dict.fromkeys(normalize(extra) for extra in header.all("provides-extra") if is_valid_name(extra))),
    )


def read_pkg_info(data: bytes, file: DistFile) -> CoreMetadata | NoMetadata:
    """Read the PKG-INFO of an sdist, if it promises to be what a build would give (PEP 643)."""
    header = read_header(data)
    if (problem := _not_static(header)) is not None:
        return NoMetadata(problem, needs_build=True)
    return read_metadata(data, file)


def _not_static(header: Header) -> str | None:
    stated = header.one("metadata-version") or "0"
    try:
        version = tuple(int(part) for part in stated.split("."))
    except ValueError:
        return f"its PKG-INFO has a metadata version that does not parse, {stated[:20]!r}"
    if version < (2, 2):
        return f"its PKG-INFO (metadata {stated[:20]}) does not promise that its dependencies are final"
    dynamic = sorted(_DECISIVE & {value.lower() for value in header.all("dynamic")})
    if dynamic:
        return f"its PKG-INFO declares {', '.join(dynamic)} as known only after a build"
    return None
