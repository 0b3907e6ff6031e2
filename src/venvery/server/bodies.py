"""Request bodies: JSON, or plain requirements text with everything else in the query (what curl sends)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request

from venvery.errors import BadInput, LimitExceeded
from venvery.services.documents import Asked
from venvery.services.house import House

__all__ = ["APART", "query_fields", "read_asked", "read_object", "read_request"]

DRAINED = 64 * 2**20
"""Bytes beyond the limit that are still received: many clients hear nothing before they have sent everything."""
APART = 32 * 1024
"""Bytes of a body from which on it is read in a thread, so that others are not held up."""

_LISTS = {"only_binary", "no_binary", "prerelease_projects", "excludes", "overrides", "upgrade"}
_TEXTS = {"preset", "strategy", "prereleases", "exclude_newer"}


async def read_asked(request: Request, house: House) -> Asked:
    """Read a whole request. Raises `BadInput` or `LimitExceeded`."""
    raw = await _read_limited(request, house.limits.body_bytes)
    if len(raw) < APART:
        return house.read(_body_of(request, raw))
    return await asyncio.to_thread(lambda: house.read(_body_of(request, raw)))


async def read_request(request: Request, most: int) -> dict[str, Any]:
    """Read a request's body, of at most so many bytes, and its query into one body document."""
    return _body_of(request, await _read_limited(request, most))


async def read_object(request: Request, most: int) -> dict[str, Any]:
    """Read a body that is a JSON object, of at most so many bytes. Raises `BadInput` or `LimitExceeded`."""
    return _parse_json(await _read_limited(request, most))


def _body_of(request: Request, raw: bytes) -> dict[str, Any]:
    """Read a body and the query into one body document.

    Whatever content type it is sent with, a body that starts as a JSON object is one, and any other body is
    requirements text: `curl --data-binary` says `application/x-www-form-urlencoded` of both.
    """
    fields = query_fields(request.query_params)
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared == "application/json" or raw.lstrip()[:1] == b"{":
        return _merge(fields, _parse_json(raw))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"the requirements text is not UTF-8 (byte {error.start})") from None
    if not text.strip() and not fields.get("requirements"):
        raise BadInput(
            "the request has no body", hint="send requirements text, or a JSON object with requirements"
        )
    return _merge(fields, {"text": text})


def query_fields(query: QueryParams) -> dict[str, Any]:
    """Read the query parameters of a request into the fields of a body document. Raises `BadInput`."""
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    target: dict[str, str] = {}
    for name, value in query.multi_items():
        if name == "python" and not ("/" in value or "\\" in value):
            target["python"] = value
        elif name == "platform":
            target["platform"] = value
        elif name in ("prefix", "python", "prompt", "view"):
            fields[name] = value
        elif name in ("bytecode", "relocatable"):
            fields[name] = _flag(name, value)
        elif name == "have":
            fields.setdefault("have", []).extend(value.split(","))
        elif name in ("requirement", "req"):
            fields.setdefault("requirements", []).append(value)
        elif name == "pre":
            options["prereleases"] = "allow" if _flag(name, value) else "if-necessary-or-explicit"
        elif name.replace("-", "_") in _TEXTS:
            options[name.replace("-", "_")] = value
        elif name.replace("-", "_") in _LISTS:
            options.setdefault(name.replace("-", "_"), []).extend(value.split(","))
        else:
            raise BadInput(f"the query has an unknown parameter {name[:80]!r}")
    if options:
        fields["options"] = options
    if target:
        fields["target"] = target
    return fields


def _merge(fields: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    both = sorted(set(fields) & set(body))
    if both:
        raise BadInput(f"{both[0]!r} stands in the body and in the query")
    return fields | body


def _flag(name: str, value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on", ""):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise BadInput(f"the query parameter {name!r} is 1 or 0, not {value[:80]!r}")


def _parse_json(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        raise BadInput(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadInput("the body is not a JSON object")
    return body


async def _read_limited(request: Request, most: int) -> bytes:
    too_large = LimitExceeded(
        f"the body is larger than {most} bytes",
        hint="split the request, or raise the limit in the configuration",
        limit="body-bytes",
        most=most,
    )
    if int(request.headers.get("content-length") or 0) > most + DRAINED:
        raise too_large
    raw = bytearray()
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received <= most:
                raw += chunk
            elif received > most + DRAINED:
                break
    except ClientDisconnect:
        raise BadInput("the connection was cut before the body was whole") from None
    if received > most:
        raise too_large
    return bytes(raw)
