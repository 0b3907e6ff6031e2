"""`POST /v1/outdated`: a lock in, what is newer than it out."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from venvery.server.bodies import read_request
from venvery.server.schemas import OUTDATED, PROBLEM, TARGET_PARAMETERS, outdated_body
from venvery.services.house import House

router = APIRouter()


@router.post(
    "/v1/outdated",
    summary="Tell what is newer than a lock",
    response_class=Response,
    responses={
        200: {"content": OUTDATED, "description": "Each pin of which there is something newer, and who holds it"},
        400: PROBLEM,
        413: PROBLEM,
        422: PROBLEM,
        502: PROBLEM,
    },
    openapi_extra={"requestBody": outdated_body(), "parameters": TARGET_PARAMETERS},
)
async def outdated(request: Request) -> Response:
    """Tell which updates exist, which resolving anew would take, and who holds back the others."""
    house: House = request.app.state.house
    found = await house.outdated(await read_request(request, house.limits.body_bytes))
    return JSONResponse(found.to_json())
