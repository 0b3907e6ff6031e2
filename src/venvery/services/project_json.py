"""`/pypi/{project}/json`: projects and releases as the older JSON API has them, for those who mirror and audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.metadata import RawMetadata, parse_email

from venvery.catalog.page_writers import Learnt, file_path
from venvery.errors import NotFound, SourceFailed
from venvery.model.files import DistFile, Listing
from venvery.model.names import NormalizedName
from venvery.model.versions import InvalidVersion, Version, parse_version

if TYPE_CHECKING:
    from venvery.catalog.catalog import Catalog
    from venvery.services.simple_api import SimpleApi
    from venvery.storage.blobs import Blobs

__all__ = ["ProjectDocument", "ProjectJson"]

ADVISORIES_LIMIT = 64 * 2**20
_TEXTS = (
    *("author", "author_email", "description", "description_content_type", "download_url", "home_page"),
    *("license", "license_expression", "maintainer", "maintainer_email", "summary"),
)
_LISTS = ("classifiers", "dynamic", "license_files", "platforms", "provides_extra", "requires_dist")


@dataclass(frozen=True, slots=True)
class ProjectDocument:
    """A document, and the number of the project's last change."""

    serial: int
    values: Mapping[str, Any]


class ProjectJson:
    """Documents of one view."""

    def __init__(self, catalog: Catalog, blobs: Blobs, simple: SimpleApi) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._simple = simple

    async def document(self, project: NormalizedName, version: str | None, base: str) -> ProjectDocument:
        """Describe a project's newest release, or one of its releases. `base`: the URL of `files/`.

        Raises `NotFound`, `SourceFailed`, `StorageFailed`.
        """
        listing = await self._simple.offered(project)
        files = _by_version(listing)
        wanted = _newest(files) if version is None else _parse(version)
        if wanted not in files:
            raise NotFound(f"{project} has no release {'at all' if version is None else version[:80]}")
        learnt = await self._simple.learnt(listing)
        serial = await asyncio.to_thread(self._simple.serial, listing)
        described = {one: [_file(file, learnt, base) for file in listed] for one, listed in files.items()}
        values: dict[str, Any] = {
            "info": _info(project, wanted, files[wanted], await self._metadata(files[wanted])),
            "last_serial": serial,
            "urls": described[wanted],
            "vulnerabilities": await self._vulnerabilities(files[wanted][0]),
        }
        if version is None:
            values["releases"] = {str(one): listed for one, listed in sorted(described.items())}
        return ProjectDocument(serial, values)

    async def _metadata(self, files: Sequence[DistFile]) -> RawMetadata:
        """Read the metadata of a release out of its first wheel; nothing where that is not to be had."""
        for file in sorted(files, key=lambda file: file.kind != "wheel"):
            try:
                digest = await self._catalog.sidecar(file)
                return parse_email(await asyncio.to_thread(self._blobs.read, digest))[0]
            except (NotFound, SourceFailed):
                continue
        return {}

    async def _vulnerabilities(self, file: DistFile) -> list[Any]:
        """Hand on what the file's index knows; an index without this API knows nothing. Raises `SourceFailed`."""
        root = self._catalog.index_root(file.source)
        if root is None:
            return []
        try:
            url = f"{root}/pypi/{file.project}/{file.version}/json"
            found = json.loads(await self._catalog.document(url, ADVISORIES_LIMIT))["vulnerabilities"]
        except (NotFound, ValueError, KeyError, TypeError):
            return []
        return found if isinstance(found, list) else []


def _by_version(listing: Listing) -> dict[Version, list[DistFile]]:
    found: dict[Version, list[DistFile]] = {}
    if listing.status is None or listing.status.state != "quarantined":
        for file in listing.files:
            found.setdefault(file.version, []).append(file)
    return found


def _newest(files: Mapping[Version, Sequence[DistFile]]) -> Version | None:
    """Choose the release to describe: final before pre-release, and not yanked, where there is one."""
    return max(
        files,
        key=lambda one: (any(file.yanked is None for file in files[one]), not one.is_prerelease, one),
        default=None,
    )


def _parse(text: str) -> Version | None:
    try:
        return parse_version(text)
    except InvalidVersion:
        return None


def _info(
    project: NormalizedName, version: Version, files: Sequence[DistFile], raw: RawMetadata
) -> dict[str, Any]:
    given: Mapping[str, Any] = raw
    info: dict[str, Any] = {name: given.get(name) for name in _TEXTS}
    info |= {name: given.get(name) for name in _LISTS}
    yanked = [file.yanked for file in files]
    return info | {
        "name": given.get("name", project),
        "version": str(version),
        "keywords": ",".join(given.get("keywords", ())) or None,
        "project_urls": given.get("project_urls"),
        "requires_python": given.get("requires_python", files[0].requires_python),
        "yanked": None not in yanked,
        "yanked_reason": next((reason for reason in yanked if reason), None) if None not in yanked else None,
    }


def _file(file: DistFile, learnt: Learnt, base: str) -> dict[str, Any]:
    sha256 = learnt.sha256(file)
    digests = dict(file.hashes) | ({"sha256": sha256} if sha256 is not None else {})
    uploaded = file.upload_time.isoformat(timespec="microseconds") if file.upload_time is not None else None
    return {
        "filename": file.filename,
        "url": f"{base}{file_path(file, sha256)}",
        "digests": digests,
        "md5_digest": digests.get("md5"),
        "size": learnt.size(file),
        "packagetype": "bdist_wheel" if file.kind == "wheel" else "sdist",
        "python_version": file.tag.partition("-")[0] or "source",
        "requires_python": file.requires_python,
        "upload_time": None if uploaded is None else uploaded[:19],
        "upload_time_iso_8601": None if uploaded is None else uploaded.replace("+00:00", "Z"),
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
        "comment_text": "",
        "downloads": -1,
        "has_sig": False,
    }
