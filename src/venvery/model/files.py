"""Distribution files, listings of a project, and core metadata: what a source says that exists.

Standards: simple API (PEP 503, 592, 658/714, 691, 700, 740, 792), file names (PEP 427, 625), core metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Literal

from packaging.tags import parse_tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = [
    "MAX_SIZE",
    "CoreMetadata",
    "DistFile",
    "FileName",
    "Kind",
    "Listing",
    "NoMetadata",
    "ProjectState",
    "ProjectStatus",
    "expand_tag",
    "parse_filename",
]

MAX_SIZE = 2**63 - 1
"""Bytes; what claims to be larger lies."""

Kind = Literal["wheel", "sdist"]
ProjectState = Literal["active", "archived", "quarantined", "deprecated"]


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a distribution file says."""

    project: NormalizedName
    version: Version
    kind: Kind
    tag: str
    """The compressed tag set of a wheel (PEP 425), e.g. `cp311-cp311-linux_x86_64`; empty for an sdist."""
    build: tuple[int, str] | tuple[()]


def parse_filename(filename: str) -> FileName | None:
    """Read the name of a wheel or sdist; None for anything else (eggs, installers, broken names)."""
    try:
        if filename.endswith(".whl"):
            name, version, build, _tags = parse_wheel_filename(filename)
            tag = "-".join(filename[:-4].rsplit("-", 3)[1:])
            return FileName(name, parse_version(str(version)), "wheel", intern(tag.lower()), build)
        if filename.endswith((".tar.gz", ".zip")):
            name, version = parse_sdist_filename(filename)
            return FileName(normalize(name), parse_version(str(version)), "sdist", "", ())
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return None


@lru_cache(maxsize=65536)
def expand_tag(tag: str) -> tuple[str, ...]:
    """Expand a compressed tag set (PEP 425, "Compressed Tag Sets") into single tags."""
    return tuple(sorted(str(single) for single in parse_tag(tag)))


@dataclass(frozen=True, slots=True)
class DistFile:
    """One file of a project, as a source lists it."""

    filename: str
    url: str
    """Where its bytes are: absolute, `http(s)://…` or `file://…`."""
    project: NormalizedName
    version: Version
    kind: Kind
    tag: str = ""
    build: tuple[int, str] | tuple[()] = ()
    sha256: str | None = None
    """64 hex digits, where the source gives them."""
    size: int | None = None
    """Bytes (PEP 700)."""
    requires_python: str | None = None
    yanked: str | None = None
    """None: not yanked. Else the reason, which may be empty (PEP 592)."""
    upload_time: datetime | None = None
    """In UTC (PEP 700); where the source does not say, the time at which we first saw the file."""
    core_metadata: str | None = None
    """None: not offered. `""`: offered without hash. Else its SHA-256 in hex (PEP 658/714)."""
    source: str = ""
    """The name of the source that lists it."""
    hashes: tuple[tuple[str, str], ...] = ()
    """Further hashes as (algorithm, hex) that the source gives; used when it gives no SHA-256."""
    provenance: str | None = None
    """Where the source has the file's attestations (PEP 740)."""

    @property
    def key(self) -> str:
        """What names these bytes: the SHA-256 where known, else the source and the file name."""
        return self.sha256 or f"{self.source}/{self.filename}"


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """What a project's owner, or its index, says of it as a whole (PEP 792)."""

    state: ProjectState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of one project, united over the sources; what the simple API calls the project page."""

    project: NormalizedName
    revision: str
    """A digest of everything that resolution can see of it; equal revisions are equal listings."""
    files: Sequence[DistFile]
    """Empty when no source knows the project, or knows it without usable files."""
    known: bool = True
    """False when no source has this project at all."""
    status: ProjectStatus | None = None
    """None: no source says anything, which means active."""


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What resolution needs of the core metadata of one distribution."""

    project: NormalizedName
    version: Version
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    """As written; parsed (and remembered by text) by whoever uses them."""
    provides_extra: tuple[NormalizedName, ...] = ()


@dataclass(frozen=True, slots=True)
class NoMetadata:
    """Why the core metadata of a file is not to be had. Never to be read as "no dependencies"."""

    reason: str
    needs_build: bool = False
    """True for an sdist whose metadata only running its build back end can tell."""
