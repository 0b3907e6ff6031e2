"""The anchors of an HTML page, quickly where the page is plain and carefully where it is not.

A large project has ten thousand anchors that all look alike. They are cut out by one regular expression, and
what remains of the page must then be plain as well, so that no anchor can have stood inside a comment, a
script or another tag. Any page that is not plain goes through the standard library's parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["WANTED", "Attributes", "Page", "PlainAnchors", "attributes_of", "read_carefully", "read_plainly"]

Attributes = dict[str, str]


class PlainAnchors(NamedTuple):
    """Anchors whose targets are clean, in columns: nothing in them to be quoted, unescaped or decoded."""

    folders: list[str]
    """What comes before the file name, with its slash; may be empty."""
    filenames: list[str]
    sha256: list[str | None]
    before: list[str]
    upload_times: list[str | None]
    after: list[str]
    """`before` and `after` the upload time: other attributes as they stand, see `attributes_of`."""


class Page:
    """What is wanted of an HTML page."""

    def __init__(self) -> None:
        self.plain = PlainAnchors([], [], [], [], [], [])
        self.anchors: list[Attributes] = []
        """The anchors that are not among the plain ones."""
        self.base: str | None = None
        self.meta: dict[str, str] = {}

    def note(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        """Take in a start tag."""
        found = _first(attributes)
        if tag == "a":
            self.anchors.append(found)
        elif tag == "base":
            if self.base is None and "href" in found:
                self.base = found["href"]
        elif "name" in found:
            self.meta.setdefault(found["name"], found.get("content", ""))


def _first(attributes: Sequence[tuple[str, str | None]]) -> Attributes:
    """Make a mapping of attributes; the first of two equal names counts, as in HTML."""
    found: Attributes = {}
    for name, value in attributes:
        if name not in found:
            found[name] = value or ""
    return found


def attributes_of(text: str) -> Attributes:
    """Read the attributes of a plain tag."""
    found = _ATTRIBUTES.findall(text)
    if "&" in text:
        from html import unescape

        return _first([(name.lower(), unescape(double or single)) for name, double, single in found])
    return _first([(name.lower(), double or single) for name, double, single in found])


def read_carefully(text: str) -> Page:
    """Read any page."""
    from venvery.catalog.careful import CarefulPage  # with the parser, which most pages do without

    page = CarefulPage()
    page.feed(text)
    page.close()
    return page


def read_plainly(text: str) -> Page | None:
    """Read a page all of whose tags are plain; None for any other page."""
    if _MARK in text:
        return None
    parts = _PLAIN.split(text)
    page = _scan(_MARK.join(parts[::7]))
    if page is None or any(title not in text for title in page.titles):
        return None
    page.plain = PlainAnchors(*(parts[column::7] for column in range(1, 7)))
    return page


WANTED = frozenset({"a", "base", "meta"})
"""The tags that are looked at."""
_MARK = "\0"
"""Stands where an anchor was cut out. No plain tag may have it inside, nor may a title."""

_NAME = "[a-zA-Z][a-zA-Z0-9:_-]*"
_ATTRIBUTE = rf"""\s+{_NAME}(?:=(?:"[^"<\0]*"|'[^'<\0]*'))?"""
_ATTRIBUTES = re.compile(rf"""\s+({_NAME})(?:=(?:"([^"]*)"|'([^']*)'))?""")
_TAG = re.compile(
    rf"<(?:/[a-zA-Z][a-zA-Z0-9]*\s*|!doctype\s[^<>\0]*|([a-zA-Z][a-zA-Z0-9]*)((?:{_ATTRIBUTE})*)\s*/?)>",
    re.IGNORECASE,
)
_OTHERS = r"""((?:\s+(?!href|data-upload-time)[a-z][a-z-]*="[^"<\0]*")*)"""
# Printable ASCII without the characters that mean something in HTML, in a URL, or to whoever decodes one.
_PLAIN = re.compile(
    r"""<a\s+href="([!$%'-;=A-~]*/|)([!$'-.0-9;=A-~]+)(?:\#sha256=([0-9a-f]{64}))?\""""
    rf"""{_OTHERS}(?:\s+data-upload-time="([0-9T:.Z+-]*)")?{_OTHERS}\s*>[^<]*</a>\s*(?:<br\s*/?>)?"""
)
_RAW = re.compile(
    r"<(?:script|style|textarea|xmp|plaintext|iframe|noscript|noembed|noframes|template|svg|math)\b", re.IGNORECASE
)
_TITLE = re.compile(r"<title\b[^>]*>([^<]*)(<?[^>]*)", re.IGNORECASE)


class _Scanned(Page):
    def __init__(self, titles: list[str]) -> None:
        super().__init__()
        self.titles = titles


def _scan(text: str) -> _Scanned | None:
    tags = _TAG.findall(text)
    titles = _TITLE.findall(text)
    if len(tags) != text.count("<") or _RAW.search(text) or any(not _ENDED.match(end) for _, end in titles):
        return None
    page = _Scanned([title for title, _ in titles])
    for tag, attributes in tags:
        name = tag.lower()
        if name in WANTED:
            page.note(name, list(attributes_of(attributes).items()))
    return page


_ENDED = re.compile(r"</title\s*\Z", re.IGNORECASE)
