"""Pages about projects: find one, and what there is of it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from venvery.model.names import parse_name
from venvery.services.house import House
from venvery.web.readme import render_description
from venvery.web.rendering import PAGES, render

__all__ = ["router"]

router = APIRouter(tags=[PAGES], include_in_schema=False)


@router.get("/packages")
async def packages(request: Request) -> Response:
    """Find projects by a part of their name."""
    house: House = request.app.state.house
    wanted = request.query_params.get("q", "").strip()
    found, more = await asyncio.to_thread(house.projects.find, wanted)
    return render(request, "packages.html", {"wanted": wanted, "found": found, "more": more})


@router.get("/packages/{name}")
async def package(request: Request, name: str) -> Response:
    """Show what there is of a project, and what its newest release says of itself."""
    house: House = request.app.state.house
    normalized = parse_name(name)
    if normalized != name:
        return RedirectResponse(f"/packages/{normalized}", 301)
    project = await house.projects.describe(normalized)
    about = project.about
    description = await asyncio.to_thread(render_description, about.description, about.content_type)
    return render(request, "package.html", {"project": project, "about": about, "description": description})
