"""HTML pages that are not plain, read by the standard library's parser."""

from __future__ import annotations

from html.parser import HTMLParser

from venvery.catalog.anchors import WANTED, Page

__all__ = ["CarefulPage"]


class CarefulPage(HTMLParser, Page):
    """A page that takes itself in, tag by tag."""

    def __init__(self) -> None:
        HTMLParser.__init__(self)
        Page.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in WANTED:
            self.note(tag, attrs)
