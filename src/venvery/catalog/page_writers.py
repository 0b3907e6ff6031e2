"""Project pages and the list of projects as we write them: JSON and HTML.

Standards: simple API (PEP 503, 592, 629, 658/714, 691, 700, 740, 792). `pages.py` reads what is written here.

HTML is frozen (PEP 833): what is new goes into JSON only. All URLs are relative, so that pages are right behind
any reverse proxy and below any prefix: files lie in `files/` beside the `simple/` that the page is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal
from urllib.parse import quote

import orjson

from venvery.catalog.fetch import storage_key
from venvery.catalog.sidecars import sidecar_key
from venvery.model.files import DistFile, Listing
from venvery.model.names import NormalizedName

__all__ = ["API_VERSION", "Form", "Learnt", "file_id", "file_path", "write_page", "write_root"]

Form = Literal["json", "html"]

API_VERSION = "1.4"
_WITHOUT_SIZES = "1.0"
"""From 1.1 on every file must have its size (PEP 700), which an upstream in HTML does not tell."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What we found out of files and their source does not say."""

    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """(SHA-256, size) of files that were listed without hash, by `storage_key`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of metadata, by `sidecar_key`."""

    def sha256(self, file: DistFile) -> str | None:
        """Give a file's SHA-256 where anybody knows it."""
        found = self.files.get(storage_key(file)) if file.sha256 is None else None
        return file.sha256 if found is None else found[0]

    def size(self, file: DistFile) -> int | None:
        """Give a file's size where anybody knows it."""
        found = self.files.get(storage_key(file)) if file.size is None else None
        return file.size if found is None else found[1]

    def core_metadata(self, file: DistFile) -> str | None:
        """Give the hash of a file's metadata, `""` where there is some of unknown hash, None where there is none.

        Every wheel has its metadata in it, whether or not its source offers that apart.
        """
        if file.core_metadata or file.kind == "sdist":
            return file.core_metadata
        return self.metadata.get(sidecar_key(file), "")


def file_id(file: DistFile, sha256: str | None) -> str:
    """Give what stands for a file in its URL: the SHA-256 of its bytes, else a digest of where it lies."""
    return sha256 or "at-" + storage_key(file)[3:]


def file_path(file: DistFile, sha256: str | None) -> str:
    """Give the path of a file below `files/`."""
    return f"{file.project}/{file_id(file, sha256)}/{quote(file.filename)}"


def write_page(listing: Listing, form: Form, learnt: Learnt, serial: int) -> bytes:
    """Write a project's page."""
    files = () if _is_quarantined(listing) else listing.files
    if form == "json":
        return orjson.dumps(_page_json(listing, files, learnt, serial))
    return _page_html(listing, files, learnt).encode()


def write_root(projects: Iterable[tuple[NormalizedName, int]], form: Form, serial: int) -> bytes:
    """Write the list of projects, given as (name, serial)."""
    if form == "json":
        return orjson.dumps(
            {
                "meta": {"api-version": API_VERSION, "_last-serial": serial},
                "projects": [{"name": name, "_last-serial": number} for name, number in projects],
            }
        )
    anchors = "\n".join(f'<a href="{name}/">{name}</a><br>' for name, _number in projects)
    return _html("Simple index", anchors).encode()


def _is_quarantined(listing: Listing) -> bool:
    return listing.status is not None and listing.status.state == "quarantined"


def _page_json(listing: Listing, files: Sequence[DistFile], learnt: Learnt, serial: int) -> dict[str, Any]:
    entries = [_file_json(file, learnt) for file in files]
    version = API_VERSION if all("size" in entry for entry in entries) else _WITHOUT_SIZES
    page: dict[str, Any] = {"meta": {"api-version": version, "_last-serial": serial}, "name": listing.project}
    if listing.status is not None:
        page["project-status"] = {"status": listing.status.state}
        if listing.status.reason is not None:
            page["project-status"]["reason"] = listing.status.reason
    versions = sorted({id(file.version): file.version for file in files}.values())
    page["versions"] = list(dict.fromkeys(map(str, versions)))
    page["files"] = entries
    return page


def _file_json(file: DistFile, learnt: Learnt) -> dict[str, Any]:
    sha256 = learnt.sha256(file)
    path = file_path(file, sha256)
    hashes = dict(file.hashes)
    if sha256 is not None:
        hashes["sha256"] = sha256
    entry: dict[str, Any] = {"filename": file.filename, "url": f"../../files/{path}", "hashes": hashes}
    if file.requires_python is not None:
        entry["requires-python"] = file.requires_python
    if (size := learnt.size(file)) is not None:
        entry["size"] = size
    if file.upload_time is not None:
        entry["upload-time"] = _instant(file.upload_time)
    entry["yanked"] = False if file.yanked is None else file.yanked or True
    metadata = learnt.core_metadata(file)
    if metadata is not None:
        entry["core-metadata"] = {"sha256": metadata} if metadata else True
    if file.provenance is not None:
        entry["provenance"] = f"../../files/{path}.provenance"
    return entry


def _instant(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _page_html(listing: Listing, files: Sequence[DistFile], learnt: Learnt) -> str:
    metas = ""
    if listing.status is not None:
        metas = f'<meta name="pypi:project-status" content="{listing.status.state}">\n'
        if listing.status.reason is not None:
            metas += f'<meta name="pypi:project-status-reason" content="{escape(listing.status.reason)}">\n'
    anchors = "\n".join(_anchor(file, learnt) for file in files)
    return _html(f"Links for {listing.project}", anchors, metas)


def _html(title: str, anchors: str, metas: str = "") -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{API_VERSION}">\n{metas}<title>{title}</title>\n</head>\n'
        f"<body>\n<h1>{title}</h1>\n{anchors}\n</body>\n</html>\n"
    )


def _anchor(file: DistFile, learnt: Learnt) -> str:
    sha256 = learnt.sha256(file)
    path = file_path(file, sha256)
    algorithm, digest = ("sha256", sha256) if sha256 is not None else next(iter(file.hashes), ("", ""))
    said = f'href="../../files/{path}{f"#{algorithm}={digest}" if digest else ""}"'
    if file.requires_python is not None:
        said += f' data-requires-python="{escape(file.requires_python)}"'
    if file.yanked is not None:
        said += f' data-yanked="{escape(file.yanked)}"'
    metadata = learnt.core_metadata(file)
    if metadata is not None:
        offered = f"sha256={metadata}" if metadata else "true"
        said += f' data-core-metadata="{offered}" data-dist-info-metadata="{offered}"'
    if file.provenance is not None:
        said += f' data-provenance="../../files/{path}.provenance"'
    return f"<a {said}>{escape(file.filename)}</a><br>"
