"""The fast lane: a request that came before, byte for byte, is answered before anything of it is parsed.

It says the same as the route would: only answers that certainly still hold are given here. When a listing has
to be looked at, the request goes on to the route. It knows no one's rights: the door stands before it, and nobody
gets here what another was given.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from venvery.model.access import Visitor
from venvery.server.addresses import with_address
from venvery.services.answers import Answer, Answers
from venvery.services.locks import LockFormat

__all__ = ["FastLane", "Lane", "Seen"]

PATH = "/v1/resolve"
MAX_BODY = 64 * 1024
"""Bytes of a request body; larger ones go the ordinary way."""
MOST = 4096
MAX_BYTES = 64 * 1024**2
"""Of all keys together; the answers themselves are bounded where they are held."""

Key = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request got."""

    answer: weakref.ref[Answer]
    """Held where all answers are held, and for as long."""
    answers: Answers
    """Those of its view."""
    form: LockFormat
    media_type: bytes
    view: str | None = None


class Lane:
    """Which answer each request got, by its bytes; those that were not asked for longest are forgotten."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: OrderedDict[Key, Seen] = OrderedDict()
        self._bytes = 0

    def find(self, key: Key) -> tuple[Seen, Answer, float] | None:
        """Give what a request got before, if that certainly still holds, and how old its listings are."""
        seen = self._seen.get(key)
        answer = None if seen is None else seen.answer()
        if seen is None or answer is None or not seen.answers.holds_now(answer):
            return None
        self._seen.move_to_end(key)
        return seen, answer, seen.answers.age(answer)

    def remember(self, key: Key, seen: Seen) -> None:
        """Note what a request got."""
        if key not in self._seen:
            self._bytes += _size(key)
        self._seen[key] = seen
        self._seen.move_to_end(key)
        while len(self._seen) > self._most or self._bytes > MAX_BYTES:
            oldest, _ = self._seen.popitem(last=False)
            self._bytes -= _size(oldest)


class FastLane:
    """ASGI middleware that answers from a lane, and lets everything else pass."""

    def __init__(self, app: ASGIApp, lane: Lane) -> None:
        self._app = app
        self._lane = lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        about = _about(scope)
        if about is None:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
            messages.append(await receive())
        visitor: Visitor | None = scope.get("venvery.visitor")
        who = visitor.name.encode() if visitor is not None else b""
        key = (who, *about, b"".join(message.get("body", b"") for message in messages))
        found = self._lane.find(key)
        if found is not None:
            scope["venvery.route"] = PATH
            await _answer(scope, send, *found)
            return
        scope["venvery.lane"] = self._lane, key
        await self._app(scope, _again(messages, receive), send)


def _about(scope: Scope) -> tuple[bytes, bytes, bytes] | None:
    """Give what decides the answer beside the body; None for a request that cannot take the lane."""
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
        return None
    accept = content_type = b""
    length = -1
    for name, value in scope["headers"]:
        if name == b"accept":
            accept += b"," + value
        elif name == b"content-type":
            content_type = value
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return (scope["query_string"], accept, content_type) if 0 <= length <= MAX_BODY else None


def _again(messages: list[Message], receive: Receive) -> Receive:
    """Give the messages that were taken once more, then what comes after them."""
    waiting = iter(messages)

    async def next_message() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return next_message


async def _answer(scope: Scope, send: Send, seen: Seen, answer: Answer, age: float) -> None:
    body = with_address(answer, seen.form, scope, seen.view)
    headers = [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", seen.media_type),
        (b"vary", b"Accept"),
        (b"venvery-answer", b"remembered"),
        (b"venvery-listings-age", b"%d" % age),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _size(key: Key) -> int:
    return sum(map(len, key))
