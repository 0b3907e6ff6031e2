"""Single HTTP transfers, carried out by libcurl on the event loop: one request, one answer, no second attempt.

libcurl speaks HTTP/1.1 and HTTP/2, keeps connections, decompresses, and does TLS; all of that in C, for page
after page of an index is read as fast as this machine can (decision 10). What to ask again, where to follow, and
whom to give a password is the business of `network`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pycurl

from venvery import __version__
from venvery.catalog.broken import Broken
from venvery.errors import BadConfiguration, SourceFailed, SourceGarbage, SourceUnreachable
from venvery.model.sources import NetworkSettings, redact

__all__ = ["Transfer", "Transfers"]

_MOST_AHEAD = 4 * 1024 * 1024
"""Bytes that may have come in before somebody takes them; then the sender has to wait."""


class Transfer:
    """One request under way. Must be closed."""

    def __init__(self, multi: pycurl.AsyncCurlMulti, curl: pycurl.Curl, url: str, quiet: float) -> None:
        self.url = url
        self.headers: Mapping[str, str] = {}
        """Names in lower case; there once `status` is."""
        self.status = 0
        """0 until the answer begins."""
        self.redirect: str | None = None
        """Where the answer says to look instead, absolute."""
        self.checked_length = True
        """False when nothing in the transfer would show that the end is missing."""
        self._multi = multi
        self._curl = curl
        self._quiet = quiet
        self._lines: list[bytes] = []
        self._pieces: list[bytes] = []
        self._size = 0
        """Bytes in `_pieces`."""
        self._limit: int | None = None
        """Where it is read as a whole: the bytes that it may have."""
        self._paused = False
        self._too_large = False
        self._failure: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._news: asyncio.Future[None] | None = None
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._take)
        self._done = multi.add_handle(curl)
        self._done.add_done_callback(self._end)
        self._watch = self._loop.call_later(quiet, self._look)

    async def begin(self) -> None:
        """Wait until the answer begins. Raises `Broken` or `SourceFailed`."""
        await self._begun
        if self._failure is not None and not self._lines:
            raise self._failure
        self._read_head()

    async def read(self, limit: int) -> bytes:
        """Give the whole body. Raises `Broken`, `SourceFailed`, and `SourceGarbage` beyond `limit` bytes."""
        self._limit = limit
        self._resume()
        await asyncio.wait([self._done])
        if self._too_large or self._size > limit:
            url = redact(self.url)
            raise SourceGarbage(f"{url}: the answer is larger than {limit} bytes", url=url)
        if self._failure is not None:
            raise self._failure
        return b"".join(self._pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes. Raises `Broken` or `SourceFailed`."""
        while True:
            pieces, self._pieces, self._size = self._pieces, [], 0
            for piece in pieces:
                yield piece
            self._resume()
            if self._pieces:
                continue
            if self._done.done():
                if self._failure is not None:
                    raise self._failure
                return
            self._news = self._loop.create_future()
            await self._news

    def close(self) -> None:
        """Break off what is not done; nothing else may be done with the transfer then."""
        self._watch.cancel()
        if not self._done.done():
            self._multi.remove_handle(self._curl)
        self._curl.close()

    # called back

    def _take_header(self, line: bytes) -> None:
        self._heard = self._loop.time()
        if line.startswith(b"HTTP/"):  # another answer: to 1xx, or of a proxy
            self._lines = []
        self._lines.append(line)

    def _take(self, piece: bytes) -> int | None:
        self._heard = self._loop.time()
        if self._limit is None and self._size > _MOST_AHEAD:
            self._paused = True
            return pycurl.WRITEFUNC_PAUSE
        if self._limit is not None and self._size > self._limit:
            self._too_large = True
            return 0  # fewer bytes than were given: the transfer ends
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return None

    def _end(self, done: asyncio.Future[pycurl.Curl]) -> None:
        self._watch.cancel()
        if self._failure is None and not done.cancelled() and (error := done.exception()) is not None:
            self._failure = _failure(self.url, *error.args[:2])
        self._wake()

    def _look(self) -> None:
        """End a transfer of which nothing was heard for too long. Waiting for a connection is not counted."""
        silent = self._loop.time() - self._heard
        if self._paused or not self._curl.getinfo(pycurl.PRETRANSFER_TIME):
            silent = 0.0
            self._heard = self._loop.time()
        if silent < self._quiet:
            self._watch = self._loop.call_later(self._quiet - silent, self._look)
        else:
            self._failure = Broken(f"no answer in time ({self._quiet:g} s without a byte)", attempts=2)
            self._multi.remove_handle(self._curl)

    def _wake(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _resume(self) -> None:
        if self._paused and not self._done.done():
            self._paused = False
            self._heard = self._loop.time()
            self._curl.unpause()

    def _read_head(self) -> None:
        headers: dict[str, str] = {}
        for line in self._lines[1:]:
            name, colon, value = line.decode("iso-8859-1").partition(":")
            if colon:
                name, value = name.strip().lower(), value.strip()
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.headers = headers
        self.status = self._curl.getinfo(pycurl.RESPONSE_CODE)
        self.redirect = self._curl.getinfo(pycurl.REDIRECT_URL)
        self.checked_length = (
            self._curl.getinfo(pycurl.INFO_HTTP_VERSION) > pycurl.CURL_HTTP_VERSION_1_1
            or "content-length" in headers
            or "chunked" in headers.get("transfer-encoding", "")
        )


class Transfers:
    """Makes transfers that share connections. Belongs to one event loop."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._authorities = _authorities(settings)
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, settings.max_connections)

    async def open(
        self, method: str, url: str, headers: Mapping[str, str], credentials: tuple[str, str] | None
    ) -> Transfer:
        """Send a request and wait until the answer begins. Raises `Broken` or `SourceFailed`."""
        try:
            curl = self._curl(method, url, headers)
            if credentials is not None:
                curl.setopt(pycurl.USERNAME, credentials[0].encode())
                curl.setopt(pycurl.PASSWORD, credentials[1].encode())
        except (pycurl.error, ValueError) as error:  # such as a NUL in an address
            raise SourceUnreachable(f"{redact(url)}: {error}", url=redact(url)) from error
        transfer = Transfer(self._multi, curl, url, self._settings.read_timeout)
        try:
            await transfer.begin()
        except BaseException:
            transfer.close()
            raise
        return transfer

    async def close(self) -> None:
        """Break off what is under way, and close all connections."""
        await self._multi.aclose()

    def _curl(self, method: str, url: str, headers: Mapping[str, str]) -> pycurl.Curl:
        curl, settings = pycurl.Curl(), self._settings
        curl.setopt(pycurl.URL, url.encode())
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.USERAGENT, f"venvery/{__version__}")
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".encode() for name, value in headers.items()])
        if "Accept-Encoding" not in headers:
            curl.setopt(pycurl.ACCEPT_ENCODING, "")  # all that libcurl can undo
        if method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.PIPEWAIT, 1)  # rather share a connection than open another
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(1000 * settings.connect_timeout))
        self._set_proxy(curl, url)
        if url.startswith("https:"):
            self._set_trust(curl, url)
        return curl

    def _set_proxy(self, curl: pycurl.Curl, url: str) -> None:
        """Set the proxy. Else libcurl finds one in the environment, but for HTTP only in lower case."""
        if self._settings.proxy is not None:
            curl.setopt(pycurl.PROXY, self._settings.proxy.encode())
            curl.setopt(pycurl.NOPROXY, "")
        elif url.startswith("http:") and "http_proxy" not in os.environ and os.environ.get("HTTP_PROXY"):
            curl.setopt(pycurl.PROXY, os.environ["HTTP_PROXY"].encode())

    def _set_trust(self, curl: pycurl.Curl, url: str) -> None:
        parts = urlsplit(url)
        if {parts.hostname, parts.netloc.rpartition("@")[2]} & {*self._settings.trusted_hosts}:
            curl.setopt(pycurl.SSL_VERIFYPEER, 0)
            curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        elif self._authorities is not None:
            curl.setopt(pycurl.CAINFO, self._authorities.encode())
        elif sys.platform in ("win32", "darwin"):
            curl.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
        if self._settings.client_certificate is not None:
            curl.setopt(pycurl.SSLCERT, self._settings.client_certificate.encode())


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its relatives
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # BSDs
)


def _authorities(settings: NetworkSettings) -> str | None:
    """Find the bundle of authorities to trust; None leaves it to the platform."""
    stated = settings.ca_file or os.environ.get("SSL_CERT_FILE")
    if stated or sys.platform in ("win32", "darwin"):
        return stated or None
    return next((path for path in _BUNDLES if Path(path).is_file()), None)


_E_HTTP2_STREAM, _E_PROXY = 92, 97
"""`CURLE_HTTP2_STREAM` and `CURLE_PROXY`, for which pycurl has no names."""
_CONNECTING = frozenset(
    {pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY,
     pycurl.E_SSL_CONNECT_ERROR, _E_PROXY}
)  # fmt: skip
_BREAKING = frozenset(
    {pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR, pycurl.E_GOT_NOTHING, pycurl.E_HTTP2, _E_HTTP2_STREAM,
     pycurl.E_FTP_WEIRD_SERVER_REPLY}
)  # fmt: skip
_FILES = frozenset({pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_CERTPROBLEM})


def _failure(url: str, code: int, said: str) -> Broken | SourceFailed | BadConfiguration:
    """Sort what libcurl reports into what passes and what does not."""
    shown, said = redact(url), redact(said) or f"error {code} of libcurl"
    if code in _FILES:
        return BadConfiguration(f"a certificate file cannot be used: {said}")
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return SourceUnreachable(
            f"{shown}: its certificate is not trusted ({said})",
            hint="name the authority's certificates with SSL_CERT_FILE, or the host as a trusted host",
            url=shown,
        )
    if code in _CONNECTING:
        return Broken(f"cannot connect ({said})", attempts=3)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Broken(f"no answer in time ({said})", attempts=2)
    if code == pycurl.E_PARTIAL_FILE:
        return Broken("the answer is cut off", cut=True)
    if code in _BREAKING:
        return Broken(f"the connection broke ({said})")
    if code == pycurl.E_BAD_CONTENT_ENCODING:
        return SourceGarbage(f"{shown}: its answer cannot be decompressed", url=shown)
    return SourceUnreachable(f"{shown}: {said}", url=shown)
