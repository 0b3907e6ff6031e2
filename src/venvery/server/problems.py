"""Errors as `application/problem+json` (RFC 9457). The one place where an error gets an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from venvery import errors
from venvery.resolve.explain import story
from venvery.web.rendering import PAGES, render

__all__ = [
    "Problem",
    "headers_of",
    "on_http_exception",
    "on_unexpected",
    "on_venvery_error",
    "problem_of",
    "problem_response",
]

_log = structlog.get_logger("venvery.server")

# The most special class comes first.
_STATUS: tuple[tuple[type[errors.VenveryError], int, str], ...] = (
    (errors.BadRequirement, 400, "bad-requirement"),
    (errors.BadTarget, 400, "bad-target"),
    (errors.BadPrefix, 400, "bad-prefix"),
    (errors.BadLock, 400, "bad-lock"),
    (errors.UrlNotAllowed, 400, "url-not-allowed"),
    (errors.FileExists, 400, "file-exists"),
    (errors.UploadRefused, 400, "upload-refused"),
    (errors.BadInput, 400, "bad-input"),
    (errors.LimitExceeded, 413, "limit-exceeded"),
    (errors.Unsatisfiable, 422, "unsatisfiable"),
    (errors.NoUsableFile, 422, "no-usable-file"),
    (errors.BuildRefused, 422, "build-refused"),
    (errors.BuildFailed, 422, "build-failed"),
    (errors.AnswerIsNo, 422, "answer-is-no"),
    (errors.NotKnown, 401, "not-known"),
    (errors.NotAllowed, 403, "not-allowed"),
    (errors.Busy, 503, "busy"),
    (errors.NotFound, 404, "not-found"),
    (errors.SourceUnreachable, 502, "source-unreachable"),
    (errors.SourceGarbage, 502, "source-garbage"),
    (errors.WrongHash, 502, "wrong-hash"),
    (errors.SourceFailed, 502, "source-failed"),
    (errors.StorageFailed, 507, "storage-failed"),
    (errors.VenveryError, 500, "failed"),
)

_EVIDENCE = ("line", "column", "origin", "project", "version", "explanation", "limit", "most", "job", "log")


class Problem(JSONResponse):
    """A problem document as a response."""

    media_type = "application/problem+json"


def problem_of(error: errors.VenveryError) -> tuple[int, dict[str, Any]]:
    """Give the HTTP status and the problem document of an error.

    `type` is stable; `title` is the class of the problem, `detail` the sentence for a person, `hint` what to
    do next; when a request cannot be satisfied `explanation` is the derivation as a tree and `story` as text.
    """
    kind, status, name = next(entry for entry in _STATUS if isinstance(error, entry[0]))
    title = (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")
    document: dict[str, Any] = {
        "type": f"urn:venvery:problem:{name}",
        "title": title,
        "status": status,
        "detail": str(error),
    }
    if error.hint:
        document["hint"] = error.hint
    document |= {name: error.evidence[name] for name in _EVIDENCE if error.evidence.get(name) is not None}
    if isinstance(error, errors.Unsatisfiable) and error.explanation:
        document["story"] = story(error.explanation)
    return status, document


async def on_venvery_error(request: Request, error: Exception) -> Response:
    """Answer with the problem that a `VenveryError` is."""
    assert isinstance(error, errors.VenveryError)
    return problem_response(request, error)


def problem_response(request: Request, error: errors.VenveryError) -> Response:
    """Make the response that an error is."""
    status, document = problem_of(error)
    if status >= 500:
        _log.warning("request failed", problem=document["type"], detail=document["detail"])
    return _answer(request, document, status, headers_of(error))


def headers_of(error: errors.VenveryError) -> dict[str, str]:
    """Give what an error says in the headers of its response."""
    if isinstance(error, errors.NotKnown):
        return {"WWW-Authenticate": 'Basic realm="venvery", charset="UTF-8"'}
    return {"Retry-After": "5"} if isinstance(error, errors.Busy) else {}


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer with a problem for what the framework itself refuses: no such path, wrong method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    document = {
        "type": f"urn:venvery:problem:http-{error.status_code}",
        "title": phrase,
        "status": error.status_code,
        "detail": error.detail or phrase,
    }
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
    return _answer(request, document, error.status_code, headers)


def _allowed(request: Request) -> set[str]:
    """Give the methods that a path has; a route knows only its own, and GET and HEAD may be two routes."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found.update(getattr(route, "methods", None) or ())
    return found


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answer with a plain problem for a fault of ours; the traceback goes to the log, not to the client."""
    _log.error("unexpected error", path=request.url.path, exc_info=error)
    document = {
        "type": "urn:venvery:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": "Something unexpected went wrong in the server; its log has the details.",
    }
    return _answer(request, document, 500)


def _answer(
    request: Request, document: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Give the problem as a document; to a person who looks at pages, as a page."""
    tags = getattr(request.scope.get("route"), "tags", ())
    if PAGES in tags or (not tags and request.headers.get("accept", "").startswith("text/html")):
        if request.headers.get("sec-fetch-mode") == "navigate":  # the page itself leads to the sign-in
            headers = {name: value for name, value in (headers or {}).items() if name != "WWW-Authenticate"}
        shown = {"hint": None, "story": None} | dict(document)
        return render(request, "problem.html", {"problem": shown}, status=status, headers=headers)
    return Problem(document, status, headers=headers)
