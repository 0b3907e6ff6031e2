"""`/simple/`: the simple API (PEP 503, 691, 700), of the default view and of every other.

Redirects are relative, as all URLs on the pages are: whatever a reverse proxy puts in front stays there.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from venvery.errors import NotFound
from venvery.model.names import NormalizedName, is_valid_name, normalize
from venvery.server.negotiation import choose
from venvery.server.streams import has
from venvery.server.views import view_of
from venvery.services.simple_api import Form, Shown

__all__ = ["routes"]

_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
_PLAIN = "text/html"
_FORMS = (_PLAIN, _JSON, _HTML)
"""Among equals the first: who says nothing is a browser, or a client from before there was JSON (PEP 691)."""
_ALIASES = {
    "application/vnd.pypi.simple.latest+json": _JSON,
    "application/vnd.pypi.simple.latest+html": _HTML,
}


async def root(request: Request) -> Response:
    """Give the list of projects."""
    media_type = _media_type(request)
    return _answer(request, await view_of(request).simple.root(_form(media_type)), media_type)


async def page(request: Request) -> Response:
    """Give a project's page."""
    media_type = _media_type(request)
    project = _project(request)
    simple = view_of(request).simple
    if project != request.path_params["project"]:
        return _redirect(request, f"../{project}/")
    form = _form(media_type)
    return _answer(request, simple.peek(project, form) or await simple.page(project, form), media_type)


async def page_without_slash(request: Request) -> Response:
    """Say where a project's page is."""
    view_of(request)  # which has to be one that the visitor may see
    return _redirect(request, f"{_project(request)}/")


async def root_without_slash(request: Request) -> Response:
    """Say where the list of projects is."""
    view_of(request)
    return _redirect(request, "simple/")


def routes() -> list[BaseRoute]:
    """Give the routes."""
    found: list[BaseRoute] = []
    for prefix in ("", "/views/{view}"):
        found += [
            Route(f"{prefix}/simple/{{project}}/", page, methods=["GET"]),
            Route(f"{prefix}/simple/{{project}}", page_without_slash, methods=["GET"]),
            Route(f"{prefix}/simple/", root, methods=["GET"]),
            Route(f"{prefix}/simple", root_without_slash, methods=["GET"]),
        ]
    return found


def _project(request: Request) -> NormalizedName:
    name: str = request.path_params["project"]
    if not is_valid_name(name):
        raise NotFound(f"{name[:80]!r} is not a valid project name")
    return normalize(name)


def _redirect(request: Request, place: str) -> Response:
    query = request.url.query
    return RedirectResponse(f"{place}?{quote(query, safe='=&%+/')}" if query else place, 301)


def _form(media_type: str) -> Form:
    return "json" if media_type == _JSON else "html"


def _media_type(request: Request) -> str:
    """Choose the form: as `?format=` says (PEP 691), else as `Accept` does."""
    asked = request.query_params.get("format") if request.scope["query_string"] else None
    if asked is None:
        return _chosen(request.headers.get("accept", ""))
    media_type = _ALIASES.get(asked.lower(), asked.lower())
    if media_type not in _FORMS:
        raise HTTPException(406, f"this can be had as {', '.join(_FORMS)}, not as {asked[:80]!r}")
    return media_type


@lru_cache(maxsize=512)
def _chosen(accept: str) -> str:
    return choose(accept, _FORMS, _ALIASES)


def _answer(request: Request, shown: Shown, media_type: str) -> Response:
    zipped = _takes_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{shown.page.etag}-{_form(media_type)}{"-gzip" if zipped else ""}"'
    headers = {
        "Cache-Control": f"max-age={shown.max_age}" if shown.max_age else "no-cache",
        "ETag": etag,
        "Vary": "Accept, Accept-Encoding",
        "X-PyPI-Last-Serial": str(shown.page.serial),
        "X-Content-Type-Options": "nosniff",
    }
    if shown.stale_for is not None:
        headers["Warning"] = '110 - "Response is Stale"'
        headers["Venvery-Listings-Age"] = str(shown.stale_for)
    if has(request, etag):
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    body = shown.page.body if zipped else gzip.decompress(shown.page.body)
    return Response(body, headers=headers, media_type=media_type)


@lru_cache(maxsize=512)
def _takes_gzip(accepted: str) -> bool:
    """Tell whether a client takes gzip (RFC 9110, 12.5.3)."""
    for part in accepted.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            quality = parameters.replace(" ", "").partition("q=")[2] or "1"
            return quality.strip("0.") != ""
    return False
