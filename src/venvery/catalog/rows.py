"""A source's listing of one project: from links to compact rows, and from rows to files.

File names are parsed once, when a page comes in. What is stored are plain values in which versions, tags and
requires-python texts stand once and rows point at them; reading a listing back parses no file name.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any

from venvery.catalog.pages import Link
from venvery.model.digests import sha256
from venvery.model.files import DistFile, ProjectStatus, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = ["EMPTY_REVISION", "FORMAT", "files_of", "revision_of", "rows_of", "status_of"]

FORMAT = 3
"""Part of what names a source in the database: rows of another format are not looked at."""
EMPTY_REVISION = sha256(b"")
"""The revision of a listing that a source does not have."""
_CHECKABLE = frozenset(
    {"md5", "sha1", "sha224", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2b_256"}
)
"""Other hashes that are kept, to be checked when the file is fetched."""


class _Table(dict[Any, int]):
    """Numbers values in the order in which they first come."""

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        return number


Parsed = tuple[Version, str, tuple[int, str] | tuple[()]]


class Names:
    """Parses the file names of one project exactly as `parse_filename` does, part by part, each part once."""

    def __init__(self, project: NormalizedName) -> None:
        self.project = project
        self._ours: dict[tuple[str, str], bool] = {}
        self._wheels: dict[str, bool] = {}
        self._versions: dict[str, Version | None] = {}

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
    parse = Names(project).parse
    versions, tags, pythons = _Table(), _Table(), _Table()
    seen: dict[str, float] = dict(before["seen"]) if before else {}
    given = _given_times(before) if before else {}
    digests = {row[0]: row[6] for row in before["files"]} if before else {}
    rows: dict[str, list[Any]] = {}
    numbers: dict[int, tuple[int, Version]] = {}
    for filename, url, hashes, python, yanked, metadata, size, uploaded, provenance in links:
        name = parse(filename)
        if name is None or filename in rows:
            continue
        version, tag, build = name
        numbered = numbers.get(id(version))  # hashing a version takes longer than all the rest of a row
        if numbered is None:
            numbered = numbers[id(version)] = versions[version], version
        folder, _, last = url.rpartition("/")
        digest = hashes.get("sha256")
        if digest is not None and len(digest) != 64:
            digest = None
        if uploaded is None:
            uploaded = given.get((filename, digest))
            if uploaded is None:
                if digests.get(filename, digest) != digest:
                    seen[filename] = now
                seen.setdefault(filename, now)
        rows[filename] = [
            filename,
            folder,
            None if last == filename else last,
            numbered[0],
            tags[tag],
            build or None,
            digest,
            size,
            pythons[python],
            yanked,
            metadata,
            uploaded,
            None if len(hashes) == (digest is not None) else _other_hashes(hashes),
            provenance,
        ]
    return {
        "versions": [str(version) for version in versions],
        "tags": list(tags),
        "pythons": list(pythons),
        "files": [rows[filename] for filename in sorted(rows)],
        "seen": seen,
        "status": None if status is None else [status.state, status.reason],
    }


def _other_hashes(hashes: dict[str, str]) -> list[tuple[str, str]] | None:
    return sorted((name, value) for name, value in hashes.items() if name in _CHECKABLE) or None


def _given_times(before: dict[str, Any]) -> dict[tuple[str, str | None], float]:
    return {(row[0], row[6]): row[11] for row in before["files"] if row[11] is not None}


def revision_of(rows: dict[str, Any]) -> str:
    """Give a digest of everything in the rows that a lock, or a client of the simple API, can show.

    Where a file lies is part of it: locks say it, and what was remembered must not lead where nothing is any more.
    The time at which we first saw a file is not.
    """
    pythons = rows["pythons"]
    visible: list[tuple[Any, ...]] = [(*row[:3], *row[6:8], pythons[row[8]], *row[9:]) for row in rows["files"]]
    if rows["status"] is not None:
        visible.append(tuple(rows["status"]))
    # The second format of marshal is settled since Python 2.5 and says every value in one way only; JSON
    # takes seven times as long.
    return sha256(marshal.dumps(visible, 2))


def files_of(project: NormalizedName, rows: dict[str, Any], source: str) -> tuple[DistFile, ...]:
    """Make the files of a source's rows, sorted by file name."""
    versions = [parse_version(text) for text in rows["versions"]]
    tags = [(intern(tag), "wheel" if tag else "sdist") for tag in rows["tags"]]
    pythons = rows["pythons"]
    seen = rows["seen"]
    files = []
    for row in rows["files"]:
        name, folder, last, version, tag, build, digest, size, python, yanked, metadata, time, hashes, proof = row
        files.append(
            DistFile(
                name,
                f"{folder}/{last or name}",
                project,
                versions[version],
                tags[tag][1],
                tags[tag][0],
                (build[0], build[1]) if build else (),
                digest,
                size,
                pythons[python],
                yanked,
                datetime.fromtimestamp(seen[name] if time is None else time, UTC),
                metadata,
                source,
                tuple((algorithm, value) for algorithm, value in hashes) if hashes else (),
                proof,
            )
        )
    return tuple(files)


def status_of(rows: dict[str, Any]) -> ProjectStatus | None:
    """Give what the source says of the project as a whole."""
    said = rows["status"]
    return None if said is None else ProjectStatus(said[0], said[1])
