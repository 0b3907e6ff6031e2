"""Project pages as sources write them: HTML and JSON (PEP 503, 592, 629, 658/714, 691, 700, 740, 792)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast, get_args
from urllib.parse import quote, unquote, urljoin

import orjson

from venvery.catalog.anchors import Attributes, Page, PlainAnchor, attributes_of, read_carefully, read_plainly
from venvery.errors import SourceGarbage
from venvery.model.files import MAX_SIZE, ProjectState, ProjectStatus

__all__ = ["Link", "ProjectPage", "parse_html", "parse_json"]

_WEB = ("https://", "http://")


class Link(NamedTuple):
    """One file as a page lists it; nothing of it is checked but the scheme of its URL."""

    filename: str
    url: str
    """Absolute, without fragment and without credentials."""
    hashes: dict[str, str]
    """Algorithm → hex digits in lower case."""
    requires_python: str | None = None
    yanked: str | None = None
    core_metadata: str | None = None
    size: int | None = None
    upload_time: float | None = None
    """Seconds since the epoch."""
    provenance: str | None = None
    """Absolute (PEP 740)."""


class ProjectPage(NamedTuple):
    """A page, read."""

    links: list[Link]
    status: ProjectStatus | None = None


def parse_json(body: bytes, base: str) -> ProjectPage:
    """Read a project page in JSON (PEP 691). Raises `SourceGarbage`."""
    try:
        page = orjson.loads(body)
        version = str(page["meta"]["api-version"])
        entries = page["files"]
    except (ValueError, KeyError, TypeError):
        raise SourceGarbage("its JSON is not a project page (PEP 691)") from None
    _check_version(version)
    said = page.get("project-status")
    status = _status(said.get("status"), said.get("reason")) if isinstance(said, dict) else None
    if status is not None and status.state == "quarantined":
        return ProjectPage([], status)
    join = _Joiner(base)
    try:
        return ProjectPage([link for entry in entries if (link := _json_link(entry, join)) is not None], status)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SourceGarbage("its JSON lists a file without name, URL or hashes (PEP 691)") from None


def _json_link(entry: dict[str, Any], join: _Joiner) -> Link | None:
    url = join(entry["url"].partition("#")[0])
    if url is None:
        return None
    yanked = entry.get("yanked", False)
    metadata = entry.get("core-metadata", entry.get("dist-info-metadata", False))
    size = entry.get("size")
    python = entry.get("requires-python")
    if not isinstance(entry["filename"], str):
        raise TypeError
    return Link(
        filename=entry["filename"],
        url=url,
        hashes={str(name).lower(): str(value).lower() for name, value in entry["hashes"].items()},
        requires_python=python if isinstance(python, str) and python.strip() else None,
        yanked=(yanked if isinstance(yanked, str) else "") if yanked else None,
        core_metadata=_hash_of(metadata),
        size=size if isinstance(size, int) and 0 <= size <= MAX_SIZE else None,
        upload_time=_seconds(entry.get("upload-time")),
        provenance=_web(entry.get("provenance"), join),
    )


def _web(reference: Any, join: _Joiner) -> str | None:
    return join(reference) if isinstance(reference, str) and reference else None


def _status(state: Any, reason: Any) -> ProjectStatus | None:
    """Read a project's status (PEP 792); one that no standard knows says nothing."""
    if state not in get_args(ProjectState):
        return None
    return ProjectStatus(cast("ProjectState", state), reason if isinstance(reason, str) and reason else None)


def _hash_of(metadata: Any) -> str | None:
    """Read PEP 714's value: false, true, or hashes."""
    if isinstance(metadata, dict):
        return str(metadata.get("sha256", "")).lower()
    return "" if metadata else None


def _seconds(text: Any) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def parse_html(text: str, base: str) -> ProjectPage:
    """Read a project page, or any page of links, in HTML.

    Raises `SourceGarbage` for what is no such page: not HTML, a form to log in, a page whose links lead
    anywhere but to distribution files.
    """
    page = read_plainly(text) or read_carefully(text)
    _check_version(page.meta.get("pypi:repository-version", "1.0"))
    status = _status(page.meta.get("pypi:project-status"), page.meta.get("pypi:project-status-reason"))
    if status is not None and status.state == "quarantined":
        return ProjectPage([], status)
    links = _links(page, base)
    if not any(_DISTRIBUTION.search(link.filename) for link in links):
        _check_empty(text, bool(page.plain or page.anchors), "pypi:repository-version" in page.meta)
    return ProjectPage(links, status)


def _links(page: Page, base: str) -> list[Link]:
    join = _Joiner(urljoin(base, page.base.strip()) if page.base else base)
    links = list(_plain_links(page.plain, join))
    links += [link for anchor in page.anchors if (link := _html_link(anchor, join)) is not None]
    return links


