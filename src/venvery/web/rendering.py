"""Templates into responses, under a policy that lets a page load nothing but what this server has."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from venvery import __version__
from venvery.model.digests import hex_of, sha256
from venvery.model.sizes import show_size

__all__ = ["PAGES", "POLICY", "Asset", "asset", "render"]

PAGES = "pages"
"""The tag of routes that answer with pages, also when something goes wrong."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from outside, no script and no style in the page itself (Content Security Policy Level 3)."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of ours that a page loads."""

    name: str
    content: bytes
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset | None:
    """Give a static file; None when there is none of that name."""
    folder = resources.files(__package__) / "static"
    if name not in {file.name for file in folder.iterdir() if file.is_file()}:
        return None
    content = (folder / name).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(name, content, media_type, hex_of(sha256(content))[:16])


def render(
    request: Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render a page; everything that is put into it is escaped."""
    base = str(request.base_url).rstrip("/")
    text = _environment().get_template(template).render(base=base, path=request.url.path, **context)
    return HTMLResponse(text, status, headers={**_HEADERS, **(headers or {})})


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("venvery.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": show_size, "moment": _moment}
    made.globals |= {"version": __version__, "static": _static}
    return made


def _static(name: str) -> str:
    found = asset(name)
    assert found is not None, name
    return f"/static/{found.digest}/{name}"


def _moment(seconds: float) -> str:
    """Write seconds since the epoch as a time with its zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
