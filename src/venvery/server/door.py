"""The door: whoever comes in shows who they are, before anything else looks at the request.

It stands in front of the fast lane, which gives no one what another got. What a request needs beyond reading is
asked for where it is known: the source of an upload, the view of a request (`Views.get`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from venvery.errors import NotAllowed, NotKnown, StorageFailed
from venvery.model.access import COOKIE, Right, Visitor
from venvery.server.problems import problem_response
from venvery.services.house import House
from venvery.services.rights import VISITOR

__all__ = ["Door", "visitor_of"]

_OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/venvery.pyz", "/venvery.pyz.sha256", "/v1/keys"})
"""What everyone gets: it tells nothing of what is here, and clients need it before they have a token."""
_SIGN_IN = ("/sign-in", "/sign-out")
"""Where a token that is no longer good must not keep anyone out."""
_BUILDING = ("/v1/jobs", "/v1/builds", "/jobs")
"""To have something built, and to see how that goes, as whoever asked for an environment has to."""
_ASK_THEMSELVES = (
    *_SIGN_IN,
    "/upload",
    "/static/",
    "/v1/releases/",
    "/v1/tokens",
    "/v1/journal",
    "/v1/blocks",
    "/v1/shadowed",
)
"""Whose routes ask for the right that they need; to all others reading, or resolving, has to be allowed."""


class Door:
    """ASGI middleware that recognises the visitor, and turns away whoever may not come in at all."""

    def __init__(self, app: ASGIApp, house: Callable[[], House | None]) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        house = self._house()
        if scope["type"] != "http" or house is None:
            await self._app(scope, receive, send)
            return
        try:
            house.catalog.notice()  # what changed before this request, whoever changed it, counts for it
            visitor = scope["venvery.visitor"] = _recognise(scope, house)
            right = _right(scope)
            if house.reach.guards and not visitor.known and scope["path"].startswith(_BUILDING):
                visitor = replace(visitor, scopes=frozenset())  # what is built tells of what is private
            if right is not None and not _has_any(visitor, right):
                visitor.need(right)
        except (NotKnown, NotAllowed, StorageFailed) as error:
            await _drain(scope, receive)
            await problem_response(Request(scope), error)(scope, receive, send)
            return
        VISITOR.set(visitor)
        await self._app(scope, receive, send)


def visitor_of(request: Request) -> Visitor:
    """Give the visitor that the door recognised."""
    visitor: Visitor = request.scope["venvery.visitor"]
    return visitor


def _recognise(scope: Scope, house: House) -> Visitor:
    """Give the visitor. Raises `NotKnown`, `NotAllowed`."""
    try:
        return house.rights.visitor(_authorization(scope))
    except NotKnown:
        if scope["path"] not in _SIGN_IN:
            raise
        return house.rights.visitor(None)


def _authorization(scope: Scope) -> str | None:
    """Give what the visitor shows: the header, else the token that a browser keeps. Raises `NotAllowed`."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    said = headers.get(b"authorization")
    if said is None and COOKIE in headers.get(b"cookie", ""):
        token = cookie_parser(headers[b"cookie"]).get(COOKIE)
        if token is not None:
            _from_own_page(scope, headers, told=True)
            return f"Bearer {token}"
    if said is None:
        _from_own_page(scope, headers, told=False)
    return said


def _from_own_page(scope: Scope, headers: Mapping[bytes, str], *, told: bool) -> None:
    """Let a browser change something only from a page of this server: other sites can make it send forms, too.

    `told`: it has to say where it comes from. Programs do not; what they may without a token, they may.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return
    if not told and b"sec-fetch-site" not in headers and b"origin" not in headers:
        return
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    same = (
        site in ("same-origin", "none")
        if site
        else origin is not None and _host_of(origin) == headers.get(b"host")
    )
    if not same:
        raise NotAllowed(
            "this was sent from a page of another site", hint="use the form on this server's own pages"
        )


def _host_of(origin: str) -> str:
    return origin.partition("://")[2]


def _right(scope: Scope) -> Right | None:
    """Tell what is needed to come in; None: what is behind the door asks itself."""
    path: str = scope["path"]
    if path in _OPEN or path.startswith(_ASK_THEMSELVES):
        return None
    if path == "/resolve" or path.startswith("/resolve/"):
        return "resolve"
    looks = scope["method"] in ("GET", "HEAD", "OPTIONS")
    if path.startswith(_BUILDING):
        return "resolve" if looks else "build"
    return "read" if looks else "resolve"


def _has_any(visitor: Visitor, right: Right) -> bool:
    """Tell whether a visitor has a right for anything at all; for what, is asked behind the door."""
    return visitor.may(right) or any(scope.startswith(f"{right}:") for scope in visitor.scopes)


async def _drain(scope: Scope, receive: Receive) -> None:
    """Receive a small body that is on its way: some clients hear nothing before they have sent it."""
    taken = 0
    try:
        async with asyncio.timeout(2):
            while taken < 1 << 20:
                message = await receive()
                taken += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
