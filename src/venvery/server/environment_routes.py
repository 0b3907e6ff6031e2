"""`/v1/environments` and `/v1/layers`: manifests, archives, single layers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from venvery.environments import Encoding
from venvery.model.digests import parse_digest
from venvery.model.jobs import Job
from venvery.server.bodies import query_fields, read_asked
from venvery.server.negotiation import choose
from venvery.server.schemas import ARCHIVES, PROBLEM, TARGET_PARAMETERS, environment_body
from venvery.server.streams import IMMUTABLE, send
from venvery.server.waiting import accepted, or_job, preferred_wait
from venvery.services.documents import read_place
from venvery.services.house import House, Sendable

router = APIRouter()

_JSON = "application/json"
_MEDIA_TYPES: dict[Encoding, str] = {"zstd": "application/x-tar+zstd", "gzip": "application/x-tar+gzip"}
_ENCODINGS: dict[str, Encoding] = {media_type: encoding for encoding, media_type in _MEDIA_TYPES.items()}
_ALIASES = {
    "application/zstd": "application/x-tar+zstd",
    "application/gzip": "application/x-tar+gzip",
    "application/x-gzip": "application/x-tar+gzip",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 406, 413, 422, 502, 507), PROBLEM)


@router.post(
    "/v1/environments",
    summary="Turn requirements, or a lock, into an environment",
    response_class=Response,
    responses={
        200: {"content": ARCHIVES, "description": "The manifest or the archive, as Accept asks"},
        202: {"description": "Something is built first, for longer than `Prefer: wait=N`: see Location"},
        **_PROBLEMS,
    },
    openapi_extra={"requestBody": environment_body(), "parameters": TARGET_PARAMETERS},
)
async def make_environment(request: Request) -> Response:
    """Resolve, assemble and send: one request, unpack, use."""
    media_type = choose(request.headers.get("accept"), [_JSON, *_ENCODINGS], _ALIASES)
    house: House = request.app.state.house
    asked = await read_asked(request, house)
    wait = preferred_wait(request)
    if media_type == _JSON:
        made = await or_job(house.environment(asked), wait)
        if isinstance(made, Job):
            return accepted(house.jobs, made)
        return JSONResponse(made.manifest.to_json(), headers=_about(made.manifest.key))
    house.check_place(
        asked.place, asked.resolve.targets[0]
    )  # before any work is done for an archive that could not be made
    made = await or_job(house.environment(asked), wait)
    if isinstance(made, Job):
        return accepted(house.jobs, made)
    sendable = await house.sendable(made, asked.place, _ENCODINGS[media_type])
    return _send(request, sendable, media_type, partial=False)


@router.get(
    "/v1/environments/{key}",
    summary="The manifest of an environment; with .tar.zst or .tar.gz its archive",
    response_class=Response,
    responses={200: {"content": ARCHIVES, "description": "The manifest or the archive"}, **_PROBLEMS},
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in ("prefix", "python", "prompt", "have", "bytecode", "relocatable")
        ]
    },
)
@router.head("/v1/environments/{key}", include_in_schema=False)
async def get_environment(key: str, request: Request) -> Response:
    """Give a known environment, without resolving anything."""
    house: House = request.app.state.house
    for suffix, encoding in ((".tar.zst", "zstd"), (".tar.gz", "gzip")):
        if key.endswith(suffix):
            made = await house.known_environment(parse_digest(key.removesuffix(suffix)))
            place = read_place(query_fields(request.query_params))
            sendable = await house.sendable(made, place, _encoding(encoding))
            return _send(request, sendable, _MEDIA_TYPES[_encoding(encoding)], partial=True)
    made = await house.known_environment(parse_digest(key))
    return JSONResponse(made.manifest.to_json(), headers=_about(made.manifest.key))


@router.get(
    "/v1/layers/{digest}",
    summary="One layer",
    response_class=Response,
    responses={
        200: {"content": ARCHIVES, "description": "The layer's tar fragment, compressed"},
        **_PROBLEMS,
    },
)
@router.head("/v1/layers/{digest}", include_in_schema=False)
async def get_layer(digest: str, request: Request) -> Response:
    """Give one layer as a tar fragment without end blocks, as zstd frames or one gzip member."""
    media_type = choose(request.headers.get("accept"), list(_ENCODINGS), _ALIASES)
    house: House = request.app.state.house
    layer = await house.layer(parse_digest(digest), _ENCODINGS[media_type])
    return _send(request, layer, media_type, partial=True)


def _encoding(name: str) -> Encoding:
    return "zstd" if name == "zstd" else "gzip"


def _about(key: str) -> dict[str, str]:
    return {"Venvery-Environment": key, "Content-Location": f"/v1/environments/{key}", "Vary": "Accept"}


def _send(request: Request, sendable: Sendable, media_type: str, *, partial: bool) -> Response:
    headers = {"Vary": "Accept"} | dict(sendable.headers)
    if partial:
        headers["Cache-Control"] = IMMUTABLE
    archive = sendable.archive
    return send(
        request,
        length=archive.length,
        etag=archive.etag,
        chunks=archive.chunks,
        media_type=media_type,
        headers=headers,
        partial=partial,
        done=sendable.close,
    )
