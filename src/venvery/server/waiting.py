"""`Prefer: wait=N` (RFC 7240): who must wait for a build says how long; past that a job is named instead."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from venvery.model.jobs import Job
from venvery.services.build_requests import JobDesk
from venvery.services.watching import watching

__all__ = ["accepted", "or_job", "preferred_wait"]

T = TypeVar("T")

LONGEST = 3600.0
DEFAULT = 600.0
"""Seconds."""
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def preferred_wait(request: Request, *, default: float = DEFAULT) -> float:
    """Give the seconds that a request is ready to wait."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    return default if match is None else min(float(match[1]), LONGEST)


async def or_job(work: Coroutine[Any, Any, T], wait: float) -> T | Job:
    """Do work; when it waits for a job longer than `wait` seconds, give the job, which goes on."""
    jobs: list[Job] = []
    heard = asyncio.Event()

    def watch(job: Job) -> None:
        jobs.append(job)
        heard.set()

    watching.set(watch)
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=wait)
        if not task.done():
            hearing = asyncio.ensure_future(heard.wait())
            await asyncio.wait([task, hearing], return_when=asyncio.FIRST_COMPLETED)
            hearing.cancel()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.cancel()  # the jobs go on; whoever asks again finds what they made
    await asyncio.gather(task, return_exceptions=True)
    return jobs[-1]


def accepted(desk: JobDesk, job: Job) -> Response:
    """Answer 202 with the job to be waited for."""
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1", "Cache-Control": "no-store"}
    return JSONResponse(desk.describe(job), 202, headers=headers)
