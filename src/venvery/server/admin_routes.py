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
from venvery.model.policy import parse_rule
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


_RULE = _body("release", "reason", required=("release",))


@router.get(
    "/v1/blocks",
    summary="The releases that were blocked while the server ran",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "What is blocked"}, **_PROBLEMS},
)
async def get_blocks(request: Request) -> Response:
    """Give what is blocked, to administrators."""
    visitor_of(request).need("admin")
    house: House = request.app.state.house
    blocks = await asyncio.to_thread(house.blocks.all)
    listed = [{"release": one.pattern + one.specifier, "reason": one.reason, "by": one.by} for one in blocks]
    return JSONResponse({"blocks": listed})


@router.post(
    "/v1/blocks",
    summary="Block releases everywhere, whatever source they come from",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "What is blocked now"}, **_PROBLEMS},
    openapi_extra=_RULE,
)
async def block(request: Request) -> Response:
    """Have releases reach nobody any more: no lock, no environment, no file."""
    return await _change_blocks(request, undo=False)


@router.post(
    "/v1/blocks/remove",
    summary="Block releases no longer",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "What is blocked no longer"}, **_PROBLEMS},
    openapi_extra=_RULE,
)
async def unblock(request: Request) -> Response:
    """Let releases be had again."""
    return await _change_blocks(request, undo=True)


async def _change_blocks(request: Request, *, undo: bool) -> Response:
    visitor = visitor_of(request)
    visitor.need("admin")
    house: House = request.app.state.house
    rule = parse_rule(await read_object(request, _MOST_BODY))
    if undo:
        await asyncio.to_thread(house.blocks.remove, rule.pattern, rule.specifier, who=visitor.name)
    else:
        await asyncio.to_thread(house.blocks.add, rule.pattern, rule.specifier, rule.reason, who=visitor.name)
    house.catalog.notice()
    return JSONResponse({"release": str(rule), "reason": rule.reason, "blocked": not undo})


@router.get(
    "/v1/shadowed",
    summary="Names that a hosted source has and another source too, and who wins",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "The names, as far as they are known here"}, **_PROBLEMS},
)
async def get_shadowed(request: Request) -> Response:
    """Give shadowed names, to administrators; no index is asked for them."""
    visitor_of(request).need("admin")
    house: House = request.app.state.house
    shadowed = await asyncio.to_thread(house.catalog.shadowed)
    return JSONResponse({"shadowed": [one.to_json() for one in shadowed]})


@router.get(
    "/v1/environments",
    summary="Which environments contain a release, and to administrators, who had them last",
    response_class=Response,
    responses={200: {"content": _OBJECT, "description": "The environments, newest first"}, **_PROBLEMS},
    openapi_extra={
        "parameters": [{"name": "contains", "in": "query", "required": True, "schema": _TEXT}],
    },
)
async def find_environments(request: Request) -> Response:
    """Find environments by what is in them: `requests==2.31.0`, `urllib3<1.26`, `evil`."""
    contains = request.query_params.get("contains")
    if not contains:
        raise BadInput("which release?", hint="as in ?contains=requests==2.31.0")
    house: House = request.app.state.house
    found = await asyncio.to_thread(house.find_environments, contains)
    return JSONResponse({"environments": found})


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadInput(f"{name!r} is a whole number, not {text[:40]!r}")
    return int(text)
