"""`/venvery.pyz`: the client that belongs to this server, as one file for any Python from 3.8 on."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from venvery.client.pack import pack
from venvery.model.digests import hex_of, sha256
from venvery.server.streams import send

router = APIRouter()

_NAME = "venvery.pyz"
_ZIP = "application/zip"
_HEADERS = {"Cache-Control": "no-cache", "Content-Disposition": f'attachment; filename="{_NAME}"'}
"""To be asked for anew each time, which costs a 304: a server and its client are updated together."""


@router.get(
    f"/{_NAME}",
    summary="The client as one file, with its SHA-256 in the header Venvery-Sha256",
    response_class=Response,
    responses={200: {"content": {_ZIP: {}}, "description": "A zip application (PEP 441)"}},
)
@router.head(f"/{_NAME}", include_in_schema=False)
async def client(request: Request) -> Response:
    """Give the client; the same bytes from every server of the same version on the same Python."""
    data, digest = _packed()
    return send(
        request,
        length=len(data),
        etag=f'"{digest}"',
        chunks=lambda start, stop: iter((data[start:stop],)),
        media_type=_ZIP,
        headers={**_HEADERS, "Venvery-Sha256": digest},
    )


@router.get(
    f"/{_NAME}.sha256",
    summary="The SHA-256 of the client, as `sha256sum -c` reads it",
    response_class=PlainTextResponse,
)
async def client_digest() -> PlainTextResponse:
    """Give the line that `sha256sum` would print."""
    return PlainTextResponse(f"{_packed()[1]}  {_NAME}\n", headers={"Cache-Control": "no-cache"})


@cache
def _packed() -> tuple[bytes, str]:
    data = pack()
    return data, hex_of(sha256(data))
