"""Pages about jobs: what is being built, what it says, and how it ended."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from venvery.services.house import House
from venvery.web.rendering import PAGES, render

__all__ = ["router"]

router = APIRouter(tags=[PAGES], include_in_schema=False)

_MOST = 100
_LINES = 5000
"""Lines of a log that a page shows; the whole log is a link away."""


@router.get("/jobs")
async def jobs(request: Request) -> Response:
    """List the newest jobs."""
    house: House = request.app.state.house
    found = await asyncio.to_thread(house.jobs.newest, _MOST)
    return render(request, "jobs.html", {"jobs": found})


@router.get("/jobs/{id}")
async def job(request: Request, id: str) -> Response:
    """Show a job with its phases and its log."""
    house: House = request.app.state.house
    found = await asyncio.to_thread(house.jobs.get, id)
    events = await asyncio.to_thread(house.jobs.events, id, 0)
    log = "".join(event.data for event in events if event.kind == "log").splitlines()
    shown = {
        "job": found,
        "phases": [event for event in events if event.kind == "phase"],
        "lines": log[-_LINES:],
        "skipped": max(0, len(log) - _LINES),
        "last": events[-1].number if events else 0,
    }
    return render(request, "job.html", shown)


@router.post("/jobs/{id}/cancel")
async def cancel(request: Request, id: str) -> Response:
    """End a job."""
    house: House = request.app.state.house
    await asyncio.to_thread(house.jobs.cancel, id)
    return RedirectResponse(f"/jobs/{id}", 303)


@router.post("/jobs/{id}/retry")
async def retry(request: Request, id: str) -> Response:
    """Queue a job again."""
    house: House = request.app.state.house
    await asyncio.to_thread(house.jobs.retry, id)
    return RedirectResponse(f"/jobs/{id}", 303)
