"""A world: a set of distribution files as an index would list them, in memory or on disk.

Standards: simple API (PEP 503, 592, 658/714, 691, 700).
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from tests.support.wheels import BuiltFile, normalize

__all__ = ["LONG_AGO", "Listed", "Pep658", "World"]

LONG_AGO = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)
"""The upload time of a file that was added without one; the second one came a minute later, and so on."""

Pep658 = Literal["on", "unhashed", "off", "silent", "wrong-hash"]
"""on: advertised with its hash; unhashed: advertised without; off: neither advertised nor there; silent:
there but not advertised; wrong-hash: advertised with the hash of something else."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file and what the index says of it."""

    file: BuiltFile
    project: str
    upload_time: datetime
    yanked: str | None = None
    requires_python: str | None = None
    sha256: str | None = None
    """What the index claims; None: it gives no hash."""
    size: int | None = None


class World:
    """A set of files that may change at any time; safe to use from several threads."""

    def __init__(self, files: Iterable[BuiltFile] = ()) -> None:
        self._lock = RLock()
        self._listed: dict[str, Listed] = {}
        self._ticks = 0
        self._changed: dict[str, int] = {}
        for file in files:
            self.add(file)

    def add(
        self,
        file: BuiltFile,
        *,
        yanked: str | None = None,
        upload_time: datetime | None = None,
        project: str | None = None,
        claimed_sha256: str | None = "",
        claimed_size: int | None = -1,
        requires_python: str | None = "",
    ) -> BuiltFile:
        """List a file, or replace the one of the same name.

        `claimed_sha256`, `claimed_size` and `requires_python` are what the index says; without them it
        tells the truth, with None it says nothing. `project` lists the file on another project's page.
        """
        with self._lock:
            self._ticks += 1
            listed = Listed(
                file,
                normalize(project or file.project),
                upload_time or LONG_AGO + timedelta(minutes=self._ticks),
                yanked,
                file.requires_python if requires_python == "" else requires_python,
                file.sha256 if claimed_sha256 == "" else claimed_sha256,
                len(file.data) if claimed_size == -1 else claimed_size,
            )
            self._listed[file.filename] = listed
            self._changed[listed.project] = self._ticks
        return file

    def remove(self, filename: str) -> None:
        """Take a file away. Raises `KeyError` when it is not there."""
        with self._lock:
            self._ticks += 1
            self._changed[self._listed.pop(filename).project] = self._ticks

    def yank(self, filename: str, reason: str = "") -> None:
        """Yank a file (PEP 592)."""
        with self._lock:
            self._ticks += 1
            listed = self._listed[filename] = replace(self._listed[filename], yanked=reason)
            self._changed[listed.project] = self._ticks

    def file(self, filename: str) -> Listed | None:
        """Give a file by its name."""
        with self._lock:
            return self._listed.get(filename)

    @property
    def files(self) -> tuple[BuiltFile, ...]:
        """All files, in the order in which they came."""
        with self._lock:
            return tuple(listed.file for listed in self._listed.values())

    @property
    def projects(self) -> tuple[str, ...]:
        """All projects that have files, sorted."""
        with self._lock:
            return tuple(sorted({listed.project for listed in self._listed.values()}))

    def listed(self, project: str) -> tuple[Listed, ...]:
        """Give the files of a project, in the order in which they came."""
        with self._lock:
            return tuple(listed for listed in self._listed.values() if listed.project == project)

    def modified(self, project: str | None) -> datetime:
        """Give the time of the last change to a project, or to the set of projects: a second each."""
        with self._lock:
            tick = self._ticks if project is None else self._changed.get(project, 0)
        return LONG_AGO + timedelta(seconds=tick)

    def write_flat(self, folder: Path) -> Path:
        """Write all files into one folder, as `--find-links` has it."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            file.write_to(folder)
        return folder

    def write_tree(self, folder: Path, *, pep658: Pep658 = "off", hashes: bool = True) -> Path:
        """Write a PEP 503 tree: `{project}/index.html` with the project's files beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(self.root_html(), encoding="utf-8")
        for project in self.projects:
            page = folder / project
            page.mkdir(exist_ok=True)
            for listed in self.listed(project):
                listed.file.write_to(page)
                if pep658 != "off" and listed.file.filename.endswith(".whl"):
                    (page / (listed.file.filename + ".metadata")).write_bytes(listed.file.metadata)
            text = self.project_html(project, base="", pep658=pep658, hashes=hashes)
            (page / "index.html").write_text(text, encoding="utf-8")
        return folder

    def root_html(self) -> str:
        """Write the list of projects (PEP 503)."""
        links = "".join(f'    <a href="{project}/">{project}</a><br/>\n' for project in self.projects)
        return _page("Simple index", links)

    def root_json(self) -> dict[str, Any]:
        """Give the list of projects (PEP 691)."""
        return {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in self.projects]}

    def project_html(self, project: str, *, base: str, pep658: Pep658 = "on", hashes: bool = True) -> str:
        """Write a project's page (PEP 503, 592, 658/714); `base` comes before every file name."""
        links = "".join(_anchor(listed, base, pep658, hashes) for listed in self.listed(project))
        return _page(f"Links for {project}", links)

    def project_json(
        self,
        project: str,
        *,
        base: str,
        pep658: Pep658 = "on",
        hashes: bool = True,
        sizes: bool = True,
        upload_times: bool = True,
    ) -> dict[str, Any]:
        """Give a project's page (PEP 691, 700); without sizes it is API 1.0."""
        files = []
        for listed in self.listed(project):
            entry: dict[str, Any] = {
                "filename": listed.file.filename,
                "url": base + listed.file.filename,
                "hashes": {"sha256": listed.sha256} if hashes and listed.sha256 else {},
            }
            if listed.requires_python is not None:
                entry["requires-python"] = listed.requires_python
            if listed.yanked is not None:
                entry["yanked"] = listed.yanked or True
            offered = _offered(listed, pep658)
            if offered is not None:
                entry["core-metadata"] = entry["dist-info-metadata"] = {"sha256": offered} if offered else True
            if sizes and listed.size is not None:
                entry["size"] = listed.size
            if upload_times:
                entry["upload-time"] = listed.upload_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            files.append(entry)
        page: dict[str, Any] = {
            "meta": {"api-version": "1.1" if sizes else "1.0"},
            "name": project,
            "files": files,
        }
        if sizes:
            page["versions"] = sorted({listed.file.version for listed in self.listed(project)})
        return page

    def dump(self) -> str:
        """Describe the world for a failing test's message."""
        return json.dumps({project: [f.file.filename for f in self.listed(project)] for project in self.projects})


