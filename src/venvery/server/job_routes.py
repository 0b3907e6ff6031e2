"""`/v1/jobs` and `/v1/builds`: what is built, what it says, and how to have something built."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from venvery.errors import BadInput, LimitExceeded
from venvery.model.targets import target_from_json
from venvery.server.schemas import PROBLEM, TARGET_PARAMETERS
from venvery.server.waiting import accepted, preferred_wait
from venvery.services.build_requests import JobDesk
from venvery.services.house import House

router = APIRouter()

_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 413, 422, 507), PROBLEM)
_LOOK_EVERY = 0.2
"""Seconds between two looks for new events."""
_COMMENT_EVERY = 15.0
"""Seconds of silence after which a comment shows that the stream lives."""
_MOST = 100


def _desk(request: Request) -> JobDesk:
    house: House = request.app.state.house
    return house.jobs


@router.get("/v1/jobs", summary="The newest jobs", responses=_PROBLEMS)
async def list_jobs(request: Request) -> Response:
    """List the newest jobs; `?active=true`: those in which something will still happen."""
    active = request.query_params.get("active", "") in ("true", "1")
    desk = _desk(request)
    jobs = await asyncio.to_thread(desk.newest, _MOST, active=active)
    return JSONResponse({"jobs": [job.to_json() for job in jobs]}, headers={"Cache-Control": "no-store"})


@router.get("/v1/jobs/{id}", summary="The state of a job", responses=_PROBLEMS)
async def get_job(id: str, request: Request) -> Response:
    """Give a job; with `Prefer: wait=N` as soon as it has ended, after N seconds at the latest."""
    house: House = request.app.state.house
    desk = _desk(request)
    job = await asyncio.to_thread(desk.get, id)
    wait = preferred_wait(request, default=0.0)
    if job.active and wait:
        try:
            job = await asyncio.wait_for(house.builds.ended(id), wait)
        except TimeoutError:
            job = await asyncio.to_thread(desk.get, id)
    return JSONResponse(await asyncio.to_thread(desk.describe, job), headers={"Cache-Control": "no-store"})


@router.get(
    "/v1/jobs/{id}/events",
    summary="What happens in a job, as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **_PROBLEMS},
)
async def get_events(id: str, request: Request) -> Response:
    """Send the events of a job until it has ended; after `Last-Event-ID`, where a stream broke."""
    desk = _desk(request)
    await asyncio.to_thread(desk.get, id)
    last = request.headers.get("last-event-id", request.query_params.get("after", "0"))
    if not last.isdigit() or len(last) > 9:
        raise BadInput("Last-Event-ID is the number of an event")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(desk, id, int(last)), media_type="text/event-stream", headers=headers)


async def _stream(desk: JobDesk, id: str, after: int) -> AsyncIterator[str]:
    quiet = 0.0
    while True:
        ended = not (await asyncio.to_thread(desk.get, id)).active
        for event in await asyncio.to_thread(desk.events, id, after):
            after, quiet = event.number, 0.0
            data = json.dumps({"kind": event.kind, "data": event.data, "at": event.at})
            yield f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n"
        if ended:
            job = await asyncio.to_thread(desk.get, id)
            yield f"event: end\ndata: {json.dumps(job.to_json())}\n\n"
            return
        await asyncio.sleep(_LOOK_EVERY)
        quiet += _LOOK_EVERY
        if quiet > _COMMENT_EVERY:
            quiet = 0.0
            yield ": still at it\n\n"


@router.get("/v1/jobs/{id}/log", summary="The log of a job", response_class=PlainTextResponse, responses=_PROBLEMS)
async def get_log(id: str, request: Request) -> Response:
    """Give what the build said: its beginning and its end, where that is very much."""
    text = await asyncio.to_thread(_desk(request).log, id)
    return PlainTextResponse(text, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


@router.get("/v1/jobs/{id}/wheel", summary="What a job made", response_class=Response, responses=_PROBLEMS)
async def get_wheel(id: str, request: Request) -> Response:
    """Give the wheel."""
    filename, file, size = await asyncio.to_thread(_desk(request).wheel, id)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{filename}"'}
    chunks = iter(lambda: file.read(1 << 20), b"")
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


@router.post("/v1/jobs/{id}/cancel", summary="End a job", responses=_PROBLEMS)
async def cancel_job(id: str, request: Request) -> Response:
    """End a job; who works on it hears of that with the next sign of life."""
    desk = _desk(request)
    return JSONResponse(desk.describe(await asyncio.to_thread(desk.cancel, id)))


@router.post("/v1/jobs/{id}/retry", summary="Do a job again", responses=_PROBLEMS)
async def retry_job(id: str, request: Request) -> Response:
    """Queue a job again that failed or was cancelled."""
    desk = _desk(request)
    return JSONResponse(desk.describe(await asyncio.to_thread(desk.retry, id)))


@router.post(
    "/v1/builds",
    summary="Build a wheel from a source distribution or a project",
    responses={202: {"description": "It is being built: see Location"}, **_PROBLEMS},
    openapi_extra={
        "requestBody": {"content": {"application/octet-stream": {}}, "required": True},
        "parameters": [
            {"name": "filename", "in": "query", "required": True, "schema": {"type": "string"}},
            {"name": "config_settings", "in": "query", "required": False, "schema": {"type": "string"}},
            *TARGET_PARAMETERS,
        ],
    },
)
async def post_build(request: Request) -> Response:
    """Take a `.tar.gz` or `.zip` as the body, and build it; `Prefer: wait=N` waits for the end of the job."""
    house: House = request.app.state.house
    query = request.query_params
    settings = _settings(query.get("config_settings", "{}"))
    given = {name: query[name] for name in ("python", "platform") if name in query}
    target = target_from_json(
        given, default_platform=house.defaults.platform, default_python=house.defaults.python
    )
    source = house.incoming_source()
    with source as incoming:
        async for piece in request.stream():
            await asyncio.to_thread(incoming.write, piece)
            if incoming.size > house.limits.file_bytes:
                raise LimitExceeded(f"a source may have at most {house.limits.file_bytes} bytes")
        stored = await asyncio.to_thread(incoming.commit)
    job = await house.submit_source(stored, query.get("filename", ""), target, settings)
    wait = preferred_wait(request, default=0.0)
    if wait:
        try:
            job = await asyncio.wait_for(house.builds.ended(job.id), wait)
        except TimeoutError:
            job = house.jobs.get(job.id)
    if not job.active:
        return JSONResponse(house.jobs.describe(job), headers={"Location": f"/v1/jobs/{job.id}"})
    return accepted(house.jobs, job)


def _settings(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    fine = isinstance(value, dict) and all(
        isinstance(item, str) or (isinstance(item, list) and all(isinstance(one, str) for one in item))
        for item in value.values()
    )
    if not fine:
        raise BadInput("config_settings is a JSON object of texts, or lists of texts")
    return dict(value)
