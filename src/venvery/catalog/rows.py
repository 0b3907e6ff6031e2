"""A source's listing of one project: from links to compact rows, and from rows to files.

File names are parsed once, when a page comes in. What is stored are columns of plain values, in which versions and
tags stand once and rows point at them; reading a listing back parses no file name, and makes no file.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any, TypeVar

from venvery.catalog.columns import Columns, Link
from venvery.model.digests import sha256
from venvery.model.file_table import FileKind, FileTable
from venvery.model.files import ProjectStatus, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = ["EMPTY_REVISION", "FORMAT", "files_of", "revision_of", "rows_of", "status_of"]

FORMAT = 4
"""Part of what names a source in the database: rows of another format are not looked at."""
EMPTY_REVISION = sha256(b"")
"""The revision of a listing that a source does not have."""
_CHECKABLE = frozenset(
    {"md5", "sha1", "sha224", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2b_256"}
)
"""Other hashes that are kept, to be checked when the file is fetched."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """File names, read: columns of numbers of what comes again and again."""

    places: list[int]
    """Those of the names that are the project's, each name once."""
    versions: list[str]
    kinds: list[tuple[str, tuple[int, str] | None]]
    """Tag set, empty for an sdist, and build."""
    version_of: list[int]
    kind_of: list[int]
    """By place in what was given; what stands beside a name that is not the project's means nothing."""


T = TypeVar("T")
Parsed = tuple[Version, str, tuple[int, str] | tuple[()]]


class Names:
    """Parses the file names of one project exactly as `parse_filename` does, part by part, each part once."""

    def __init__(self, project: NormalizedName) -> None:
        self.project = project
        self._ours: dict[tuple[str, str], bool] = {}
        self._wheels: dict[str, bool] = {}
        self._versions: dict[str, Version | None] = {}

    def number(self, filenames: Sequence[str]) -> Numbered:
        """Read many file names."""
        fronts, ends = dict[str, int](), dict[str, int]()
        texts, versions = list[str](), dict[Version, int]()
        kinds: dict[tuple[str, tuple[int, str] | tuple[()]], int] = {}
        version_of, kind_of = [], []
        for filename in filenames:
            dash = filename.find("-", filename.find("-") + 1)
            front, end = filename[:dash], filename[dash:]
            version, kind = fronts.get(front, -1), ends.get(end, -1)
            if version < 0 or kind < 0 or dash < 0:
                version = kind = -1
                if (parsed := self.parse(filename)) is not None:
                    kind = kinds.setdefault(parsed[1:], len(kinds))
                    version = versions.setdefault(parsed[0], len(versions))
                    if version == len(texts):
                        texts.append(str(parsed[0]))
                    if filename.endswith(".whl"):
                        fronts[front], ends[end] = version, kind
            version_of.append(version)
            kind_of.append(kind)
        places = [place for place, version in enumerate(version_of) if version >= 0]
        if len(set(filenames)) != len(filenames):
            first: dict[str, int] = {}
            places = [place for place in places if first.setdefault(filenames[place], place) == place]
        told = [(tag, build or None) for tag, build in kinds]
        return Numbered(places, texts, told, version_of, kind_of)

    def parse(self, filename: str) -> Parsed | None:
        """Read a file name as (version, tag or "" for an sdist, build).

        None when it is no wheel or sdist, or one of another project.
        """
        if not filename.endswith(".whl"):
            return self._sdist(filename)
        name, _, rest = filename.partition("-")
        version, _, end = rest.partition("-")
        ours = self._wheels.get(name)
        if ours is None:
            ours = self._wheels[name] = self._is_ours(name, "-1-py3-none-any.whl")
        tagged = _end(end) if ours else None
        if tagged is None:
            return None
        if version not in self._versions:
            self._versions[version] = _version(version)
        parsed = self._versions[version]
        return None if parsed is None else (parsed, tagged[0], tagged[1])

    def _is_ours(self, name: str, rest: str) -> bool:
        """Let the reference judge the part that is the name, in a file name whose other parts are surely good."""
        ours = self._ours.get((name, rest))
        if ours is None:
            found = parse_filename(name + rest)
            ours = self._ours[name, rest] = found is not None and found.project == self.project
        return ours

    def _sdist(self, filename: str) -> Parsed | None:
        suffix = ".tar.gz" if filename.endswith(".tar.gz") else ".zip"
        if not filename.endswith(suffix):
            return None
        name, _, version = filename.removesuffix(suffix).rpartition("-")
        if self._is_ours(name, "-1" + suffix) and (parsed := _version(version)) is not None:
            return parsed, "", ()
        return self._legacy_sdist(filename)

    def _legacy_sdist(self, filename: str) -> Parsed | None:
        """Read an sdist whose version has a dash in it (from before PEP 625), knowing its project's name."""
        stem = filename.removesuffix(".zip").removesuffix(".tar.gz")
        if stem == filename:
            return None
        for place in (index for index, character in enumerate(stem) if character == "-"):
            if normalize(stem[:place]) == self.project:
                version = _version(stem[place + 1 :])
                return None if version is None else (version, "", ())
        return None


def _version(text: str) -> Version | None:
    try:
        return parse_version(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=16384)
