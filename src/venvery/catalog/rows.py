"""A source's listing of one project: from links to compact rows, and from rows to files.

File names are parsed once, when a page comes in. What is stored are plain values in which versions, tags and
requires-python texts stand once and rows point at them; reading a listing back parses no file name.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from sys import intern
from typing import Any

from venvery.catalog.pages import Link
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import DistFile, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, Version, parse_version

__all__ = ["EMPTY_REVISION", "FORMAT", "files_of", "revision_of", "rows_of"]

FORMAT = 2
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


class Names:
    """Parses the file names of one project exactly as `parse_filename` does, part by part, each part once."""

    def __init__(self, project: NormalizedName) -> None:
        self.project = project
        self._names: dict[str, bool] = {}
        self._versions: dict[str, Version | None] = {}
        self._ends: dict[str, tuple[str, tuple[int, str] | tuple[()]] | None] = {}

    def parse(self, filename: str) -> tuple[Version, str, tuple[int, str] | tuple[()]] | None:
        """Read a file name as (version, tag or "" for an sdist, build).

        None when it is no wheel or sdist, or one of another project.
        """
        if not filename.endswith(".whl"):
            return self._sdist(filename)
        name, _, rest = filename.partition("-")
        text, _, end = rest.partition("-")
        try:
            named, version, ended = self._names[name], self._versions[text], self._ends[end]
        except KeyError:  # a part is new only a few times in a listing
            named, version, ended = self._learn(name, text, end)
        return (version, *ended) if named and version is not None and ended is not None else None

    def _learn(self, name: str, version: str, end: str) -> Any:
        """Let the reference judge each part in a name whose other parts are surely good."""
        named = parse_filename(f"{name}-1-py3-none-any.whl")
        versioned = parse_filename(f"x-{version}-py3-none-any.whl")
        ended = parse_filename(f"x-1-{end}")
        self._names[name] = named is not None and named.project == self.project
        self._versions[version] = None if versioned is None else versioned.version
        self._ends[end] = None if ended is None else (ended.tag, ended.build)
        return self._names[name], self._versions[version], self._ends[end]

    def _sdist(self, filename: str) -> tuple[Version, str, tuple[()]] | None:
        found = parse_filename(filename)
        if found is not None and found.project == self.project:
            return found.version, "", ()
        return self._legacy_sdist(filename)

    def _legacy_sdist(self, filename: str) -> tuple[Version, str, tuple[()]] | None:
        """Read an sdist whose version has a dash in it (from before PEP 625), knowing its project's name."""
        stem = filename.removesuffix(".zip").removesuffix(".tar.gz")
        if stem == filename:
            return None
        for place in (index for index, character in enumerate(stem) if character == "-"):
            if normalize(stem[:place]) == self.project:
                try:
                    return parse_version(stem[place + 1 :]), "", ()
                except InvalidVersion:
                    return None
        return None


def rows_of(
    project: NormalizedName, links: Iterable[Link], *, now: float, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make the rows of what a page lists; links to anything but this project's files are left out.

    `before` are the rows of the same page as it was: a file keeps the upload time that was once given, and
    the time at which it was first seen where none was.
    """
    parse = Names(project).parse
    versions, tags, pythons = _Table(), _Table(), _Table()
    seen: dict[str, float] = dict(before["seen"]) if before else {}
    given = _given_times(before) if before else {}
    rows: dict[str, list[Any]] = {}
    for filename, url, hashes, python, yanked, metadata, size, uploaded in links:
        name = parse(filename)
        if name is None or filename in rows:
            continue
        version, tag, build = name
        folder, _, last = url.rpartition("/")
        digest = hashes.get("sha256")
        if digest is not None and len(digest) != 64:
            digest = None
        if uploaded is None:
            uploaded = given.get((filename, digest))
            if uploaded is None:
                seen.setdefault(filename, now)
        rows[filename] = [
            filename,
            folder,
            None if last == filename else last,
            versions[version],
            tags[tag],
            build or None,
            digest,
            size,
            pythons[python],
            yanked,
            metadata,
            uploaded,
            None if len(hashes) == (digest is not None) else _other_hashes(hashes),
        ]
    return {
        "versions": [str(version) for version in versions],
        "tags": list(tags),
        "pythons": list(pythons),
        "files": [rows[filename] for filename in sorted(rows)],
        "seen": seen,
    }


def _other_hashes(hashes: dict[str, str]) -> list[tuple[str, str]] | None:
    return sorted((name, value) for name, value in hashes.items() if name in _CHECKABLE) or None


def _given_times(before: dict[str, Any]) -> dict[tuple[str, str | None], float]:
    return {(row[0], row[6]): row[11] for row in before["files"] if row[11] is not None}


def revision_of(rows: dict[str, Any]) -> str:
    """Give a digest of everything in the rows that resolution can see.

    Where a file lies is no part of it as long as its hash is: a mirror may move files. Nor is the time at
    which we first saw it.
    """
    pythons = rows["pythons"]
    visible = [
        (row[0], row[6] or (row[12], row[1], row[2]), row[7], pythons[row[8]], row[9], row[10], row[11])
        for row in rows["files"]
    ]
    return sha256(canonical_json(visible))


def files_of(project: NormalizedName, rows: dict[str, Any], source: str) -> tuple[DistFile, ...]:
    """Make the files of a source's rows, sorted by file name."""
    versions = [parse_version(text) for text in rows["versions"]]
    tags = [(intern(tag), "wheel" if tag else "sdist") for tag in rows["tags"]]
    pythons = rows["pythons"]
    seen = rows["seen"]
    files = []
    for row in rows["files"]:
        name, folder, last, version, tag, build, digest, size, python, yanked, metadata, time, hashes = row
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
            )
        )
    return tuple(files)
