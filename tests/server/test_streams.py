"""Ranges, validators and lengths of what is sent (RFC 9110)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from venvery.server.streams import send

DATA = bytes(range(256)) * 4
ETAG = '"abc"'


def answer(method: str = "GET", partial: bool = True, **headers: str) -> tuple[Response, bytes]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": method, "headers": raw, "path": "/", "query_string": b""})

    def chunks(start: int, stop: int) -> Iterator[bytes]:
        for place in range(start, stop, 100):
            yield DATA[place : min(stop, place + 100)]

    response = send(
        request, length=len(DATA), etag=ETAG, chunks=chunks, media_type="x/y", headers={}, partial=partial
    )
    return response, asyncio.run(_body(response))


async def _body(response: Response) -> bytes:
    if isinstance(response, StreamingResponse):
        return b"".join([bytes(chunk) async for chunk in response.body_iterator])  # type: ignore[arg-type]
    return bytes(response.body)


def test_the_whole_says_its_length_and_name() -> None:
    response, body = answer()
    assert (response.status_code, body) == (200, DATA)
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["etag"] == ETAG
    assert response.headers["accept-ranges"] == "bytes"


def test_head_has_the_headers_and_no_body() -> None:
    response, body = answer("HEAD")
    assert (response.status_code, body, response.headers["content-length"]) == (200, b"", str(len(DATA)))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("1000-", 1000, 1024),
        ("-24", 1000, 1024),
        ("-5000", 0, 1024),
        ("5-9999", 5, 1024),
    ],
)
def test_one_range_is_sent_alone(asked: str, start: int, stop: int) -> None:
    response, body = answer(range=f"bytes={asked}")
    assert (response.status_code, body) == (206, DATA[start:stop])
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert response.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["1024-", "9999-10000", "-0"])
def test_a_range_behind_the_end_is_416(asked: str) -> None:
    response, body = answer(range=f"bytes={asked}")
    assert (response.status_code, body) == (416, b"")
    assert response.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes"])
def test_what_is_no_single_range_gets_the_whole(asked: str) -> None:
    response, body = answer(range=asked)
    assert (response.status_code, body) == (200, DATA)


def test_a_part_of_something_else_is_not_joined_to_it() -> None:
    assert answer(range="bytes=0-9", if_range='"other"')[0].status_code == 200
    assert answer(range="bytes=0-9", if_range=ETAG)[0].status_code == 206


@pytest.mark.parametrize("known", [ETAG, f'"x", {ETAG}', f"W/{ETAG}", "*"])
def test_who_has_it_is_told_so(known: str) -> None:
    response, body = answer(if_none_match=known)
    assert (response.status_code, body) == (304, b"")


def test_the_answer_to_a_post_has_no_ranges() -> None:
    response, body = answer("POST", partial=False, range="bytes=0-9", if_none_match=ETAG)
    assert (response.status_code, body) == (200, DATA)
    assert "accept-ranges" not in response.headers


@settings(deadline=None)
@given(st.integers(0, 1100), st.integers(0, 1100))
def test_any_range_is_the_slice_that_it_says(first: int, last: int) -> None:
    response, body = answer(range=f"bytes={first}-{last}")
    if last < first:
        assert (response.status_code, body) == (200, DATA)
    elif first >= len(DATA):
        assert response.status_code == 416
    else:
        assert (response.status_code, body) == (206, DATA[first : last + 1])
