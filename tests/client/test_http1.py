"""The client's own HTTP/1.1: answers in every framing, whole or cut, and what is no answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.client.http1 import Answer, HttpError, NoAnswer, connect, exchange

Say = Callable[..., Answer]


@pytest.fixture
def say() -> Iterator[Say]:
    """Ask a server that says some bytes, in pieces, and closes the connection; `heard` is what it was sent."""
    listening = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def ask(*pieces: bytes, target: str = "/", headers: dict[str, str] | None = None) -> Answer:
        def serve() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as connection:
                connection.recv(1 << 16)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        connection = connect("127.0.0.1", listening.getsockname()[1], 10)
        opened.append(connection)
        return exchange(connection, "GET", target, {"Host": "here", **(headers or {})}, None)

    yield ask
    for connection in opened:
        connection.close()
    listening.close()


def test_a_body_of_known_length(say: Say) -> None:
    answer = say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello and more")
    assert (answer.status, answer.reason, answer.headers["x-a"]) == (200, "OK", "1, 2")
    assert answer.read_all(100) == b"hello"


def test_a_body_in_chunks_with_trailers(say: Say) -> None:
    answer = say(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhel", b"lo\r\n1", b"0\r\n" + b"x" * 16,
        b"\r\n0\r\nDigest: 1\r\n\r\nnot of it",
    )  # fmt: skip
    assert answer.read_all(1000) == b"hello" + b"x" * 16
    assert answer.read(10) == b""


def test_a_body_until_the_end(say: Say) -> None:
    assert say(b"HTTP/1.0 200\r\n\r\nall", b" of it").read_all(1000) == b"all of it"


def test_what_comes_before_the_answer_is_passed_over(say: Say) -> None:
    answer = say(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 204 \r\n\r\n"
    )
    assert (answer.status, answer.headers, answer.read(10)) == (204, {}, b"")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_is_not_whole_is_no_body(say: Say, said: bytes) -> None:
    answer = say(said)
    with pytest.raises(HttpError):
        answer.read_all(1000)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n",
        b"HTTP/1.1 200 " + b"x" * (1 << 20),
    ],
)
def test_what_is_no_answer(say: Say, said: bytes) -> None:
    with pytest.raises(HttpError):
        say(said)


def test_silence(say: Say) -> None:
    with pytest.raises(NoAnswer):
        say()


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX-Injected: 1", "/a\nb"])
def test_an_address_cannot_write_header_fields(say: Say, target: str) -> None:
    with pytest.raises(HttpError, match="address"):
        say(b"HTTP/1.1 200 OK\r\n\r\n", target=target)


def test_a_header_cannot_write_others(say: Say) -> None:
    with pytest.raises(HttpError, match="control character"):
        say(b"HTTP/1.1 200 OK\r\n\r\n", headers={"Authorization": "Bearer x\r\nX-Injected: 1"})


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.binary(min_size=1, max_size=70), max_size=6), cut=st.integers(1, 40))
def test_chunks_give_what_was_put_into_them(parts: list[bytes], cut: int) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    said += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        answer = Answer(ours)
        answer.begin()
        assert b"".join(iter(lambda: answer.read(cut), b"")) == b"".join(parts)
