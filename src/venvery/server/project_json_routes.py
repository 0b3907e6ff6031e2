"""`/pypi/{project}/json`, `/pypi/{project}/{version}/json`: the older JSON API, for who mirrors or audits."""

from __future__ import annotations

import re

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from venvery.errors import NotFound
from venvery.model.digests import hex_of, sha256
from venvery.model.names import is_valid_name, normalize
from venvery.server.streams import has
from venvery.server.views import view_of

__all__ = ["routes"]

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")


async def document(request: Request) -> Response:
    """Describe a project, or a release."""
    name, version = request.path_params["project"], request.path_params.get("version")
    if not is_valid_name(name):
        raise NotFound(f"{name[:80]!r} is not a valid project name")
    project, projects = normalize(name), view_of(request).projects
    if project != name:
        return RedirectResponse(
            f"../{project}/json" if version is None else f"../../{project}/{version}/json", 301
        )
    found = await projects.document(project, version, _base(request))
    body = orjson.dumps(found.values)
    headers = {
        "Cache-Control": "no-cache",
        "ETag": f'"{hex_of(sha256(body))[:32]}"',
        "X-PyPI-Last-Serial": str(found.serial),
        "X-Content-Type-Options": "nosniff",
    }
    if has(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def routes() -> list[BaseRoute]:
    """Give the routes."""
    return [
        Route(f"{prefix}/pypi/{path}", document, methods=["GET"])
        for prefix in ("", "/views/{view}")
        for path in ("{project}/json", "{project}/{version}/json")
    ]


def _base(request: Request) -> str:
    """Give the URL of the files as the client sees it; this API knows whole URLs only.

    Bandersnatch takes files from below `/packages/` only, as they lie on the index that it was made for.
    """
    forwarded = request.headers.get("x-forwarded-prefix", "")
    prefix = forwarded.rstrip("/") if _PREFIX.match(forwarded.rstrip("/")) else ""
    view = request.path_params.get("view")
    return f"{str(request.base_url).rstrip('/')}{prefix}{f'/views/{view}' if view else ''}/packages/"
