"""The server over HTTP, by the standard library: one POST, its answer as a stream.

Proxies come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`), trusted certificates from the system or
`SSL_CERT_FILE` and `SSL_CERT_DIR`, a token from `VENVERY_TOKEN`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time

from venvery.client.errors import ClientError, CutOff, UsageError
from venvery.client.http1 import Answer, HttpError, NoAnswer, connect, secured, send, tunnelled
from venvery.client.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

__all__ = ["HttpTransport"]

CONNECT_TIMEOUT = 20.0
"""Seconds."""
READ_TIMEOUT = 660.0
"""Seconds without a byte: the server may build for 600 s before it answers."""
TRIES = 5
REFUSALS = 2
"""How often a connection may be refused: nobody listens there, unless the server is just being started."""
LONGEST_PAUSE = 60.0
_AGAIN = {429, 502, 503, 504}
_MAX_PROBLEM = 4 << 20
_SETTINGS_HAVE_PROXIES = sys.platform in ("win32", "darwin")
"""Whether the system's settings may name a proxy, beside the environment variables."""
_PLAIN_URL = re.compile(r"(https?)://([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~+-]*)*)\Z")


class _Address:
    """A URL, taken apart."""

    __slots__ = ("host", "password", "path", "port", "scheme", "username")

    def __init__(self, url: str) -> None:
        """Raises `UsageError` for what is not the URL of a server."""
        plain = _PLAIN_URL.match(url)
        self.username: Optional[str] = None
        self.password: Optional[str] = None
        if plain and int(plain[3] or 0) < 65536:  # nearly always, and `urllib.parse` takes a while to load
            self.scheme, self.host, digits, self.path = plain.groups()
            self.port = int(digits) if digits else None
            return
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is not the URL of a server", hint="write it as https://host:port")
        try:
            self.port = parts.port
        except ValueError:
            raise UsageError(f"{url!r} has no usable port") from None
        self.scheme, self.host, self.path = parts.scheme, parts.hostname, parts.path
        self.username = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password or "")

    @property
    def authority(self) -> str:
        """`host`, with a port that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def login(self) -> Optional[str]:
        """What a header says of user and password; None without a user."""
        if not self.username:
            return None
        from base64 import b64encode

        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode()

    def connect(self, default: Optional[int] = None) -> socket.socket:
        """Open a connection. Raises `OSError`."""
        port = self.port or default or (443 if self.scheme == "https" else 80)
        return connect(self.host, port, CONNECT_TIMEOUT)


class _Body(Stream):
    """The body of an answer."""

    def __init__(self, answer: Answer) -> None:
        self.media_type = answer.media_type
        self.etag = answer.headers.get("etag")
        self._answer = answer

    def readinto(self, view: memoryview) -> int:
        try:
            return self._answer.readinto(view)
        except (OSError, HttpError) as error:
            raise CutOff("the connection to the server broke") from error

    def read(self, size: int) -> bytes:
        try:
            return self._answer.read(size)
        except (OSError, HttpError) as error:
            raise CutOff("the connection to the server broke") from error

    def close(self) -> None:
        self._answer.close()


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
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """`meanwhile` is called when the request is out and the answer not there yet."""
        self._address = _Address(server)
        self.server = server.rstrip("/")
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._sleep = sleep
        self._on_retry = on_retry
        self._read_timeout = read_timeout
        self._meanwhile = meanwhile

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

    def _wait_for_job(self, response: Answer, data: bytes, accept: List[str]) -> Answer:
        """Wait until the server has built what was missing, then ask again."""
        from urllib.parse import urljoin, urlsplit

        location = response.headers.get("location", "")
        response.close()
        path = urlsplit(urljoin(self._address.path or "/", location)).path
        if not path.startswith("/"):
            raise ClientError("the server wants to be asked later but does not say where")
        pause, told = 0.2, ""
        while True:
            self._sleep(pause)
            pause = min(pause * 1.5, 2.0)
            answer = self._ask("GET", path, None, ["application/json"], absolute=True)
            state = _json_of(answer)
            answer.close()
            state = state if isinstance(state, dict) else {}
            doing = f"{state.get('title') or 'the server builds what is missing'}: {_doing(state)}"
            if doing != told:
                told = doing
                self._say(doing)
            if state.get("state") in ("done", "succeeded", "finished"):
                return self._ask("POST", "/v1/environments", data, accept)
            if state.get("state") in ("failed", "cancelled"):
                raise self._job_failed(state, path)

    def _job_failed(self, state: Dict[str, Any], path: str) -> ClientError:
        """Tell of a job that failed, with the end of its log."""
        said = str(state.get("detail") or state.get("reason") or "the server could not build what was missing")
        title = state.get("title")
        problem = {"job": state.get("id")}
        try:
            answer = self._ask("GET", path + "/log", None, ["text/plain"], absolute=True)
            problem["log"] = answer.read(_MAX_PROBLEM).decode("utf-8", "replace")
            answer.close()
        except (ClientError, OSError):
            pass  # the reason is known without it
        hint = state.get("hint")
        problem["log_url"] = self.server + path[len(self._address.path.rstrip("/")) :] + "/log"
        said = f"{title}: {said}" if title else said
        return ClientError(said, hint=str(hint) if hint else None, exit_code=1, problem=problem)

    def _ask(
        self, method: str, path: str, data: Optional[bytes], accept: List[str], absolute: bool = False
    ) -> Answer:
        """Send until there is an answer that is not `come back later`. Raises `ClientError`."""
        if not absolute:
            path = self._address.path.rstrip("/") + path
        answered = False
        for attempt in range(1, TRIES + 1):
            try:
                response = self._exchange(method, path, data, accept)
                answered = True
            except (OSError, HttpError) as error:
                refused = isinstance(error, ConnectionRefusedError) and not answered
                if attempt >= (REFUSALS if refused else TRIES) or _is_final(error):
                    raise ClientError(
                        f"the server {self.server} cannot be reached: {_reason(error)}",
                        hint="check the address and whether the server is running",
                    ) from error
                self._pause(attempt, None, f"{self.server} cannot be reached ({_reason(error)})")
                continue
            if response.status in (200, 202):
                return response
            if response.status in _AGAIN and attempt < TRIES and not _says_why(response):
                after = response.headers.get("retry-after")
                response.close()
                self._pause(attempt, after, f"{self.server} answered {response.status}")
                continue
            try:
                raise self._problem(response)
            finally:
                response.close()
        raise AssertionError

    def _exchange(self, method: str, path: str, data: Optional[bytes], accept: List[str]) -> Answer:
        """Ask once. Raises `OSError`, `HttpError`."""
        connection, target, headers = self._connect(path)
        try:
            connection.settimeout(self._read_timeout)
            send(connection, method, target, {**headers, **self._headers(accept, data)}, data)
            self._meanwhile()
            answer = Answer(connection)
            answer.begin()
            return answer
        except BaseException:
            connection.close()
            raise

    def _connect(self, path: str) -> Tuple[socket.socket, str, Dict[str, str]]:
        """Make a connection; give it with the request target and what a proxy wants to be told."""
        here = self._address
        headers = {"Host": here.authority}
        secure = here.scheme == "https"
        named = None if self._bypassed(here.host) else _proxies(self._environ).get(here.scheme)
        if named is None:
            connection = here.connect()
            return secured(connection, here.host) if secure else connection, path, headers
        proxy = _Address(named if "//" in named else "http://" + named)
        login = {"Proxy-Authorization": proxy.login} if proxy.login else {}
        connection = proxy.connect(8080 if secure else None)
        if secure:
            host = f"[{here.host}]" if ":" in here.host else here.host
            try:
                tunnelled(connection, f"{host}:{here.port or 443}", login)
            except BaseException:
                connection.close()
                raise
            return secured(connection, here.host), path, headers
        if proxy.scheme == "https":
            connection = secured(connection, proxy.host)
        return connection, f"http://{here.authority}{path}", {**headers, **login}

    def _bypassed(self, host: str) -> bool:
        """Tell whether `no_proxy` names the host, or a domain that it is in."""
        named = [part.strip().lstrip(".").lower() for part in _variable(self._environ, "no_proxy").split(",")]
        full = f"{host}:{self._address.port}"
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
            headers["Prefer"] = "wait=1"  # past that we follow the job, and can tell how far it is
        token = self._environ.get("VENVERY_TOKEN")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif self._address.login:
            headers["Authorization"] = self._address.login
        return headers

    def _pause(self, attempt: int, after: Optional[str], why: str) -> None:
        import random

        seconds = float(2 ** (attempt - 1)) * (0.25 + random.random() / 4)
        if after and after.strip().isdigit():
            seconds = float(after)
        self._say(f"{why}; trying again")
        self._sleep(min(seconds, LONGEST_PAUSE))

    def _say(self, text: str) -> None:
        if self._on_retry is not None:
            self._on_retry(text)

    def _problem(self, response: Answer) -> ClientError:
        """Turn an answer that is no archive into an error (RFC 9457 where it is one)."""
        status = response.status
        document = _json_of(response)
        code = 3 if status >= 500 or status in (401, 403, 407, 429) else 1 if status in (404, 422) else 2
        if 300 <= status < 400:
            where = response.headers.get("location", "elsewhere")
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


def _doing(state: Dict[str, Any]) -> str:
    if state.get("state") == "running":
        return str(state.get("phase") or "begins")
    return str(state.get("state") or "under way")


def _is_final(error: Exception) -> bool:
    """Tell whether trying again cannot help: the certificate is wrong, or the name is not known."""
    return _is_distrust(error) or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME)


def _is_distrust(error: Exception) -> bool:
    ssl = sys.modules.get("ssl")  # where it was not loaded, nothing of it was raised
    return ssl is not None and isinstance(error, ssl.SSLCertVerificationError)


def _reason(error: Exception) -> str:
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "it does not answer"
    if _is_distrust(error):
        return f"its certificate is not trusted ({getattr(error, 'verify_message', error)})"
    if isinstance(error, NoAnswer):
        return "it closed the connection without an answer"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _says_why(response: Answer) -> bool:
    """A 502 with a problem document is the server's own word: its index failed after its own retries."""
    return response.status == 502 and response.media_type == "application/problem+json"


def _json_of(response: Answer) -> Any:
    try:
        return json.loads(response.read_all(_MAX_PROBLEM))
    except (ValueError, OSError, HttpError, RecursionError):
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