def _page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html>\n  <head>\n    <meta name="pypi:repository-version" content="1.1">\n'
        f"    <title>{title}</title>\n  </head>\n  <body>\n    <h1>{title}</h1>\n{body}  </body>\n</html>\n"
    )


def _offered(listed: Listed, pep658: Pep658) -> str | None:
    """None: metadata is not advertised. Empty: without a hash. Else the hash."""
    if not listed.file.filename.endswith(".whl") or pep658 in ("off", "silent"):
        return None
    if pep658 == "unhashed":
        return ""
    content = b"something else" if pep658 == "wrong-hash" else listed.file.metadata
    return hashlib.sha256(content).hexdigest()


def _anchor(listed: Listed, base: str, pep658: Pep658, hashes: bool) -> str:
    fragment = f"#sha256={listed.sha256}" if hashes and listed.sha256 else ""
    attributes = f'href="{html.escape(base + listed.file.filename + fragment)}"'
    if listed.requires_python is not None:
        attributes += f' data-requires-python="{html.escape(listed.requires_python)}"'
    if listed.yanked is not None:
        attributes += f' data-yanked="{html.escape(listed.yanked)}"'
    offered = _offered(listed, pep658)
    if offered is not None:
        value = f"sha256={offered}" if offered else "true"
        attributes += f' data-core-metadata="{value}" data-dist-info-metadata="{value}"'
    return f"    <a {attributes}>{listed.file.filename}</a><br/>\n"