def _end(end: str) -> tuple[str, tuple[int, str] | tuple[()]] | None:
    """Let the reference judge what follows the version of a wheel: build and tag."""
    found = parse_filename(f"x-1-{end}")
    return None if found is None else (found.tag, found.build)


def rows_of(
    project: NormalizedName,
    links: Iterable[Link],
    *,
    now: float,
    before: dict[str, Any] | None = None,
    status: ProjectStatus | None = None,
) -> dict[str, Any]:
    """Make the rows of what a page lists; links to anything but this project's files are left out.

    `before` are the rows of the same page as it was: a file keeps the upload time that was once given, and
    the time at which it was first seen where none was. Other bytes under its name are another file.
    """
    page = links if isinstance(links, Columns) else Columns.of(links)
    numbered = Names(project).number(page.names)
    order = sorted(numbered.places, key=page.names.__getitem__)
    names = [page.names[place] for place in order]
    digests = [None if (one := page.digests[place]) is None or len(one) != 64 else one for place in order]
    rows = {
        "versions": numbered.versions,
        "kinds": numbered.kinds,
        "version": [numbered.version_of[place] for place in order],
        "kind": [numbered.kind_of[place] for place in order],
        "name": names,
        "folder": [page.folders[place] for place in order],
        "last": None
        if page.lasts is page.names
        else _said([None if page.lasts[place] == page.names[place] else page.lasts[place] for place in order]),
        "digest": _said(digests),
        "size": _said([page.sizes[place] for place in order]),
        "python": _said([page.pythons[place] for place in order]),
        "yanked": _said([page.yanked[place] for place in order]),
        "metadata": _said([page.metadata[place] for place in order]),
        "time": _said([page.times[place] for place in order]),
        "hashes": None if page.hashes is None else _said([_other_hashes(page.hashes[place]) for place in order]),
        "provenance": _said([page.provenance[place] for place in order]),
        "now": now,
        "seen": {},
        "status": None if status is None else [status.state, status.reason],
    }
    if before is not None:
        _remember_times(rows, before, now)
    return rows


def _said(column: list[T]) -> list[T] | None:
    """Give a column, or None where it says nothing of any file."""
    return None if column.count(None) == len(column) else column  # type: ignore[arg-type]


def _other_hashes(hashes: dict[str, str]) -> list[list[str]] | None:
    return sorted([name, value] for name, value in hashes.items() if name in _CHECKABLE) or None


def _remember_times(rows: dict[str, Any], before: dict[str, Any], now: float) -> None:
    """Keep the times that were once given, and those at which files were first seen."""
    held = dict(zip(before["name"], zip(_all(before, "digest"), _all(before, "time"), strict=True), strict=True))
    seen: dict[str, float] = dict(before["seen"])
    for name, (_digest, time) in held.items():
        if time is None:
            seen.setdefault(name, before["now"])
    times = list(_all(rows, "time"))
    for place, (name, digest) in enumerate(zip(rows["name"], _all(rows, "digest"), strict=True)):
        if times[place] is None and name in held:
            if held[name][0] == digest:
                times[place] = held[name][1]
            else:
                seen[name] = now
    rows["time"], rows["seen"] = _said(times), seen


def _all(rows: dict[str, Any], column: str) -> list[Any]:
    said: list[Any] | None = rows[column]
    return [None] * len(rows["name"]) if said is None else said


def revision_of(rows: dict[str, Any]) -> str:
    """Give a digest of everything in the rows that a lock, or a client of the simple API, can show.

    Where a file lies is part of it: locks say it, and what was remembered must not lead where nothing is any more.
    The time at which we first saw a file is not.
    """
    visible = [rows[column] for column in _VISIBLE]
    # The second format of marshal is settled since Python 2.5 and says every value in one way only; JSON
    # takes seven times as long.
    return sha256(marshal.dumps(visible, 2))


_VISIBLE = (
    *("name", "folder", "last", "digest", "size", "python", "yanked", "metadata", "time", "hashes"),
    *("provenance", "status"),
)


def files_of(project: NormalizedName, rows: dict[str, Any], source: str) -> FileTable:
    """Make the files of a source's rows, sorted by file name."""
    kinds: list[FileKind] = [
        ("wheel" if tag else "sdist", intern(tag), (build[0], build[1]) if build else ())
        for tag, build in rows["kinds"]
    ]
    return FileTable(
        project=project,
        source=source,
        versions=[parse_version(text) for text in rows["versions"]],
        kinds=kinds,
        version_of=rows["version"],
        kind_of=rows["kind"],
        names=rows["name"],
        folders=rows["folder"],
        lasts=rows["last"],
        digests=rows["digest"],
        sizes=rows["size"],
        pythons=rows["python"],
        yanked=rows["yanked"],
        metadata=rows["metadata"],
        times=rows["time"],
        hashes=rows["hashes"],
        provenance=rows["provenance"],
        seen=rows["seen"],
        now=rows["now"],
    )


def status_of(rows: dict[str, Any]) -> ProjectStatus | None:
    """Give what the source says of the project as a whole."""
    said = rows["status"]
    return None if said is None else ProjectStatus(said[0], said[1])
