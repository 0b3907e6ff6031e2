"""A source's listing of one project: from links to compact rows, and from rows to files.

File names are parsed once, when a page comes in. What is stored are columns of plain values, in which versions and
tags stand once and rows point at them, and other texts are joined; reading a listing back parses no file name, and
makes no file.
"""

from __future__ import annotations

import marshal
from array import array
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
from venvery.model.texts import Texts, join
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = ["EMPTY_REVISION", "FORMAT", "files_of", "revision_of", "rows_of", "status_of"]

FORMAT = 5
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
Kind = tuple[str, tuple[int, str] | tuple[()]]
"""Tag set, empty for an sdist, and build."""
Parsed = tuple[Version, str, tuple[int, str] | tuple[()]]


class Names:
    """Parses the file names of one project exactly as `parse_filename` does, part by part, each part once."""

    def __init__(self, project: NormalizedName) -> None:
        self.project = project
        self._ours: dict[tuple[str, str], bool] = {}
        self._numbers: dict[str, int] = {}
        self._versions: dict[Version, int] = {}
        self._texts: list[str] = []
        self._kinds: dict[Kind, int] = {}

    def number(self, filenames: Sequence[str]) -> Numbered:
        """Read many file names."""
        version_of, kind_of = [], []
        fronts: dict[str, int] = {}
        ends: dict[str, int] = {}
        for filename in filenames:
            if filename.endswith(".whl"):
                dash = filename.find("-", filename.find("-") + 1)
                front, end = filename[:dash], filename[dash + 1 :]
                kind = ends.get(end)
                if kind is None:
                    kind = ends[end] = self._kind(_end(end))
                version = fronts.get(front) if kind >= 0 else -1
                if version is None:
                    version = fronts[front] = self._front(front)
                version_of.append(version)
                kind_of.append(kind)
            else:
                version_of.append(self._sdist(filename))
                kind_of.append(-1)
        if -1 in kind_of:
            sdist = self._kind(("", ()))
            kind_of = [sdist if kind < 0 else kind for kind in kind_of]
        places = [place for place, version in enumerate(version_of) if version >= 0]
        if len(set(filenames)) != len(filenames):
            first: dict[str, int] = {}
            places = [place for place in places if first.setdefault(filenames[place], place) == place]
        kinds = [(tag, build or None) for tag, build in self._kinds]
        return Numbered(places, self._texts, kinds, version_of, kind_of)

    def parse(self, filename: str) -> Parsed | None:
        """Read a file name as (version, tag or "" for an sdist, build).

        None when it is no wheel or sdist, or one of another project.
        """
        numbered = self.number([filename])
        if not numbered.places:
            return None
        tag, build = numbered.kinds[numbered.kind_of[0]]
        return parse_version(numbered.versions[numbered.version_of[0]]), tag, build or ()

    def _front(self, front: str) -> int:
        """Give the number of the version of a wheel whose name begins so; -1 when it is not one of ours."""
        name, _, version = front.partition("-")
        return self._version(version) if self._is_ours(name, "-1-py3-none-any.whl") else -1

    def _kind(self, kind: Kind | None) -> int:
        return -1 if kind is None else self._kinds.setdefault(kind, len(self._kinds))

    def _version(self, text: str) -> int:
        """Give the number of a version, however it is spelled; -1 for what is none."""
        number = self._numbers.get(text)
        if number is None:
            try:
                number = self._versions.setdefault(parse_version(text), len(self._texts))
            except InvalidVersion:
                number = -1
            if number == len(self._texts):
                self._texts.append(text)
            self._numbers[text] = number
        return number

    def _is_ours(self, name: str, rest: str) -> bool:
        """Let the reference judge the part that is the name, in a file name whose other parts are surely good."""
        ours = self._ours.get((name, rest))
        if ours is None:
            found = parse_filename(name + rest)
            ours = self._ours[name, rest] = found is not None and found.project == self.project
        return ours

    def _sdist(self, filename: str) -> int:
        """Give the number of the version of an sdist; -1 when it is none, or not one of ours."""
        suffix = ".tar.gz" if filename.endswith(".tar.gz") else ".zip"
        if not filename.endswith(suffix):
            return -1
        name, _, version = filename[: -len(suffix)].rpartition("-")
        if self._is_ours(name, "-1" + suffix) and (number := self._version(version)) >= 0:
            return number
        return self._legacy_sdist(filename.removesuffix(".zip").removesuffix(".tar.gz"))

    def _legacy_sdist(self, stem: str) -> int:
        """Read an sdist whose version has a dash in it (from before PEP 625), knowing its project's name."""
        for place in (index for index, character in enumerate(stem) if character == "-"):
            if normalize(stem[:place]) == self.project:
                return self._version(stem[place + 1 :])
        return -1


@lru_cache(maxsize=16384)
def _end(end: str) -> Kind | None:
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
    pythons = {python: number for number, python in enumerate(dict.fromkeys(page.pythons[at] for at in order))}
    rows: dict[str, Any] = {
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
        "pythons": list(pythons),
        "python": [pythons[page.pythons[place]] for place in order] if pythons.keys() - {None} else None,
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
    for column in _TEXTS:
        if rows[column] is not None and set(map(type, rows[column])) <= {str, type(None)}:
            rows[column] = join(rows[column]) or rows[column]
    return rows


_TEXTS = ("name", "folder", "last", "digest", "metadata", "time", "provenance")


def _said(column: list[T]) -> list[T] | None:
    """Give a column, or None where it says nothing of any file."""
    return None if column.count(None) == len(column) else column  # type: ignore[arg-type]


def _other_hashes(hashes: dict[str, str]) -> list[list[str]] | None:
    return sorted([name, value] for name, value in hashes.items() if name in _CHECKABLE) or None


def _remember_times(rows: dict[str, Any], before: dict[str, Any], now: float) -> None:
    """Keep the times that were once given, and those at which files were first seen."""
    names = _all(before, "name")
    held = dict(zip(names, zip(_all(before, "digest"), _all(before, "time"), strict=True), strict=True))
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


def _all(rows: dict[str, Any], column: str) -> Sequence[Any]:
    said = _column(rows[column])
    return [None] * len(rows["version"]) if said is None else said


def _column(said: Any) -> Any:
    return Texts(said) if isinstance(said, str) else said


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
    *("name", "folder", "last", "digest", "size", "pythons", "python", "yanked", "metadata", "time", "hashes"),
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
        names=_column(rows["name"]),
        folders=_column(rows["folder"]),
        lasts=_column(rows["last"]),
        digests=_column(rows["digest"]),
        sizes=_numbers(rows["size"], "q", int),
        pythons=None if rows["python"] is None else [rows["pythons"][number] for number in rows["python"]],
        yanked=rows["yanked"],
        metadata=_column(rows["metadata"]),
        times=_numbers(_column(rows["time"]), "d", int, float),
        hashes=rows["hashes"],
        provenance=_column(rows["provenance"]),
        seen=rows["seen"],
        now=rows["now"],
    )


def _numbers(column: Sequence[Any] | None, code: str, *kinds: type) -> Sequence[Any] | None:
    """Put numbers side by side, where nothing else is among them: a quarter of the memory."""
    if not isinstance(column, list) or not set(map(type, column)) <= set(kinds):
        return column
    return array(code, column)


def status_of(rows: dict[str, Any]) -> ProjectStatus | None:
    """Give what the source says of the project as a whole."""
    said = rows["status"]
    return None if said is None else ProjectStatus(said[0], said[1])
