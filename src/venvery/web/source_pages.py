"""The page about sources: where things come from, in which order, and which names more than one of them has."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from venvery.model.access import Visitor
from venvery.services.house import House
from venvery.web.rendering import PAGES, render

__all__ = ["router"]

router = APIRouter(tags=[PAGES], include_in_schema=False)


@router.get("/sources")
async def sources(request: Request) -> Response:
    """Show the sources, to administrators; no index is asked for anything."""
    visitor: Visitor = request.scope["venvery.visitor"]
    visitor.need("admin")
    house: House = request.app.state.house
    shadowed = await asyncio.to_thread(house.catalog.shadowed)
    return render(request, "sources.html", {"sources": house.catalog.sources, "shadowed": shadowed})
