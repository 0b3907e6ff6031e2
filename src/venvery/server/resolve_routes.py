"""`POST /v1/resolve`: requirements in, a lock out."""

from __future__ import annotations

import weakref

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from venvery.server.addresses import with_address
from venvery.server.bodies import read_asked
from venvery.server.fast_lane import Seen
from venvery.server.negotiation import choose
from venvery.server.schemas import ANSWER_HEADERS, LOCKS, PROBLEM, TARGET_PARAMETERS, resolve_body
from venvery.services.house import House
from venvery.services.locks import HASHED, LockFormat

router = APIRouter()

_FORMATS: dict[str, LockFormat] = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/toml": "pylock",
    "text/plain": "requirements",
}
_ALIASES = {"application/x-yaml": "application/yaml", "text/yaml": "application/yaml"}


@router.post(
    "/v1/resolve",
    summary="Resolve requirements to a lock",
    response_class=Response,
    responses={
        200: {"content": LOCKS, "description": "The lock, as Accept asks", "headers": ANSWER_HEADERS},
        400: PROBLEM,
        406: PROBLEM,
        413: PROBLEM,
        422: PROBLEM,
        502: PROBLEM,
    },
    openapi_extra={"requestBody": resolve_body(), "parameters": TARGET_PARAMETERS},
)
async def resolve(request: Request) -> Response:
    """Pin every project that the requirements lead to, with the hashes of all files that serve the targets."""
    media_type = choose(request.headers.get("accept"), list(_FORMATS), _ALIASES)
    house: House = request.app.state.house
    asked = await read_asked(request, house)
    form = _FORMATS[media_type]
    answered = await house.resolve(asked, hashes=form in HASHED)
    content_type = f"{media_type}; charset=utf-8" if media_type == "text/plain" else media_type
    if "venvery.lane" in request.scope:
        lane, key = request.scope["venvery.lane"]
        seen = Seen(weakref.ref(answered.answer), answered.answers, form, content_type.encode(), asked.view)
        lane.remember(key, seen)
    return Response(
        with_address(answered.answer, form, request.scope, asked.view),
        media_type=content_type,
        headers={
            "Vary": "Accept",
            "Venvery-Answer": "remembered" if answered.remembered else "computed",
            "Venvery-Listings-Age": str(int(answered.answers.age(answered.answer))),
        },
    )
