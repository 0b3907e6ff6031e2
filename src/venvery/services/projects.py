"""Projects as people look them up: their releases, what the newest one says of itself, who requires them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.metadata import parse_email

from venvery.catalog.rows import EMPTY_REVISION
from venvery.errors import VenveryError
from venvery.model.files import DistFile, ProjectStatus
from venvery.model.names import NormalizedName, normalize
from venvery.model.versions import Version

if TYPE_CHECKING:
    from venvery.services.house import House
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["About", "Project", "Projects", "Release"]

MOST_FOUND = 100
MOST_LINKS = 20
DESCRIPTION_LIMIT = 512 * 1024
"""Bytes of a description that are shown."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a project, with its files."""

    version: Version
    files: tuple[DistFile, ...]

    @property
    def yanked(self) -> str | None:
        """The reason, which may be empty, when every file is yanked (PEP 592); else None."""
        reasons = [file.yanked for file in self.files]
        return None if None in reasons else "; ".join(sorted({reason for reason in reasons if reason}))

    @property
    def uploaded(self) -> datetime | None:
        """When its first file came, in UTC."""
        return min((file.upload_time for file in self.files if file.upload_time), default=None)

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True, slots=True)
class About:
    """What a release says of itself in its core metadata: nobody else vouches for a word of it."""

    summary: str = ""
    license: str = ""
    author: str = ""
    requires_python: str = ""
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Label and URL; http and https only."""
    classifiers: tuple[str, ...] = ()
    description: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """One project of a view."""

    name: NormalizedName
    status: ProjectStatus | None
    releases: tuple[Release, ...]
    """The newest first."""
    about: About
    described: Version | None
    """The release that `about` is of."""
    required_by: tuple[str, ...]
    """Projects known here some release of which requires it."""


class Projects:
    """Looks projects up."""

    def __init__(self, house: House, database: Database, blobs: Blobs) -> None:
        self._house = house
        self._database = database
        self._blobs = blobs

    def find(self, text: str, view: str | None = None) -> tuple[list[NormalizedName], bool]:
        """Find known projects whose name contains a text, those that begin with it first.

        Gives at most `MOST_FOUND`, and whether there are more.
        """
        wanted = normalize(text.strip()) if text.strip() else ""
        revisions = self._house.views.get(view).catalog.revisions()
        names = [name for name, revision in revisions.items() if revision != EMPTY_REVISION and wanted in name]
        names.sort(key=lambda name: (name != wanted, not name.startswith(wanted), name))
        return names[:MOST_FOUND], len(names) > MOST_FOUND

    async def describe(self, name: NormalizedName, view: str | None = None) -> Project:
        """Describe a project. Raises `NotFound`, `SourceFailed`, `StorageFailed`."""
        listing = await self._house.serving(view).simple.listing(name)
        by_version: dict[Version, list[DistFile]] = {}
        for file in listing.files:
            by_version.setdefault(file.version, []).append(file)
        releases = tuple(
            Release(version, tuple(sorted(by_version[version], key=lambda file: file.filename)))
            for version in sorted(by_version, reverse=True)
        )
        described = _most_telling(releases)
        about = About() if described is None else await self._about(described, view)
        required_by = await asyncio.to_thread(self._database.metadata.dependents, str(name))
        version = described.version if described is not None else None
        return Project(name, listing.status, releases, about, version, tuple(required_by))

    async def _about(self, release: Release, view: str | None) -> About:
        """Read what a release says of itself; nothing when its metadata cannot be had."""
        wheels = [file for file in release.files if file.kind == "wheel"]
        if not wheels:
            return About()
        catalog = self._house.views.get(view).catalog
        try:
            digest = await catalog.sidecar(min(wheels, key=lambda file: file.size or 0))
            return await asyncio.to_thread(lambda: read_about(self._blobs.read(digest)))
        except VenveryError:
            return About()


def _most_telling(releases: Sequence[Release]) -> Release | None:
    """Choose the newest final release that is not yanked, else the newest of any kind."""
    final = [one for one in releases if not one.version.is_prerelease and one.yanked is None]
    return next(iter([*final, *releases]), None)


def read_about(metadata: bytes) -> About:
    """Read core metadata for people; fields that cannot be read are left out."""
    raw, _unparsed = parse_email(metadata)
    links = [("Homepage", raw["home_page"])] if raw.get("home_page") else []
    links += list(raw.get("project_urls", {}).items())
    return About(
        summary=raw.get("summary", ""),
        license=raw.get("license_expression") or raw.get("license", "").split("\n")[0][:200],
        author=raw.get("author") or raw.get("author_email", ""),
        requires_python=raw.get("requires_python", ""),
        requires=tuple(raw.get("requires_dist", ())),
        extras=tuple(raw.get("provides_extra", ())),
        links=tuple((label, url) for label, url in links if _is_web(url))[:MOST_LINKS],
        classifiers=tuple(raw.get("classifiers", ())),
        description=raw.get("description", "")[:DESCRIPTION_LIMIT],
        content_type=raw.get("description_content_type", ""),
    )


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
