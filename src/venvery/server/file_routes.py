"""`/files/`: distribution files, their metadata (PEP 658) and provenance (PEP 740), under lasting URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import BinaryIO

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from venvery.catalog.arrivals import Follower
from venvery.errors import NotFound, VenveryError
from venvery.model.digests import hex_of
from venvery.model.files import DistFile
from venvery.model.names import is_valid_name, normalize
from venvery.server.streams import IMMUTABLE, has, send
from venvery.server.views import view_of
from venvery.services.file_serving import Opened
from venvery.services.house import House

__all__ = ["routes"]

_BYTES = "application/octet-stream"
_PIECE = 1 << 20
_log = structlog.get_logger("venvery.server")


async def file(request: Request) -> Response:
    """Give a file; one that is not here yet while it comes in."""
    files = view_of(request).files
    found, kind = await _find(request)
    if kind == ".metadata":
        return _send(request, await files.metadata(found), _caching(request, found))
    if kind == ".provenance":
        body = await files.provenance(found)
        return Response(body, media_type="application/vnd.pypi.integrity.v1+json", headers={**_PLAIN, **_ALWAYS})
    headers = _caching(request, found)
    if found.sha256 is not None and has(request, f'"{found.sha256}"'):
        return Response(status_code=304, headers={**headers, "ETag": f'"{found.sha256}"'})
    if request.method == "HEAD" and found.sha256 is not None and found.size is not None:
        about = {"ETag": f'"{found.sha256}"', "Content-Length": str(found.size), "Accept-Ranges": "bytes"}
        return Response(headers={**headers, **about}, media_type=_BYTES)
    if request.method == "HEAD" or found.sha256 is None or "range" in request.headers:
        return _send(request, await files.whole(found), headers)
    opened = await files.open(found)
    if isinstance(opened, Opened):
        return _send(request, opened, headers)
    return _Following(opened, found, headers)


def routes() -> list[BaseRoute]:
    """Give the routes."""
    return [
        Route(f"{prefix}/{folder}/{{project}}/{{identity}}/{{filename}}", file, methods=["GET"])
        for prefix in ("", "/views/{view}")
        for folder in ("files", "packages")
    ]


_PLAIN = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
"""Whatever is in a file, no browser takes it for a page of ours."""
_ALWAYS = {"Cache-Control": "no-cache"}


async def _find(request: Request) -> tuple[DistFile, str]:
    project, identity, filename = (request.path_params[name] for name in ("project", "identity", "filename"))
    if not is_valid_name(project) or normalize(project) != project:
        raise NotFound(f"{project[:80]!r} is not a normalised project name")
    kind = next((end for end in (".metadata", ".provenance") if filename.endswith(end)), "")
    found = await view_of(request).files.find(normalize(project), identity, filename.removesuffix(kind))
    house: House = request.app.state.house
    house.policing.admit(found.project, found.version)
    return found, kind


def _caching(request: Request, found: DistFile) -> dict[str, str]:
    if found.sha256 is None:
        return {**_PLAIN, **_ALWAYS}
    shown_who = "authorization" in request.headers or "cookie" in request.headers  # so it may not be for everyone
    return {**_PLAIN, "Cache-Control": IMMUTABLE.replace("public", "private") if shown_who else IMMUTABLE}


def _send(request: Request, opened: Opened, headers: dict[str, str]) -> Response:
    return send(
        request,
        length=opened.size,
        etag=f'"{hex_of(opened.digest)}"',
        chunks=_pieces_of(opened.data),
        media_type=_BYTES,
        headers=headers,
        done=opened.data.close,
        at_once=_PIECE // 4,
    )


def _pieces_of(data: BinaryIO) -> Callable[[int, int], Iterator[bytes]]:
    def pieces(start: int, stop: int) -> Iterator[bytes]:
        data.seek(start)
        while start < stop and (piece := data.read(min(_PIECE, stop - start))):
            start += len(piece)
            yield piece

    return pieces


class _Following(Response):
    """A file while it comes in. When it turns out wrong, the connection is cut before the last byte."""

    def __init__(self, follower: Follower, found: DistFile, headers: dict[str, str]) -> None:
        length = {} if follower.size is None else {"Content-Length": str(follower.size)}
        super().__init__(headers={**headers, **length, "ETag": f'"{found.sha256}"'}, media_type=_BYTES)
        if follower.size is None:
            del self.headers["content-length"]
        self._follower = follower

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_gone(receive))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except VenveryError as error:  # too late for a problem: the server cuts what is not complete
            _log.warning("a file was cut off", path=scope["path"], detail=str(error))
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)
            self._follower.close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self._follower.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
