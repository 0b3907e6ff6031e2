"""What lets others check an environment: the server's keys, signed provenance, bills of materials."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from venvery.environments.sbom import SBOM_MEDIA_TYPE
from venvery.model.digests import parse_digest
from venvery.server.schemas import PROBLEM
from venvery.services.house import House

router = APIRouter()

_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_OBJECT: dict[str, Any] = {"schema": {"type": "object"}}
_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 507), PROBLEM)


@router.get(
    "/v1/keys",
    summary="The public keys that environments are signed with",
    response_class=Response,
    responses={200: {"content": {"application/json": _OBJECT}, "description": "Oldest first"}, 507: PROBLEM},
)
async def get_keys(request: Request) -> Response:
    """Give every key that this server has had; the last one signs now, each is endorsed by the one before it."""
    house: House = request.app.state.house
    document = await asyncio.to_thread(lambda: house.attester.keys.document)
    return Response(document, media_type="application/json", headers={"Cache-Control": "no-cache"})


@router.get(
    "/v1/environments/{key}/provenance",
    summary="The signed provenance of an environment",
    response_class=Response,
    responses={200: {"content": {_ENVELOPE: _OBJECT}, "description": "A DSSE envelope"}, **_PROBLEMS},
)
async def get_provenance(key: str, request: Request) -> Response:
    """Give an in-toto statement with SLSA provenance, signed (DSSE): what the environment was made from."""
    return await _document(key, request, "provenance.json", _ENVELOPE)


@router.get(
    "/v1/environments/{key}/sbom",
    summary="The bill of materials of an environment",
    response_class=Response,
    responses={200: {"content": {SBOM_MEDIA_TYPE: _OBJECT}, "description": "CycloneDX 1.6"}, **_PROBLEMS},
)
async def get_sbom(key: str, request: Request) -> Response:
    """Give the bill of materials: every release with hash, licence and dependencies."""
    return await _document(key, request, "sbom.json", SBOM_MEDIA_TYPE)


async def _document(key: str, request: Request, name: str, media_type: str) -> Response:
    house: House = request.app.state.house
    made = await house.known_environment(parse_digest(key))
    documents = await asyncio.to_thread(house.attester.documents, made.manifest)
    return Response(documents[name], media_type=media_type)
