"""One page over HTTP: asked for politely, told apart, parsed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from venvery.catalog.network import Network, Reply
from venvery.catalog.pages import ProjectPage, parse_html, parse_json
from venvery.catalog.sources.base import Absent, Answer, Found, Held, Unchanged
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.digests import sha256
from venvery.model.sources import redact, without_credentials

__all__ = ["ACCEPT_LISTING", "read_page"]

ACCEPT_LISTING = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_LARGE = 1_000_000
"""Bytes of a page that is parsed away from the event loop."""


async def read_page(network: Network, url: str, held: Held | None, *, accept: str) -> Answer:
    """Read a page of links, or learn that it did not change or is not there."""
    reply = await network.get(url, {"Accept": accept, **_conditions(held)})
    if reply.status == 304 and reply.redirected:  # unchanged, but elsewhere: its links lead elsewhere, too
        reply = await network.get(url, {"Accept": accept})
    if reply.status == 304 and held is not None:
        return Unchanged()
    if reply.status in (404, 410):
        return Absent()
    if reply.status != 200:
        raise SourceUnreachable(f"{redact(url)}: HTTP {reply.status}{_meaning(reply.status)}", url=redact(url))
    digest = sha256(reply.url.encode() + b"\n" + reply.body)  # the same links mean others on another page
    if held is not None and held.known and held.body == digest:
        return Unchanged()
    parse = _parser(reply)
    try:
        if len(reply.body) > _LARGE:
            page = await asyncio.to_thread(parse, reply)
        else:
            page = parse(reply)
    except SourceGarbage as garbage:
        raise SourceGarbage(
            f"{redact(url)}: {garbage}",
            hint="look at that address with a browser: is it an index, and are you signed in to it?",
            url=redact(url),
        ) from None
    if reply.redirected:  # asking whether it changed would not tell whether it moved back
        return Found(page.links, body=digest, status=page.status)
    etag, modified = reply.headers.get("etag"), reply.headers.get("last-modified")
    return Found(page.links, etag, modified, digest, page.status)


def _conditions(held: Held | None) -> dict[str, str]:
    conditions = {}
    if held is not None and held.known:
        if held.etag:
            conditions["If-None-Match"] = held.etag
        if held.last_modified:
            conditions["If-Modified-Since"] = held.last_modified
    return conditions


def _meaning(status: int) -> str:
    return {401: " (it wants a user name and password)", 403: " (access is refused)"}.get(status, "")


def _parser(reply: Reply) -> Callable[[Reply], ProjectPage]:
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/vnd.pypi.simple.v1+json", "application/json"):
        return lambda reply: parse_json(reply.body, without_credentials(reply.url))
    if kind in ("application/vnd.pypi.simple.v1+html", "text/html", "application/xhtml+xml", ""):
        return _html
    raise SourceGarbage(f"{redact(reply.url)}: it answered with {kind[:80]!r}, not with a page of links")


_OPENED = re.compile(r"<(html|body)[\s>]", re.IGNORECASE)
_CLOSED = re.compile(r"</(html|body)\s*>", re.IGNORECASE)
_CUT = re.compile(r"<[a-zA-Z/][^<>]*\Z")


def _charset(content_type: str) -> str:
    """Read the `charset` of a content type; UTF-8 where there is none."""
    if "charset" not in content_type.lower():
        return "utf-8"
    from email.message import Message

    header = Message()
    header["content-type"] = content_type
    return header.get_content_charset("utf-8")


def _html(reply: Reply) -> ProjectPage:
    charset = _charset(reply.headers.get("content-type", ""))
    try:
        text = reply.body.decode(charset, "replace")
    except LookupError:
        text = reply.body.decode("utf-8", "replace")
    end = text[-4096:]
    # Nothing but the page itself may tell that its end is missing.
    if _CUT.search(end) or (not reply.checked_length and _OPENED.search(text[:4096]) and not _CLOSED.search(end)):
        raise SourceGarbage("the page is cut off")
    return parse_html(text, without_credentials(reply.url))
