"""`POST /upload/`: the legacy upload API, as twine, uv and venvery itself speak it.

The answer says what went wrong three times, for clients look in different places: in the reason phrase, in the
body as text, or as JSON with `code`, `message` and `title`. There is never a redirect: clients would send the
form without its body.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from venvery.errors import BadInput, Busy, VenveryError
from venvery.server.door import visitor_of
from venvery.server.forms import UploadForm, read_upload
from venvery.server.problems import Problem, headers_of, problem_of
from venvery.server.reasons import say_reason
from venvery.services.house import House
from venvery.services.publishing import Published
from venvery.uploads import Claims

router = APIRouter()

_MOST_AT_ONCE = 64
"""Uploads that are received at the same time."""
_DRAINED = 64 << 20
"""Bytes that are still received after a refusal: many clients hear nothing before they have sent everything.

From whoever shows a token, the whole file.
"""
_DRAINED_FOR = 600.0
"""Seconds."""
_DIGESTS = {"md5_digest": "md5", "sha256_digest": "sha256", "blake2_256_digest": "blake2b_256"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Published, or there already; it is listed, downloadable and lasts"},
    **{
        status: {"description": description}
        for status, description in (
            (400, "Refused; `File already exists` when the name is taken by other bytes"),
            (401, "Nobody uploads without a token"),
            (403, "The token is not for this source"),
            (404, "No such hosted source"),
            (413, "Too large"),
            (503, "Too many uploads at once"),
            (507, "The disk is full; nothing was stored"),
        )
    },
}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["content"],
                    "properties": {
                        ":action": {"type": "string", "enum": ["file_upload"]},
                        "protocol_version": {"type": "string", "enum": ["1"]},
                        **{
                            name: {"type": "string"}
                            for name in ("name", "version", "filetype", "attestations", *_DIGESTS)
                        },
                        "content": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}
_at_once = 0


@router.post(
    "/upload/", summary="Upload a file", response_class=Response, responses=_RESPONSES, openapi_extra=_FORM
)
@router.post("/upload", include_in_schema=False)
async def upload(request: Request) -> Response:
    """Publish a wheel or source distribution in the first hosted source."""
    return await _upload(request, None)


@router.post(
    "/upload/{source}/",
    summary="Upload a file to a source",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=_FORM,
)
@router.post("/upload/{source}", include_in_schema=False)
async def upload_to(request: Request, source: str) -> Response:
    """Publish a wheel or source distribution in one of the hosted sources."""
    return await _upload(request, source)


async def _upload(request: Request, source: str | None) -> Response:
    try:
        published = await _receive(request, source)
    except VenveryError as error:
        house: House = request.app.state.house
        await _drain(request, house.limits.upload_bytes if visitor_of(request).known else _DRAINED)
        return _refusal(request, error)
    return JSONResponse(published.to_json())


async def _receive(request: Request, to: str | None) -> Published:
    global _at_once
    house: House = request.app.state.house
    visitor = visitor_of(request)
    source = house.publisher.source(to) if visitor.known or visitor.scopes else None
    visitor.need("upload", source.name if source else to or "SOURCE")
    assert source is not None
    if _at_once >= _MOST_AT_ONCE:
        raise Busy(f"{_at_once} uploads are under way", hint="try again in a few seconds")
    _at_once += 1
    try:
        with await asyncio.to_thread(house.publisher.begin) as arriving:
            form = await read_upload(request, arriving.write)
            claims = _claims(request, form)
            attestations = form.fields.get("attestations")
            publish = house.publisher.publish
            return await asyncio.to_thread(
                publish, arriving, claims, to=source.name, who=visitor.name, attestations=attestations
            )
    finally:
        _at_once -= 1


def _claims(request: Request, form: UploadForm) -> Claims:
    """Read what the form says of its file. Raises `BadInput`."""
    action = form.fields.get(":action") or request.query_params.get(":action")
    if action != "file_upload":
        raise BadInput(f"':action' is file_upload here, not {str(action)[:80]!r}")
    version = form.fields.get("protocol_version", "1")
    if version != "1":
        raise BadInput(f"'protocol_version' is 1 here, not {version[:80]!r}")
    if form.filename is None:
        raise BadInput("the form has no file", hint="the file is the part called content")
    digests = {name: said for field, name in _DIGESTS.items() if (said := form.fields.get(field))}
    fields = form.fields
    return Claims(
        form.filename,
        fields.get("filetype") or None,
        fields.get("name") or None,
        fields.get("version") or None,
        digests,
    )


def _refusal(request: Request, error: VenveryError) -> Response:
    status, document = problem_of(error)
    said = document["detail"] + (f" ({document['hint']})" if "hint" in document else "")
    say_reason(request.scope, said)
    headers = headers_of(error)
    document |= {"code": status, "message": said}
    accept = request.headers.get("accept", "")
    if "application/problem+json" in accept:
        return Problem(document, status, headers=headers)
    if "application/json" in accept:
        return JSONResponse(document | {"title": said}, status, headers=headers)
    return PlainTextResponse(said + "\n", status, headers=headers)


async def _drain(request: Request, left: int) -> None:
    """Receive what is left of the body, within reason."""
    try:
        async with asyncio.timeout(_DRAINED_FOR):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return
