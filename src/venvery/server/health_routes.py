"""`/healthz`, `/readyz` and a plain page of what the API offers."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

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


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Show what `/openapi.json` says, without a script and without an outside URL."""
    rows = "".join(
        f"<tr><td><code>{escape(method.upper())}</code></td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation.get('summary', ''))}</td></tr>"
        for path, operations in request.app.openapi()["paths"].items()
        for method, operation in operations.items()
    )
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>venvery: the API</title>"
        "<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td{padding:.3rem 1rem .3rem 0;vertical-align:top}</style>"
        f"<h1>venvery {escape(__version__)}: the API</h1>"
        '<p>The whole description is <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<table>{rows}</table></html>",
    )
