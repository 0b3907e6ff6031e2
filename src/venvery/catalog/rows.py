"""A source's listing of one project: from links to compact rows, and from rows to files.

File names are parsed once, when a page comes in. What is stored are plain values in which versions, tags,
requires-python texts and URL folders stand once and rows point at them; reading a listing back parses no
file name.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from sys import intern
from typing import Any

from venvery.catalog.pages import Link
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import DistFile, FileName, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import InvalidVersion, parse_version

__all__ = ["EMPTY_REVISION", "files_of", "revision_of", "rows_of"]

FORMAT = 1
EMPTY_REVISION = sha256(b"")
"""The revision of a listing that a source does not have."""
_STRONG = frozenset({"sha256", "sha384", "sha512", "blake2b_256", "sha3_256", "sha3_512", "md5", "sha1", "sha224"})


class _Table:
    """Numbers values in the order in which they first come."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found


class Names:
    """Parses the file names of one project exactly as `parse_filename` does, part by part, each part once."""

    def __init__(self, project: NormalizedName) -> None:
        self.project = project
        self._parts: dict[str, FileName | None] = {}

    def parse(self, filename: str) -> FileName | None:
        """Read a file name; None when it is no wheel or sdist, or one of another project."""
        if filename.endswith(".whl"):
            return self._wheel(filename)
        name = parse_filename(filename)
        if name is not None and name.project == self.project:
            return name
        return self._legacy_sdist(filename)

    def _wheel(self, filename: str) -> FileName | None:
        parts = filename[:-4].split("-")
        if len(parts) not in (5, 6):
            return None
        name = self._part(f"{parts[0]}-1-py3-none-any.whl")
        version = self._part(f"x-{parts[1]}-py3-none-any.whl")
        tag = self._part(f"x-1-{'-'.join(parts[-3:])}.whl")
        if name is None or version is None or tag is None or name.project != self.project:
            return None
        if len(parts) == 5:
            return FileName(self.project, version.version, "wheel", tag.tag, ())
        build = self._part(f"x-1-{parts[2]}-py3-none-any.whl")
        return build and FileName(self.project, version.version, "wheel", tag.tag, build.build)

    def _part(self, filename: str) -> FileName | None:
        try:
            return self._parts[filename]
        except KeyError:
            found = self._parts[filename] = parse_filename(filename)
            return found

    def _legacy_sdist(self, filename: str) -> FileName | None:
        """Read an sdist whose version has a dash in it (from before PEP 625), knowing its project's name."""
        for suffix in (".tar.gz", ".zip"):
            if filename.endswith(suffix):
                stem = filename.removesuffix(suffix)
                break
        else:
            return None
        for place in (index for index, character in enumerate(stem) if character == "-"):
            if normalize(stem[:place]) == self.project:
                try:
                    return FileName(self.project, parse_version(stem[place + 1 :]), "sdist", "", ())
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
    names = Names(project)
    folders, versions, tags, pythons = _Table(), _Table(), _Table(), _Table()
    seen: dict[str, float] = dict(before["seen"]) if before else {}
    given = _given_times(before) if before else {}
    rows: dict[str, list[Any]] = {}
    for link in links:
        name = names.parse(link.filename)
        if name is None or link.filename in rows:
            continue
        hashes = {key: value for key, value in link.hashes.items() if key in _STRONG}
        digest = hashes.pop("sha256", None)
        if digest is not None and len(digest) != 64:
            digest = None
        uploaded = link.upload_time
        if uploaded is None:
            uploaded = given.get((link.filename, digest))
        if uploaded is None:
            seen.setdefault(link.filename, now)
        folder, _, last = link.url.rpartition("/")
        rows[link.filename] = [
            link.filename,
            folders.number(folder),
            None if last == link.filename else last,
            versions.number(str(name.version)),
            tags.number(name.tag),
            list(name.build) or None,
            digest,
            link.size,
            pythons.number(link.requires_python),
            link.yanked,
            link.core_metadata,
            uploaded,
            sorted(hashes.items()) or None,
        ]
    return {
        "format": FORMAT,
        "folders": folders.values,
        "versions": versions.values,
        "tags": tags.values,
        "pythons": pythons.values,
        "files": [rows[filename] for filename in sorted(rows)],
        "seen": seen,
    }


def _given_times(before: dict[str, Any]) -> dict[tuple[str, str | None], float]:
    return {(row[0], row[6]): row[11] for row in before["files"] if row[11] is not None}


def revision_of(rows: dict[str, Any]) -> str:
    """Give a digest of everything in the rows that resolution can see.

    Where a file lies is no part of it as long as its hash is: a mirror may move files. Nor is the time at
    which we first saw it.
    """
    pythons = rows["pythons"]
    visible = [
        [row[0], row[6] or [row[12], rows["folders"][row[1]], row[2]], row[7], pythons[row[8]], *row[9:12]]
        for row in rows["files"]
    ]
    return sha256(canonical_json(visible))


def files_of(project: NormalizedName, rows: dict[str, Any], source: str) -> tuple[DistFile, ...]:
    """Make the files of a source's rows, sorted by file name."""
    folders = rows["folders"]
    versions = [parse_version(text) for text in rows["versions"]]
    tags = [intern(tag) for tag in rows["tags"]]
    pythons = rows["pythons"]
    seen = rows["seen"]
    files = []
    for name, folder, last, version, tag, build, digest, size, python, yanked, metadata, time, hashes in rows[
        "files"
    ]:
        files.append(
            DistFile(
                name,
                f"{folders[folder]}/{last or name}",
                project,
                versions[version],
                "wheel" if tags[tag] else "sdist",
                tags[tag],
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