def _plain_links(anchors: Iterable[PlainAnchor], join: _Joiner) -> Iterator[Link]:
    """Make links of plain anchors. Their other attributes are few texts that come again and again."""
    known: dict[str, tuple[str | None, str | None, str | None, str | None]] = {}
    for folder, filename, digest, before, time, after in anchors:
        url = folder + filename if folder.startswith(_WEB) else join(folder + filename)
        if url is None:
            continue
        said = known.get(before + after)
        if said is None:
            said = known[before + after] = _said(attributes_of(before + after))
        uploaded = None if time is None else _seconds(time)
        python, yanked, metadata, provenance = said
        where = _web(provenance, join)
        hashes = {} if digest is None else {"sha256": digest}
        yield Link(filename, url, hashes, python, yanked, metadata, None, uploaded, where)


def _said(anchor: Attributes) -> tuple[str | None, str | None, str | None, str | None]:
    """Read requires-python, yanked, core-metadata and provenance."""
    metadata = anchor.get("data-core-metadata", anchor.get("data-dist-info-metadata"))
    return (
        anchor.get("data-requires-python") or None,
        anchor.get("data-yanked"),
        None if metadata is None else _attribute_hash(metadata),
        anchor.get("data-provenance"),
    )


_DISTRIBUTION = re.compile(
    r"\.(whl|tar\.gz|zip|tgz|tar\.bz2|tar\.xz|egg|exe|msi|rpm|deb|dmg|asc|metadata)$", re.IGNORECASE
)
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|meta|h1|ul|a\s|pre)", re.I | re.S)
_UNSEEN = re.compile(r"<!--.*?-->|<(title|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_NOT_A_LISTING = re.compile(r"<(form|script|iframe|input|frameset|meta\s+http-equiv=.?refresh)", re.I)
_LISTING = re.compile(r"<(title|h1)[^>]*>\s*(simple index|links for|index of|directory listing)", re.I)


def _check_empty(text: str, anchors: bool, declared: bool) -> None:
    """Let a page without any file pass only when it can be an empty project page."""
    if not text.strip():
        raise SourceGarbage("the page is empty, not even HTML")
    if not _HTML.match(text):
        raise SourceGarbage("the page is not HTML")
    if declared or _LISTING.search(text):
        return
    shown = re.sub(r"<[^>]*>", " ", _UNSEEN.sub(" ", text))
    if anchors or _NOT_A_LISTING.search(text) or shown.strip():
        raise SourceGarbage("the page is HTML, but not a list of distribution files")


def _check_version(version: str) -> None:
    """Refuse another major version of the simple API (PEP 629)."""
    if version.partition(".")[0].strip() != "1":
        raise SourceGarbage(f"it speaks version {version[:20]!r} of the simple API; 1 is understood")


def _html_link(anchor: Attributes, join: _Joiner) -> Link | None:
    href, _, fragment = anchor.get("href", "").strip().partition("#")
    url = join(href) if href else None
    if url is None:
        return None
    filename = (url.partition("?")[0] if "?" in url else url).rpartition("/")[2]
    if not filename:
        return None
    upload_time = anchor.get("data-upload-time")  # in no standard, but some indexes have it
    python, yanked, metadata, provenance = _said(anchor)
    return Link(
        unquote(filename) if "%" in filename else filename,
        url,
        _fragment_hashes(fragment),
        python,
        yanked,
        metadata,
        None,
        None if upload_time is None else _seconds(upload_time),
        _web(provenance, join),
    )


def _fragment_hashes(fragment: str) -> dict[str, str]:
    return {name.lower(): value.lower() for name, value in _HASH.findall(fragment)}


_HASH = re.compile(r"(?:^|&)([a-zA-Z0-9_]+)=([0-9a-fA-F]{32,128})(?=&|\Z)")


def _attribute_hash(value: str) -> str | None:
    if value.lower() == "false":
        return None
    name, _, digest = value.partition("=")
    return digest.lower() if name == "sha256" else ""


class _Joiner:
    """Makes URLs absolute, remembering folders, and keeps to schemes that the page may name."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._schemes = ("file://", *_WEB) if base.startswith("file:") else _WEB
        self._folders: dict[str, str] = {}

    def __call__(self, reference: str) -> str | None:
        """Give the absolute URL; None when a page from there may not lead there.

        A page from the network never leads to a file of this machine.
        """
        if not reference.startswith(_WEB) or "?" in reference:
            folder, slash, name = reference.rpartition("/")
            if ":" in name or "?" in reference or not name:
                reference = urljoin(self._base, reference)
            else:
                base = self._folders.get(folder + slash)
                if base is None:
                    base = self._folders[folder + slash] = urljoin(self._base, (folder + slash) or ".")
                reference = base + name
        if not reference.startswith(self._schemes):
            return None
        if not _CLEAN.match(reference):
            reference = _clean(reference)
        return reference


_CLEAN = re.compile(r"[!$-?A-~]*\Z")  # no blanks, no "#", and no "@", behind which credentials end


def _clean(url: str) -> str:
    """Quote what may not stand in a URL, and take out credentials."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    path = quote(path, safe="/%:=&?~+!$,;'@()*[]")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
