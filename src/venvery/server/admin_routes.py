"""What is done to releases, and what administrators look at: each asks for the right that it needs."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from venvery.errors import BadInput
from venvery.model.access import Visitor
from venvery.model.names import parse_name
from venvery.server.bodies import read_object
from venvery.server.door import visitor_of
from venvery.server.schemas import PROBLEM
from venvery.services.auditing import change_to_json
from venvery.services.house import House
from venvery.services.publishing import Publisher

router = APIRouter()

_MOST_BODY = 64 * 1024
_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 507), PROBLEM)
_TEXT: dict[str, Any] = {"type": "string"}
_OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}


def _body(*fields: str, required: tuple[str, ...]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": list(required),
        "properties": dict.fromkeys(fields, _TEXT),
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/v1/releases/{action}",
    summary="yank, unyank, promote or delete a release; set the status of a project",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "What was done"}, **_PROBLEMS},
    openapi_extra=_body(
        "source", "project", "version", "reason", "filename", "to", "status", required=("project",)
    ),
)
async def change_release(action: str, request: Request) -> Response:
    """Change a hosted source in one transaction."""
    house: House = request.app.state.house
    visitor = visitor_of(request)
    if not visitor.known:
        visitor.need("upload" if action != "delete" else "admin")
    body = await read_object(request, _MOST_BODY)
    _need(visitor, house.publisher, action, body)
    done = await asyncio.to_thread(house.publisher.change, action, body, who=visitor.name)
    return JSONResponse(done)


def _need(visitor: Visitor, publisher: Publisher, action: str, body: dict[str, Any]) -> None:
    """Insist on the right to do this: deleting is for administrators, promoting is uploading where it goes."""
    if action == "delete":
        visitor.need("admin")
        return
    named = body.get("to" if action == "promote" else "source")
    visitor.need("upload", publisher.source(named if isinstance(named, str) else None).name)
    if action == "promote":  # whoever may promote may read: what is copied is seen where it goes
        source = body.get("source")
        name = publisher.source(source if isinstance(source, str) else None).name
        if not visitor.may("read"):
            visitor.need("upload", name)


@router.get(
    "/v1/journal",
    summary="Who changed what, and when; newest first",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "The changes"}, **_PROBLEMS},
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": {"type": kind}}
            for name, kind in (
                ("project", "string"),
                ("who", "string"),
                ("before", "integer"),
                ("most", "integer"),
            )
        ]
    },
)
async def get_journal(request: Request) -> Response:
    """Give the journal, to administrators."""
    visitor_of(request).need("admin")
    house: House = request.app.state.house
    query = request.query_params
    project = parse_name(query["project"]) if "project" in query else None
    before = _number(query.get("before"), "before")
    most = min(1000, _number(query.get("most"), "most") or 100)
    found = await asyncio.to_thread(
        house.journal.entries, project=project, who=query.get("who"), before=before, most=most
    )
    return JSONResponse({"changes": [change_to_json(change) for change in found]})


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadInput(f"{name!r} is a whole number, not {text[:40]!r}")
    return int(text)
