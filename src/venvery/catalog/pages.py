"""Project pages as sources write them: HTML and JSON (PEP 503, 592, 629, 658/714, 691, 700, 792)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urljoin

from venvery.errors import SourceGarbage

__all__ = ["Link", "parse_html", "parse_json"]

Attributes = dict[str, str]


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


def parse_json(body: bytes, base: str) -> list[Link]:
    """Read a project page in JSON (PEP 691). Raises `SourceGarbage`."""
    try:
        page = json.loads(body)
        version = str(page["meta"]["api-version"])
        entries = page["files"]
    except (ValueError, KeyError, TypeError):
        raise SourceGarbage("its JSON is not a project page (PEP 691)") from None
    _check_version(version)
    status = page.get("project-status")
    if isinstance(status, dict) and status.get("status") == "quarantined":
        return []
    join = _Joiner(base)
    try:
        return [link for entry in entries if (link := _json_link(entry, join)) is not None]
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
        size=size if isinstance(size, int) and size >= 0 else None,
        upload_time=_seconds(entry.get("upload-time")),
    )


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


def parse_html(text: str, base: str) -> list[Link]:
    """Read a project page, or any page of links, in HTML.

    Raises `SourceGarbage` for what is no such page: not HTML, cut off inside a tag, a form to log in, a page
    whose links lead anywhere but to distribution files.
    """
    page = _scan(text)
    if page is None:
        page = _Parser()
        page.feed(text)
        page.close()
    _check_version(page.meta.get("pypi:repository-version", "1.0"))
    if page.meta.get("pypi:project-status") == "quarantined":
        return []
    join = _Joiner(urljoin(base, page.base.strip()) if page.base else base)
    links = [link for anchor in page.anchors if (link := _html_link(anchor, join)) is not None]
    if not any(_DISTRIBUTION.search(link.filename) for link in links):
        _check_empty(text, page)
    return links


_DISTRIBUTION = re.compile(
    r"\.(whl|tar\.gz|zip|tgz|tar\.bz2|tar\.xz|egg|exe|msi|rpm|deb|dmg|asc|metadata)$", re.IGNORECASE
)
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|meta|h1|ul|a\s|pre)", re.I | re.S)
_UNSEEN = re.compile(r"<!--.*?-->|<(title|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_NOT_A_LISTING = re.compile(r"<(form|script|iframe|input|frameset|meta\s+http-equiv=.?refresh)", re.I)
_LISTING = re.compile(r"<(title|h1)[^>]*>\s*(simple index|links for|index of|directory listing)", re.I)


def _check_empty(text: str, page: _Page) -> None:
    """Let a page without any file pass only when it can be an empty project page."""
    if not text.strip():
        raise SourceGarbage("the page is empty, not even HTML")
    if not _HTML.match(text):
        raise SourceGarbage("the page is not HTML")
    if "pypi:repository-version" in page.meta or _LISTING.search(text):
        return
    shown = re.sub(r"<[^>]*>", " ", _UNSEEN.sub(" ", text))
    if page.anchors or _NOT_A_LISTING.search(text) or shown.strip():
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
    metadata = anchor.get("data-core-metadata", anchor.get("data-dist-info-metadata"))
    upload_time = anchor.get("data-upload-time")  # in no standard, but some indexes have it
    return Link(
        unquote(filename) if "%" in filename else filename,
        url,
        _fragment_hashes(fragment),
        anchor.get("data-requires-python") or None,
        anchor.get("data-yanked"),
        None if metadata is None else _attribute_hash(metadata),
        None,
        None if upload_time is None else _seconds(upload_time),
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
        self._web = web = ("https://", "http://")
        self._schemes = ("file://", *web) if base.startswith("file:") else web
        self._folders: dict[str, str] = {}

    def __call__(self, reference: str) -> str | None:
        """Give the absolute URL; None when a page from there may not lead there.

        A page from the network never leads to a file of this machine.
        """
        if reference.startswith(self._web) and _CLEAN.match(reference):
            return reference  # absolute and clean: most are
        if not reference.startswith(self._web) or "?" in reference:
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


class _Page:
    """What is wanted of an HTML page."""

    def __init__(self) -> None:
        self.anchors: list[Attributes] = []
        self.base: str | None = None
        self.meta: dict[str, str] = {}

    def note(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        """Take in a start tag; the first of two equal attributes counts, as in HTML."""
        found: Attributes = {}
        for name, value in attributes:
            if name not in found:
                found[name] = value or ""
        if tag == "a":
            self.anchors.append(found)
        elif tag == "base":
            if self.base is None and "href" in found:
                self.base = found["href"]
        elif "name" in found:
            self.meta.setdefault(found["name"], found.get("content", ""))


class _Parser(HTMLParser, _Page):
    def __init__(self) -> None:
        HTMLParser.__init__(self)
        _Page.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _WANTED:
            self.note(tag, attrs)


_ATTRIBUTES = re.compile(r"""\s+([a-zA-Z][a-zA-Z0-9:_-]*)(?:=(?:"([^"]*)"|'([^']*)'))?""")
_TAG = re.compile(
    r"""<(?:/[a-zA-Z][a-zA-Z0-9]*\s*|!doctype\s[^<>]*|([a-zA-Z][a-zA-Z0-9]*)"""
    r"""((?:\s+[a-zA-Z][a-zA-Z0-9:_-]*(?:=(?:"[^"<]*"|'[^'<]*'))?)*)\s*/?)>""",
    re.IGNORECASE,
)
_RAW = re.compile(
    r"<(script|style|textarea|xmp|plaintext|iframe|noscript|noembed|noframes|svg|math)\b|<title[^<]*<(?!/title)",
    re.IGNORECASE,
)


def _scan(text: str) -> _Page | None:
    """Read a page all of whose tags are plain, several times as fast as the parser; None for any other page."""
    tags = _TAG.findall(text)
    if len(tags) != text.count("<") or _RAW.search(text):
        return None
    page = _Page()
    for tag, attributes in tags:
        name = tag if tag == "a" else tag.lower()
        if name in _WANTED:
            found = _ATTRIBUTES.findall(attributes)
            if "&" in attributes:
                pairs = [(key.lower(), unescape(double or single)) for key, double, single in found]
            else:
                pairs = [(key.lower(), double or single) for key, double, single in found]
            page.note(name, pairs)
    return page


_WANTED = frozenset({"a", "base", "meta"})
