"""The HTTP application: everything is put together here, once, at start-up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from venvery import __version__
from venvery.errors import VenveryError
from venvery.server import (
    admin_routes,
    client_routes,
    environment_routes,
    file_routes,
    health_routes,
    job_routes,
    outdated_routes,
    project_json_routes,
    resolve_routes,
    simple_routes,
    trust_routes,
    upload_routes,
)
from venvery.server.door import Door
from venvery.server.fast_lane import FastLane, Lane
from venvery.server.housekeeping import kept_small
from venvery.server.metrics import Measured, Metrics
from venvery.server.openapi import describing
from venvery.server.problems import on_http_exception, on_unexpected, on_venvery_error
from venvery.services.house import House
from venvery.web import job_pages, package_pages, pages, source_pages, upload_pages

__all__ = ["create_app"]


def create_app(open_house: Callable[[], AbstractAsyncContextManager[House]]) -> FastAPI:
    """Make the application; the house is opened when the server starts and closed when it stops."""

    lane = Lane()
    opened: list[House] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_house() as house:
            app.state.house = house
            house.builds.work_for_all()
            opened.append(house)
            async with kept_small(house):
                yield

    app = FastAPI(
        title="venvery",
        version=__version__,
        summary="Fuzzy requirements in, ready virtualenvs out.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its scripts from outside, which a closed network does not have
        redoc_url=None,
    )
    app.add_exception_handler(VenveryError, on_venvery_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_unexpected)
    metrics = Metrics()
    app.add_middleware(FastLane, lane=lane)
    app.add_middleware(Door, house=lambda: opened[-1] if opened else None)  # it guards the fast lane too
    app.add_middleware(Measured, metrics=metrics)
    app.router.routes.append(metrics.route())
    app.router.routes[:0] = [
        *simple_routes.routes(),
        *file_routes.routes(),
        *project_json_routes.routes(),
    ]  # asked for most
    app.include_router(resolve_routes.router)
    app.include_router(outdated_routes.router)
    app.include_router(environment_routes.router)
    app.include_router(trust_routes.router)
    app.include_router(job_routes.router)
    app.include_router(upload_routes.router)
    app.include_router(admin_routes.router)
    app.include_router(health_routes.router)
    app.include_router(client_routes.router)
    app.include_router(pages.router)
    app.include_router(package_pages.router)
    app.include_router(upload_pages.router)
    app.include_router(job_pages.router)
    app.include_router(source_pages.router)
    app.openapi = describing(app)  # type: ignore[method-assign]
    return app
