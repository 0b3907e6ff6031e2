"""TLS, proxies, and what is said of them when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.opened import listing, of
from tests.conftest import ServeIndex
from tests.support.wheels import make_wheel
from venvery.catalog.network import Network
from venvery.errors import BadConfiguration, SourceGarbage, SourceUnreachable
from venvery.model.sources import NetworkSettings, SourceSpec

CERTIFICATE = Path(__file__).with_name("tls_server.pem")
"""A self-signed certificate for 127.0.0.1 with its key, valid until 2119; it protects nothing."""

PAGE = b'<!DOCTYPE html><html><body><a href="a-1.0-py3-none-any.whl">a</a></body></html>'


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that does not trust us hangs up."""


@contextlib.contextmanager
def serving(handler: type[_Page]) -> Iterator[str]:
    """Serve over plain HTTP; gives the origin."""
    with _Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def secure() -> Iterator[SourceSpec]:
    """Serve one page over HTTPS, with a certificate that nobody has reason to trust."""
    server = _Quiet(("127.0.0.1", 0), _Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield SourceSpec("secure", "index", f"https://127.0.0.1:{server.server_address[1]}/simple")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_is_not_trusted_is_said_to_be(data_dir: Path, secure: SourceSpec) -> None:
    with pytest.raises(SourceUnreachable, match="certificate is not trusted") as caught:
        listing(data_dir, [secure], "a")
    assert caught.value.hint is not None and "SSL_CERT_FILE" in caught.value.hint


@pytest.mark.parametrize("how", ["ca_file", "trusted host", "trusted host and port", "SSL_CERT_FILE"])
def test_trust_can_be_given(data_dir: Path, secure: SourceSpec, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = NetworkSettings(retries=0)
    if how == "ca_file":
        settings = NetworkSettings(ca_file=str(CERTIFICATE), retries=0)
    elif how == "trusted host":
        settings = NetworkSettings(trusted_hosts=("127.0.0.1",), retries=0)
    elif how == "trusted host and port":
        settings = NetworkSettings(trusted_hosts=(secure.location.split("/")[2],), retries=0)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert listing(data_dir, [secure], "a", network=settings).known


@pytest.mark.parametrize("field", ["ca_file", "client_certificate"])
def test_a_certificate_file_that_cannot_be_read_is_a_wrong_setting(
    data_dir: Path, tmp_path: Path, secure: SourceSpec, field: str
) -> None:
    for path in (tmp_path / "nowhere.pem", Path(__file__)):
        with pytest.raises(BadConfiguration, match="certificate file"):
            listing(data_dir, [secure], "a", network=NetworkSettings(**{field: str(path)}))


def test_a_proxy_is_used(data_dir: Path, serve_index: ServeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index, proxy = serve_index([make_wheel("a", "1.0")]), serve_index()
    assert not listing(data_dir, [of(index)], "a", network=NetworkSettings(proxy=proxy.origin)).known
    assert index.requests == ()
    assert [request.path for request in proxy.requests] == [f"{index.url}a/"]
    monkeypatch.setenv("http_proxy", proxy.origin)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    listing(data_dir, [of(index)], "b")
    assert index.requests == () and len(proxy.requests) == 2


def test_who_asks_is_said(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index()
    listing(data_dir, [of(server)], "a")
    assert server.requests[0].headers["user-agent"].startswith("venvery/")


def test_a_redirect_in_circles_ends(data_dir: Path, serve_index: ServeIndex) -> None:
    index = serve_index([make_wheel("a", "1.0")])
    index.fault("/simple/a/", "redirect", location=f"{index.url}a/")
    with pytest.raises(SourceGarbage, match="redirects in circles"):
        listing(data_dir, [of(index)], "a")
    assert len(index.requests) == 11


@pytest.mark.parametrize("body", [gzip.compress(PAGE, mtime=0), b"not gzip at all"])
def test_what_comes_compressed_is_read(data_dir: Path, body: bytes) -> None:
    class Compressed(_Page):
        def do_GET(self) -> None:
            assert "gzip" in self.headers["Accept-Encoding"]
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Compressed) as origin:
        source = SourceSpec("packed", "index", f"{origin}/simple")
        if body.startswith(b"not"):
            with pytest.raises(SourceGarbage, match="cannot be decompressed"):
                listing(data_dir, [source], "a")
        else:
            assert [file.filename for file in listing(data_dir, [source], "a").files] == ["a-1.0-py3-none-any.whl"]


def test_a_sender_waits_for_whoever_takes_the_bytes() -> None:
    total, sent = 64, 0

    class Large(_Page):
        def do_GET(self) -> None:
            nonlocal sent
            self.send_response(200)
            self.send_header("Content-Length", str(total << 20))
            self.end_headers()
            for _ in range(total):
                self.wfile.write(bytes(1 << 20))
                sent += 1 << 20

    async def take(origin: str) -> int:
        taken = 0
        async with Network(NetworkSettings()) as network, network.open(f"{origin}/large") as answer:
            async for piece in answer.pieces():
                taken += len(piece)
                await asyncio.sleep(0.001 if taken < 1 << 20 else 0)
                assert sent - taken < 32 << 20, "all of it would be held in memory"
        return taken

    with serving(Large) as origin:
        assert asyncio.run(take(origin)) == total << 20


def test_a_whole_answer_has_a_limit() -> None:
    async def read(origin: str, limit: int) -> bytes:
        async with Network(NetworkSettings()) as network:
            return (await network.get(f"{origin}/", limit=limit)).body

    with serving(_Page) as origin:
        assert asyncio.run(read(origin, len(PAGE))) == PAGE
        with pytest.raises(SourceGarbage, match="larger than"):
            asyncio.run(read(origin, len(PAGE) - 1))
