"""The pages' routes."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from venvery.errors import NotFound, Unsatisfiable
from venvery.model.names import parse_name
from venvery.model.targets import PLATFORMS
from venvery.services.house import House
from venvery.services.why import explain_pin
from venvery.web.graph import draw
from venvery.web.rendering import PAGES, asset, render
from venvery.web.resolving import FORMS, Form, read_form
from venvery.web.treemap import tiles

__all__ = ["router"]

MAP = (960, 360)
"""The size of the treemap, in its own units."""

router = APIRouter(tags=[PAGES], include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """Show where to begin."""
    house: House = request.app.state.house
    recent = await asyncio.to_thread(house.recent_environments, 8)
    return render(request, "home.html", {"form": Form.empty(house), "platforms": PLATFORMS, "recent": recent})


@router.get("/resolve")
async def resolve(request: Request) -> Response:
    """Resolve what the form says, and show the answer as a table and as a picture, or why there is none."""
    house: House = request.app.state.house
    form = Form.of(request, house)
    shown: dict[str, Any] = {"form": form, "platforms": PLATFORMS, "answer": None, "no": None, "why": None}
    if not form.text.strip():
        return render(request, "resolve.html", shown)
    try:
        answered = await house.resolve(read_form(form, house))
    except Unsatisfiable as no:
        return render(request, "resolve.html", shown | {"no": no}, status=422)
    lock = answered.lock
    targets = [
        {"name": str(target), "drawing": draw(lock, index), "pins": lock.pins_for(index)}
        for index, target in enumerate(lock.targets)
    ]
    shown |= {"answer": answered, "lock": lock, "targets": targets, "query": urlencode(form.query())}
    if project := request.query_params.get("why"):
        shown["why"] = explain_pin(lock, parse_name(project))
    return render(request, "resolve.html", shown)


@router.get("/resolve/{filename}")
async def download(request: Request, filename: str) -> Response:
    """Give the answer to a form as a file."""
    if filename not in FORMS:
        raise NotFound(f"an answer has no form {filename!r}", hint=f"forms: {', '.join(FORMS)}")
    house: House = request.app.state.house
    written, media_type = FORMS[filename]
    answered = await house.resolve(read_form(Form.of(request, house), house))
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(answered.answer.render(written), media_type=media_type, headers=headers)


@router.post("/environments")
async def make_environment(request: Request) -> Response:
    """Make the environment of a form, and lead to its page."""
    house: House = request.app.state.house
    async with request.form(max_files=0, max_fields=16, max_part_size=house.limits.body_bytes) as fields:
        form = Form.of(request, house, {name: str(value) for name, value in fields.items()})
    made = await house.environment(read_form(form, house))
    return RedirectResponse(f"/environments/{made.manifest.key}", 303)


@router.get("/environments/{key}")
async def environment(request: Request, key: str) -> Response:
    """Show what is in an environment, and how to get it."""
    house: House = request.app.state.house
    known = await asyncio.to_thread(house.describe_environment, key)
    manifest = known.manifest
    sizes = {
        pin.project: sum(layer.size for layer in manifest.layers if layer.project == pin.project)
        for pin in manifest.pins
    }
    shown = {
        "known": known,
        "manifest": manifest,
        "sizes": sizes,
        "total": sum(sizes.values()),
        "sent": sum(layer.zstd.size for layer in manifest.layers),
        "map": MAP,
        "tiles": tiles(list(sizes.items()), *MAP),
    }
    return render(request, "environment.html", shown)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Show what `/openapi.json` says."""
    operations = [
        (method.upper(), path, operation.get("summary", ""))
        for path, methods in request.app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]
    return render(request, "docs.html", {"operations": operations})


@router.get("/static/{digest}/{name}")
async def static(digest: str, name: str) -> Response:
    """Give a file that pages load; its URL changes with its content, so it may be kept for ever."""
    found = asset(name)
    if found is None or found.digest != digest:
        raise NotFound(f"there is no {name!r} here", hint="reload the page")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.media_type, headers=headers)
