"""Archives and blobs as responses: exact length, ETag, ranges (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

__all__ = ["IMMUTABLE", "has", "send"]

IMMUTABLE = "public, max-age=31536000, immutable"

BATCH = 1 << 20
"""Bytes from which on chunks are handed to the connection: many small ones cost more than what is in them."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def send(
    request: Request,
    *,
    length: int,
    etag: str,
    chunks: Callable[[int, int], Iterator[bytes]],
    media_type: str,
    headers: dict[str, str],
    partial: bool = True,
    done: Callable[[], None] = lambda: None,
    at_once: int = 0,
) -> Response:
    """Answer with `length` bytes, or the part of them that the client asks for.

    `chunks(start, stop)` gives the bytes from `start` to before `stop`. `done` is called when they are not
    needed any more: all sent, client gone, or never wanted. Answers 304 when the client has them, 206 for one
    satisfiable range, 416 for one that is not; several ranges get the whole (RFC 9110 allows it).
    `partial=False`: no ranges, as for the answer to a POST. `at_once`: bytes up to which an answer is read
    here and now, for a hop to a thread takes longer; only for what needs no work but reading.
    """
    response = _answer(request, length, etag, chunks, media_type, {**headers, "ETag": etag}, partial)
    if isinstance(response, _Stream) and int(response.headers["content-length"]) <= at_once:
        response = Response(b"".join(response.chunks), response.status_code, dict(response.headers))
    if isinstance(response, _Stream):
        response.done = done
    else:
        done()
    return response


def _answer(
    request: Request,
    length: int,
    etag: str,
    chunks: Callable[[int, int], Iterator[bytes]],
    media_type: str,
    headers: dict[str, str],
    partial: bool,
) -> Response:
    if partial:
        headers["Accept-Ranges"] = "bytes"
    if has(request, etag):
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, length, 200
    asked = request.headers.get("range")
    if partial and asked and request.headers.get("if-range", etag) == etag and "," not in asked:
        part = _part(asked, length)
        if part is not None:
            start, stop = part
            if start >= stop:
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{length}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    parts = chunks(start, stop)
    stream = _Stream(_batches(parts), status_code=status, headers=headers, media_type=media_type)
    stream.chunks = parts
    return stream


class _Stream(StreamingResponse):
    """A stream behind which something is put away, however it ends."""

    done: Callable[[], None]
    chunks: Iterator[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.done()


async def _batches(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give chunks in batches, reading the next one in a thread while the last one is sent."""
    loop = asyncio.get_running_loop()
    ahead = loop.run_in_executor(None, _take, chunks)
    try:
        while batch := await asyncio.shield(ahead):
            ahead = loop.run_in_executor(None, _take, chunks)
            yield batch
    finally:
        await asyncio.wait([ahead])  # nothing of it may go away while it is read


def _take(chunks: Iterator[bytes]) -> bytes:
    """Take chunks until there is a batch; nothing at their end."""
    taken, size = [], 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            break
    return taken[0] if len(taken) == 1 else b"".join(taken)


def has(request: Request, etag: str) -> bool:
    """Tell whether a client that asks has what it asks for (RFC 9110, 13.1.2)."""
    return request.method in ("GET", "HEAD") and _matches(request.headers.get("if-none-match"), etag)


def _matches(header: str | None, etag: str) -> bool:
    return header is not None and (
        header.strip() == "*" or etag in [part.strip().removeprefix("W/") for part in header.split(",")]
    )


def _part(asked: str, length: int) -> tuple[int, int] | None:
    """Read a single byte range as (start, stop); start >= stop when unsatisfiable, None when it is not a range."""
    match = _RANGE.match(asked.strip())
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        return max(0, length - int(match[2])), length if int(match[2]) else 0
    start = int(match[1])
    stop = min(length, int(match[2]) + 1) if match[2] else length
    if match[2] and int(match[2]) < start:
        return None
    return start, stop
