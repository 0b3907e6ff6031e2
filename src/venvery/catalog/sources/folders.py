"""Folders as sources: a tree of project folders (PEP 503 on disk), and one flat folder of files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from venvery.catalog.columns import Columns, Link
from venvery.catalog.pages import ProjectPage, parse_html
from venvery.catalog.sources.base import Absent, Answer, Found, Held
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.files import parse_filename
from venvery.model.names import NormalizedName, is_valid_name, normalize
from venvery.model.sources import SourceSpec
from venvery.storage.files import Files

__all__ = ["FlatFolder", "Tree", "path_of"]

_DISTRIBUTION = (".whl", ".tar.gz", ".zip")


class FlatFolder:
    """One folder in which files of any project lie side by side (pip's `--find-links DIR`)."""

    local = True
    told = False

    def __init__(self, spec: SourceSpec, files: Files) -> None:
        self.spec = spec
        self._root = Path(spec.location)
        self._hasher = _Hasher(files)
        self._names: tuple[int, dict[NormalizedName, list[str]]] | None = None

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """List the project's files."""
        return await asyncio.to_thread(self._read, project)

    def _read(self, project: NormalizedName) -> Answer:
        with _folder_errors(self.spec):
            names = self._by_project().get(project, [])
            links = self._hasher.links(self._root / name for name in names)
        return Found(tuple(links)) if links else Absent()

    def names(self) -> Iterable[NormalizedName]:
        """List the projects that have a file here."""
        with _folder_errors(self.spec):
            return list(self._by_project())

    def _by_project(self) -> dict[NormalizedName, list[str]]:
        """Group the folder's file names by project; a folder's time changes when a name comes or goes."""
        changed = self._root.stat().st_mtime_ns
        if self._names is None or self._names[0] != changed:
            found: dict[NormalizedName, list[str]] = {}
            for name in sorted(os.listdir(self._root)):  # noqa: PTH208  names are wanted, not paths
                parsed = parse_filename(name)
                if parsed is not None:
                    found.setdefault(parsed.project, []).append(name)
            self._names = changed, found
        return self._names[1]


class Tree:
    """A folder with a folder for each project: an `index.html` in it (PEP 503), or else the files themselves."""

    local = True
    told = False

    def __init__(self, spec: SourceSpec, files: Files) -> None:
        self.spec = spec
        self._root = Path(spec.location)
        self._hasher = _Hasher(files)

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Read the project's folder."""
        return await asyncio.to_thread(self._read, project)

    def _read(self, project: NormalizedName) -> Answer:
        with _folder_errors(self.spec):
            folder = self._folder(project)
            if folder is None:
                return Absent()
            page = folder / "index.html"
            if page.is_file():
                read = self._read_page(page)
                return Found(self._hashed(read.links), status=read.status)
            files = sorted(path for path in folder.iterdir() if path.name.endswith(_DISTRIBUTION))
            return Found(tuple(self._hasher.links(files)))

    def names(self) -> Iterable[NormalizedName]:
        """List the folders that have a project's name."""
        with _folder_errors(self.spec):
            return [
                normalize(path.name) for path in self._root.iterdir() if is_valid_name(path.name) and path.is_dir()
            ]

    def _folder(self, project: NormalizedName) -> Path | None:
        folder = self._root / project
        if folder.is_dir():
            return folder
        for other in self._root.iterdir():  # also says when the root itself is not there
            if normalize(other.name) == project and other.is_dir():
                return other
        return None

    def _read_page(self, page: Path) -> ProjectPage:
        text = page.read_text(encoding="utf-8", errors="replace")
        try:
            return parse_html(text, page.resolve().as_uri())
        except SourceGarbage as garbage:
            raise SourceGarbage(f"{page}: {garbage}") from None

    def _hashed(self, links: Columns) -> Sequence[Link]:
        """Give those links their hash that have none and lead to a file here."""
        return links if None not in links.digests else list(self._hash(links))

    def _hash(self, links: Columns) -> Iterable[Link]:
        bare = [path for link in links if not link.hashes and (path := path_of(link.url)) is not None]
        hashes = self._hasher.hashes(path for path in bare if path.is_file())
        for link in links:
            path = path_of(link.url)
            if path in hashes:
                link = link._replace(hashes={"sha256": hashes[path]}, size=path.stat().st_size)
            yield link


class _Hasher:
    """Gives files their SHA-256, reading each only once as long as it is not changed."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def links(self, paths: Iterable[Path]) -> list[Link]:
        """Make the links of files that lie there now."""
        found = []
        for path, digest in sorted(self.hashes(paths).items()):
            found.append(Link(path.name, path.resolve().as_uri(), {"sha256": digest}, size=path.stat().st_size))
        return found

    def hashes(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Give the SHA-256 of files; those that vanish meanwhile are left out."""
        stamps = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        known = self._files.local_hashes({str(path): stamp for path, stamp in stamps.items()})
        fresh, found = [], {}
        for path, stamp in stamps.items():
            digest = known.get(str(path))
            if digest is None:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if _stamp(path) == stamp:  # else it is being written just now: hash it again next time
                    fresh.append((str(path), stamp, digest))
            found[path] = digest
        self._files.put_local_hashes(fresh)
        return found


def _stamp(path: Path) -> str | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


class _folder_errors:  # noqa: N801  reads as a function where it is used
    """Turns what the system says of a folder into `SourceUnreachable`."""

    def __init__(self, spec: SourceSpec) -> None:
        self._spec = spec

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            said = error.strerror or str(error)
            where = error.filename or self._spec.location
            raise SourceUnreachable(f"source {self._spec.name}: {where}: {said}", url=str(where)) from error


def path_of(url: str) -> Path | None:
    """Give the path of a `file://` URL of this machine; None for any other URL."""
    match = _FILE_URL.match(url)
    if match is None:
        return None
    from urllib.request import url2pathname  # with all of HTTP, which an index does without

    return Path(url2pathname(match[1]))


_FILE_URL = re.compile(r"file://(?:localhost)?(/[^?#]*)")
