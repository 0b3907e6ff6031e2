"""Reason phrases of our own: twine shows a refusal's reason phrase, and nothing else of it.

ASGI has no place for a reason phrase, so the server's protocol is told of it past the application. Where the
protocol is another one (no httptools), the phrase is the usual one.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

__all__ = ["http_protocol", "say_reason"]

_KEY = "venvery.reason"
_MOST = 500


def say_reason(scope: MutableMapping[str, Any], reason: str) -> None:
    """Give the response to a request a reason phrase (RFC 9112, 4), on one line of ASCII."""
    holder = scope.get(_KEY)
    if isinstance(holder, list):
        plain = "".join(one if one.isascii() and one.isprintable() else "?" for one in reason[:_MOST])
        holder[:] = [plain.encode("ascii")]


def http_protocol() -> Any:
    """Give the HTTP protocol for uvicorn that knows reason phrases; `auto` where there is no httptools."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
    except ImportError:
        return "auto"

    class Protocol(HttpToolsProtocol):
        """The usual protocol, with a look at what uploads are answered."""

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            if cycle.scope["path"].startswith("/upload"):
                said: list[bytes] = []
                cycle.scope[_KEY] = said  # type: ignore[literal-required]
                cycle.transport = _Transport(cycle.transport, said)  # type: ignore[assignment]
            super()._start_asgi_task(cycle, app)

    return Protocol


class _Transport:
    """A transport that puts the reason phrase into the first line that is written."""

    def __init__(self, transport: asyncio.Transport, said: list[bytes]) -> None:
        self._transport = transport
        self._said = said

    def write(self, data: bytes) -> None:
        """Write bytes, the first of them with the reason."""
        if self._said and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            line, end, rest = data.partition(b"\r\n")
            data = line[:13] + self._said.pop() + end + rest
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
