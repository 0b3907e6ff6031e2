"""The server over HTTP, by the standard library: one POST, its answer as a stream.

Proxies come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`), trusted certificates from the system or
`SSL_CERT_FILE` and `SSL_CERT_DIR`, a token from `VENVERY_TOKEN`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import ssl
import sys
import time
import urllib.parse
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from venvery.client.archive import Stream
from venvery.client.errors import ClientError, CutOff, UsageError

__all__ = ["HttpTransport"]

CONNECT_TIMEOUT = 20.0
"""Seconds."""
READ_TIMEOUT = 660.0
"""Seconds without a byte: the server may build for 600 s before it answers."""
TRIES = 5
LONGEST_PAUSE = 60.0
_AGAIN = {429, 502, 503, 504}
_MAX_PROBLEM = 4 << 20
_SETTINGS_HAVE_PROXIES = sys.platform in ("win32", "darwin")
"""Whether the system's settings may name a proxy, beside the environment variables."""


class _Body(Stream):
    """The body of an answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.media_type = (response.headers.get_content_type() or "").lower()
        self.etag = response.headers.get("ETag")
        self._response = response
        length = response.headers.get("Content-Length", "")
        self._left: Optional[int] = int(length) if length.isdigit() else None

    def read(self, size: int) -> bytes:
        try:
            data = self._response.read1(size)
        except (OSError, http.client.HTTPException) as error:
            raise CutOff("the connection to the server broke") from error
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0:
                raise CutOff("the connection to the server broke")
        return data

    def close(self) -> None:
        self._response.close()


class HttpTransport:
    """Asks one server. An instance is an `open_archive` for `sync`."""

    def __init__(
        self,
        server: str,
        *,
        environ: Optional[Mapping[str, str]] = None,
        sleep: Callable[[float], None] = time.sleep,
        on_retry: Optional[Callable[[str], None]] = None,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        parts = urllib.parse.urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{server!r} is not the URL of a server", hint="write it as https://host:port")
        try:
            self._port = parts.port
        except ValueError:
            raise UsageError(f"{server!r} has no usable port") from None
        self.server = server.rstrip("/")
        self._parts = parts
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._sleep = sleep
        self._on_retry = on_retry
        self._read_timeout = read_timeout

    def __call__(self, body: Dict[str, Any], accept: List[str]) -> Stream:
        """POST the request; give the archive as a stream. Raises `ClientError`."""
        data = json.dumps(body).encode()
        response = self._ask("POST", "/v1/environments", data, accept)
        while response.status == 202:
            response = self._wait_for_job(response, data, accept)
        return _Body(response)

    def post(self, path: str, body: Dict[str, Any], accept: str) -> bytes:
        """POST to another route; give the whole answer. Raises `ClientError`."""
        answer = _Body(self._ask("POST", path, json.dumps(body).encode(), [accept]))
        try:
            return b"".join(iter(lambda: answer.read(1 << 16), b""))
        finally:
            answer.close()

    def _wait_for_job(
        self, response: http.client.HTTPResponse, data: bytes, accept: List[str]
    ) -> http.client.HTTPResponse:
        """Wait until the server has built what was missing, then ask again."""
        location = response.headers.get("Location", "")
        response.close()
        path = urllib.parse.urlsplit(urllib.parse.urljoin(self._parts.path or "/", location)).path
        if not path.startswith("/"):
            raise ClientError("the server wants to be asked later but does not say where")
        self._say("the server builds what is missing; waiting")
        pause = 1.0
        while True:
            self._sleep(pause)
            pause = min(pause * 1.5, 10.0)
            answer = self._ask("GET", path, None, ["application/json"], absolute=True)
            state = _json_of(answer)
            answer.close()
            name = state.get("state") if isinstance(state, dict) else None
            if name in ("done", "succeeded", "finished"):
                return self._ask("POST", "/v1/environments", data, accept)
            if name in ("failed", "cancelled"):
                raise ClientError(str(state.get("detail") or "the server could not build what was missing"))

    def _ask(
        self, method: str, path: str, data: Optional[bytes], accept: List[str], absolute: bool = False
    ) -> http.client.HTTPResponse:
        """Send until there is an answer that is not `come back later`. Raises `ClientError`."""
        if not absolute:
            path = self._parts.path.rstrip("/") + path
        for attempt in range(1, TRIES + 1):
            try:
                connection, target, headers = self._connect(path)
                headers.update(self._headers(accept, data))
                response = _send(connection, method, target, data, headers, self._read_timeout)
            except (OSError, http.client.HTTPException) as error:
                if attempt == TRIES or _is_final(error):
                    raise ClientError(
                        f"the server {self.server} cannot be reached: {_reason(error)}",
                        hint="check the address and whether the server is running",
                    ) from error
                self._pause(attempt, None, f"{self.server} cannot be reached ({_reason(error)})")
                continue
            if response.status in (200, 202):
                return response
            if response.status in _AGAIN and attempt < TRIES and not _says_why(response):
                after = response.headers.get("Retry-After")
                response.close()
                self._pause(attempt, after, f"{self.server} answered {response.status}")
                continue
            try:
                raise self._problem(response)
            finally:
                response.close()
        raise AssertionError

    def _connect(self, path: str) -> Tuple[http.client.HTTPConnection, str, Dict[str, str]]:
        """Make a connection; give it with the request target and what a proxy wants to be told."""
        parts = self._parts
        host = parts.hostname or ""
        proxy = None if self._bypassed(host) else _proxies(self._environ).get(parts.scheme)
        secure = parts.scheme == "https"
        if proxy is None:
            return _connection(secure, host, self._port), path, {}
        via = urllib.parse.urlsplit(proxy if "//" in proxy else "http://" + proxy)
        login: Dict[str, str] = {}
        if via.username:
            secret = f"{urllib.parse.unquote(via.username)}:{urllib.parse.unquote(via.password or '')}"
            login["Proxy-Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        if secure:
            tunnel = _connection(True, via.hostname or "", via.port or 8080)
            tunnel.set_tunnel(host, self._port or 443, login)
            return tunnel, path, {}
        port = f":{self._port}" if self._port else ""
        shown = f"[{host}]" if ":" in host else host
        return (
            _connection(via.scheme == "https", via.hostname or "", via.port),
            f"http://{shown}{port}{path}",
            login,
        )

    def _bypassed(self, host: str) -> bool:
        """Tell whether `no_proxy` names the host, or a domain that it is in."""
        named = [part.strip().lstrip(".").lower() for part in _variable(self._environ, "no_proxy").split(",")]
        full = f"{host}:{self._port}"
        return any(
            part == "*" or part in (host, full) or host.lower().endswith("." + part) for part in named if part
        )

    def _headers(self, accept: List[str], data: Optional[bytes]) -> Dict[str, str]:
        headers = {
            "Accept": ", ".join(f"{kind};q={1 - n / 10:.1f}" if n else kind for n, kind in enumerate(accept)),
            "User-Agent": "venvery-client",
            "Connection": "close",
        }
        if data is not None:
            headers["Content-Type"] = "application/json"
        token = self._environ.get("VENVERY_TOKEN")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif self._parts.username:
            secret = "{}:{}".format(
                urllib.parse.unquote(self._parts.username), urllib.parse.unquote(self._parts.password or "")
            )
            headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        return headers

    def _pause(self, attempt: int, after: Optional[str], why: str) -> None:
        seconds = float(2 ** (attempt - 1)) * (0.25 + random.random() / 4)
        if after and after.strip().isdigit():
            seconds = float(after)
        self._say(f"{why}; trying again")
        self._sleep(min(seconds, LONGEST_PAUSE))

    def _say(self, text: str) -> None:
        if self._on_retry is not None:
            self._on_retry(text)

    def _problem(self, response: http.client.HTTPResponse) -> ClientError:
        """Turn an answer that is no archive into an error (RFC 9457 where it is one)."""
        status = response.status
        document = _json_of(response)
        code = 3 if status >= 500 or status in (401, 403, 407, 429) else 1 if status in (404, 422) else 2
        if 300 <= status < 400:
            where = response.headers.get("Location", "elsewhere")
            return ClientError(f"the server {self.server} sends us to {where}", hint="name that server directly")
        if not isinstance(document, dict) or not (document.get("detail") or document.get("title")):
            return ClientError(
                f"the server {self.server} answered {status} {response.reason}".rstrip(),
                hint="is this the address of a venvery server?" if status in (404, 405) else None,
                status=status,
                exit_code=3,
            )
        detail = str(document.get("detail") or document.get("title"))
        hint = document.get("hint")
        return ClientError(
            detail,
            hint=str(hint) if hint else None,
            exit_code=code,
            status=status,
            type=str(document.get("type") or "about:blank"),
            detail=detail,
            problem=document,
        )


def _connection(secure: bool, host: str, port: Optional[int]) -> http.client.HTTPConnection:
    if secure:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=context)
    return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    data: Optional[bytes],
    headers: Dict[str, str],
    read_timeout: float,
) -> http.client.HTTPResponse:
    try:
        connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(read_timeout)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request(method, target, body=data, headers=headers)
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _is_final(error: Exception) -> bool:
    """Tell whether trying again cannot help: the certificate is wrong, or the name is not known."""
    return isinstance(error, (ssl.SSLCertVerificationError, http.client.InvalidURL)) or (
        isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
    )


def _reason(error: Exception) -> str:
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "it does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _says_why(response: http.client.HTTPResponse) -> bool:
    """A 502 with a problem document is the server's own word: its index failed after its own retries."""
    return response.status == 502 and response.headers.get_content_type() == "application/problem+json"


def _json_of(response: http.client.HTTPResponse) -> Any:
    try:
        return json.loads(response.read(_MAX_PROBLEM))
    except (ValueError, OSError, http.client.HTTPException, RecursionError):
        return None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _proxies(environ: Mapping[str, str]) -> Dict[str, str]:
    if environ is os.environ and (
        _SETTINGS_HAVE_PROXIES or any(name.lower().endswith("_proxy") for name in environ)
    ):
        import urllib.request

        return urllib.request.getproxies()
    found = {scheme: _variable(environ, scheme + "_proxy") for scheme in ("http", "https")}
    return {scheme: url for scheme, url in found.items() if url}
