"""Plain questions to a server: one request, one answer, its problem as our error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import httpx2

from venvery.client.errors import ClientError
from venvery.model.sources import redact

__all__ = ["ask_server"]

_PATIENCE = 3700.0
"""Seconds; a build that is waited for takes its time."""


def ask_server(
    server: str,
    method: str,
    path: str,
    *,
    content: Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """Ask; give the answer. Raises `ClientError`."""
    said = dict(headers or {})
    if token := os.environ.get("VENVERY_TOKEN"):
        said["Authorization"] = f"Bearer {token}"
    try:
        answer = httpx2.request(
            method, server + path, content=content, headers=said, params=params, timeout=_PATIENCE
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ClientError(
            f"the server {redact(server)} cannot be reached: {error or type(error).__name__}",
            hint="check the address and whether the server is running",
        ) from None
    if answer.status_code < 400:
        return answer
    try:
        problem = answer.json()
        detail, hint = str(problem["detail"]), problem.get("hint")
    except (ValueError, KeyError, TypeError):
        problem, detail, hint = None, f"the server answered {answer.status_code}", None
    code = 1 if answer.status_code in (404, 422) else 3 if answer.status_code >= 500 else 2
    raise ClientError(detail, hint=hint, exit_code=code, status=answer.status_code, problem=problem)
