"""`/healthz` and `/readyz`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from venvery import __version__
from venvery.services.house import House

router = APIRouter()


@router.get("/healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    """Answer as long as the process can answer at all."""
    return {"status": "alive", "version": __version__}


@router.get("/readyz", summary="The server can do its work")
async def readyz(request: Request) -> Response:
    """Answer 200 when the database and the blobs can be used, else 503 with the reason."""
    house: House = request.app.state.house
    reason = await house.why_not_ready()
    if reason is None:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready", "reason": reason}, 503)
