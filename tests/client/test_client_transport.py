"""Asking a server: retries, proxies, problems, waiting for a job."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.client.archives import small
from tests.client.conftest import Sync
from tests.client.serving import ArchiveServer
from venvery.client.archive import GZIP, ZSTD
from venvery.client.errors import ClientError, UsageError
from venvery.client.transport import HttpTransport

BODY = {"prefix": "/tmp/x", "requirements": []}


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []
        self.said: list[str] = []

    def transport(self, url: str, **environ: str) -> HttpTransport:
        return HttpTransport(url, environ=environ, sleep=self.slept.append, on_retry=self.said.append)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def read_all(transport: HttpTransport, accept: list[str]) -> bytes:
    stream = transport(dict(BODY), accept)
    parts = list(iter(lambda: stream.read(1000), b""))
    stream.close()
    return b"".join(parts)


def test_it_asks_once_and_reads_what_comes(server: ArchiveServer, clock: Clock) -> None:
    data = read_all(clock.transport(server.url + "/", VENVERY_TOKEN="s3cret"), [ZSTD, GZIP])
    assert data == server.environment.zstd("/tmp/x")
    assert server.asked == [BODY]
    headers = server.headers[0]
    assert headers["Accept"] == "application/x-tar+zstd, application/x-tar+gzip;q=0.9"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"] == "application/json"


def test_it_tries_again_when_the_server_is_busy(server: ArchiveServer, clock: Clock) -> None:
    server.answers = [(503, {}, b""), (429, {"Retry-After": "7"}, b""), (502, {}, b"bad gateway")]
    assert read_all(clock.transport(server.url), [GZIP]) == server.environment.gzip("/tmp/x")
    assert len(server.asked) == 4
    assert clock.slept[1] == 7.0
    assert 0.2 < clock.slept[0] < 0.6
    assert clock.said[0] == f"{server.url} answered 503; trying again"


def test_it_gives_up(server: ArchiveServer, clock: Clock) -> None:
    server.answers = [(503, {}, b"")] * 9
    with pytest.raises(ClientError, match="answered 503") as caught:
        read_all(clock.transport(server.url), [GZIP])
    assert (caught.value.exit_code, caught.value.status) == (3, 503)
    assert len(server.asked) == 5
    assert sum(clock.slept) < 10


def test_nobody_is_there(clock: Clock) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ClientError, match=f"the server {url} cannot be reached: Connection refused") as caught:
            read_all(clock.transport(url), [GZIP])
    assert caught.value.exit_code == 3
    assert len(clock.slept) == 1 and clock.slept[0] <= 0.5


def test_a_server_that_is_started_anew_is_waited_for(server: ArchiveServer, clock: Clock) -> None:
    server.answers = [(503, {}, b"")]
    transport = clock.transport(server.url)
    connect = transport._connect

    def refuse(_path: str) -> object:
        if len(clock.slept) in (1, 2, 3):
            raise ConnectionRefusedError(111, "Connection refused")
        return connect(_path)

    transport._connect = refuse  # type: ignore[assignment, method-assign]
    assert read_all(transport, [GZIP]) == server.environment.gzip("/tmp/x")
    assert len(clock.slept) == 4


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (404, 1), (413, 2), (422, 1), (401, 3), (403, 3), (500, 3), (507, 3)]
)
def test_problems(server: ArchiveServer, clock: Clock, status: int, code: int) -> None:
    problem = {
        "type": "urn:x:y",
        "title": "T",
        "status": status,
        "detail": "what is wrong",
        "hint": "do this",
        "line": 3,
    }
    server.answers = [(status, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())]
    with pytest.raises(ClientError, match=r"^what is wrong$") as caught:
        read_all(clock.transport(server.url), [GZIP])
    error = caught.value
    assert (error.exit_code, error.status, error.type, error.hint) == (code, status, "urn:x:y", "do this")
    assert error.problem == problem
    assert clock.slept == []


def test_a_failed_index_is_not_asked_for_again(server: ArchiveServer, clock: Clock) -> None:
    """The server has retried already; its own 502 says which index and why."""
    problem = {"type": "urn:venvery:problem:source-unreachable", "detail": "the index does not answer"}
    server.answers = [(502, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())]
    with pytest.raises(ClientError, match="the index does not answer"):
        read_all(clock.transport(server.url), [GZIP])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {"Content-Type": "text/html"}, b"<h1>no</h1>"), "answered 404"),
        ((302, {"Location": "https://elsewhere.example/"}, b""), "sends us to https://elsewhere.example/"),
        ((200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"), "'text/html', which is no archive"),
        ((200, {"Content-Type": "application/x-tar+zstd"}, b"<h1>Welcome</h1>"), "is damaged"),
        ((200, {"Content-Type": "application/x-tar+gzip"}, b"<h1>Welcome</h1>"), "is damaged"),
        ((200, {"Content-Type": "application/x-tar+zstd"}, b""), "ended before its end"),
    ],
)
def test_what_is_no_venvery_server(server: ArchiveServer, run: Sync, answer: tuple, said: str) -> None:
    server.answers = [answer] * 5
    with pytest.raises(ClientError, match=said) as caught:
        run()
    assert caught.value.exit_code == 3


def test_it_waits_for_a_job(server: ArchiveServer, clock: Clock) -> None:
    job = {"Location": "/v1/jobs/7"}
    server.answers = [
        (202, job, b""),
        (200, {}, b'{"state": "running"}'),
        (200, {}, b'{"state": "done"}'),
    ]
    assert read_all(clock.transport(server.url), [GZIP]) == server.environment.gzip("/tmp/x")
    assert [asked.get("path") for asked in server.asked] == [None, "/v1/jobs/7", "/v1/jobs/7", None]
    server.answers = [(202, job, b""), (200, {}, b'{"state": "failed", "detail": "no compiler"}')]
    with pytest.raises(ClientError, match="no compiler"):
        read_all(clock.transport(server.url), [GZIP])


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x", "http://", "http://x:port", "file:///etc/passwd"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        HttpTransport(url)


@pytest.fixture
def proxy() -> Iterator[ArchiveServer]:
    serving = ArchiveServer(small())
    yield serving
    serving.close()


def test_proxies(server: ArchiveServer, proxy: ArchiveServer, clock: Clock) -> None:
    through = proxy.url.replace("http://", "http://user:pass@")
    read_all(clock.transport("http://venvery.example:81", http_proxy=through), [GZIP])
    assert proxy.headers[0]["Host"] == "venvery.example:81"
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
    read_all(clock.transport(server.url, http_proxy=through, no_proxy="other,127.0.0.1"), [GZIP])
    assert len(server.asked) == 1
    assert len(proxy.asked) == 1


def test_a_certificate_that_is_not_trusted(clock: Clock, server: ArchiveServer) -> None:
    """TLS to something that speaks none fails in one sentence."""
    with pytest.raises(ClientError, match="cannot be reached") as caught:
        read_all(clock.transport(server.url.replace("http:", "https:")), [GZIP])
    assert "\n" not in str(caught.value)
