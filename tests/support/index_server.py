"""A real HTTP/1.1 index server on 127.0.0.1: serves a world, records every request, fails on request.

with IndexServer(World([make_wheel("a", "1.0")])) as index:
    index.fault("/files/*", "status", status=503, times=2)
    ... index.url ... index.requests ...
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from tests.support.wheels import BuiltFile, normalize
from tests.support.world import Listed, Pep658, World

__all__ = ["Fault", "IndexServer", "Recorded", "Settings", "closed_port"]

FaultKind = Literal["status", "reset", "stall", "drip", "truncate", "corrupt", "garbage", "empty", "redirect"]

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"


@dataclass(slots=True)
class Settings:
    """How the index behaves when nothing goes wrong; may be changed while it runs."""

    formats: Literal["both", "html", "json"] = "both"
    pep658: Pep658 = "on"
    etags: bool = True
    last_modified: bool = True
    ranges: Literal["on", "off", "ignored", "no-suffix"] = "on"
    """off: says so, and answers 200; ignored: says nothing, answers 200; no-suffix: `bytes=-500` gets 416."""
    hashes: bool = True
    sizes: bool = True
    upload_times: bool = True
    absolute_urls: bool = False
    credentials: tuple[str, str] | None = None
    """User and password that every request must carry (Basic)."""
    cache_control: str | None = None


@dataclass(slots=True)
class Fault:
    """Something that goes wrong for paths that match a pattern (`fnmatch`)."""

    pattern: str
    kind: FaultKind
    left: int | None
    """How many more times; None: for ever."""
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after: int = 0
    """Bytes of the body that are sent before the connection ends."""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request that the index answered or began to answer."""

    method: str
    path: str
    """With its query, as it was sent."""
    headers: dict[str, str]
    """Names in lower case."""
    status: int
    """0 when the connection was reset without an answer."""
    sent: int
    """Bytes of the body that were sent."""
    connection: int
    """The number of the connection it came on."""


@dataclass(slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class IndexServer:
    """A threaded index server; starts when it is made, `close()` or the end of `with` ends it."""

    def __init__(
        self, world: World | Iterable[BuiltFile] = (), *, settings: Settings | None = None, port: int = 0
    ) -> None:
        self.world = world if isinstance(world, World) else World(world)
        self.settings = settings or Settings()
        self.errors: list[BaseException] = []
        """What went wrong in the server itself; fixtures check that it is empty."""
        self._requests: list[Recorded] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.connections = 0
        self._closing = threading.Event()
        self._http: _Server | None = None
        self.port = port
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before when it was stopped."""
        self._closing.clear()
        self._http = _Server(self, self.port)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end every connection. `start` listens again."""
        self._closing.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.end_connections()
            self._http.server_close()
            self._http = None

    def __enter__(self) -> IndexServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What `--index-url` takes."""
        return f"{self.origin}/simple/"

    def add(self, file: BuiltFile, **listing: Any) -> BuiltFile:
        """List a file or replace the one of the same name; see `World.add`."""
        return self.world.add(file, **listing)

    def remove(self, filename: str) -> None:
        """Take a file away."""
        self.world.remove(filename)

    def fault(
        self,
        pattern: str,
        kind: FaultKind,
        *,
        times: int | None = None,
        status: int = 503,
        retry_after: str | None = None,
        seconds: float = 0.0,
        after: int = 0,
        location: str = "",
    ) -> Fault:
        """Let requests fail whose path matches.

        status: answer that status. reset: end the connection hard, before any answer. stall: wait
        `seconds`, then answer properly. drip: send the body in single bytes, spread over `seconds`.
        truncate: promise the full length, end after `after` bytes. corrupt: turn over bits in the middle of
        the body. garbage: an HTML page that has nothing to do with it, status 200. empty: 200 and no body.
        redirect: 302 to `location`. `times=None` is for ever.
        """
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        fault = Fault(pattern, kind, times, status, headers, seconds, after, location)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every request so far."""
        with self._lock:
            return tuple(self._requests)

    def asked(self, pattern: str = "*", method: str = "*") -> tuple[Recorded, ...]:
        """Give the requests whose path matches."""
        return tuple(r for r in self.requests if fnmatchcase(r.path, pattern) and fnmatchcase(r.method, method))

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._requests.clear()

    def _record(self, request: Recorded) -> None:
        with self._lock:
            self._requests.append(request)

    def _fault_for(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.left != 0 and fnmatchcase(path, fault.pattern):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def _wait(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _answer(self, path: str, headers: dict[str, str]) -> _Answer:
        """Answer without faults."""
        settings = self.settings
        if settings.credentials is not None:
            token = base64.b64encode(":".join(settings.credentials).encode()).decode()
            if headers.get("authorization") != f"Basic {token}":
                return _Answer(401, {"WWW-Authenticate": 'Basic realm="index"'}, b"who are you?\n")
        clean = unquote(urlsplit(path).path)
        if clean == "/simple/":
            return self._page(None, headers)
        if match := re.fullmatch(r"/simple/([^/]+)(/?)", clean):
            normal = normalize(match[1])
            if normal not in self.world.projects:
                return _Answer(404, {}, b"not found\n")
            if normal != match[1] or not match[2]:
                return _Answer(301, {"Location": f"/simple/{normal}/"}, b"")
            return self._page(normal, headers)
        if match := re.fullmatch(r"/files/([^/]+)", clean):
            return self._file(match[1], headers)
        return _Answer(404, {}, b"not found\n")

    def _page(self, project: str | None, headers: dict[str, str]) -> _Answer:
        settings = self.settings
        as_json = settings.formats == "json" or (
            settings.formats == "both" and _prefers_json(headers.get("accept", "*/*"))
        )
        base = f"{self.origin}/files/" if settings.absolute_urls else "../../files/"
        if as_json:
            page = (
                self.world.root_json()
                if project is None
                else self.world.project_json(
                    project,
                    base=base,
                    pep658=settings.pep658,
                    hashes=settings.hashes,
                    sizes=settings.sizes,
                    upload_times=settings.upload_times,
                )
            )
            body, kind = json.dumps(page).encode(), JSON_TYPE
        else:
            text = (
                self.world.root_html()
                if project is None
                else self.world.project_html(project, base=base, pep658=settings.pep658, hashes=settings.hashes)
            )
            body = text.encode()
            kind = HTML_TYPE if HTML_TYPE in headers.get("accept", "") else "text/html; charset=utf-8"
        answer = _Answer(200, {"Content-Type": kind, "Vary": "Accept"}, body)
        self._validate(answer, headers, email.utils.format_datetime(self.world.modified(project), usegmt=True))
        return answer

    def _validate(self, answer: _Answer, headers: dict[str, str], modified: str) -> None:
        """Add validators, and turn the answer into a 304 where the client has it already (RFC 9110, 13.1)."""
        settings = self.settings
        etag = '"' + hashlib.sha256(answer.body).hexdigest()[:24] + '"'
        if settings.cache_control is not None:
            answer.headers["Cache-Control"] = settings.cache_control
        if settings.etags:
            answer.headers["ETag"] = etag
        if settings.last_modified:
            answer.headers["Last-Modified"] = modified
        if "if-none-match" in headers:
            same = settings.etags and etag in headers["if-none-match"]
        else:
            same = settings.last_modified and headers.get("if-modified-since") == modified
        if same:
            answer.status, answer.body = 304, b""
            answer.headers.pop("Content-Type", None)

    def _file(self, name: str, headers: dict[str, str]) -> _Answer:
        listed = self.world.file(name)
        if listed is None and name.endswith(".metadata"):
            wheel = self.world.file(name.removesuffix(".metadata"))
            if wheel is None or self.settings.pep658 == "off":
                return _Answer(404, {}, b"not found\n")
            return self._bytes(wheel, wheel.file.metadata, headers)
        if listed is None:
            return _Answer(404, {}, b"not found\n")
        return self._bytes(listed, listed.file.data, headers)

    def _bytes(self, listed: Listed, body: bytes, headers: dict[str, str]) -> _Answer:
        answer = _Answer(200, {"Content-Type": "application/octet-stream"}, body)
        modified = email.utils.format_datetime(listed.upload_time, usegmt=True)
        self._validate(answer, headers, modified)
        mode = self.settings.ranges
        if answer.status != 200 or mode == "ignored":
            return answer
        answer.headers["Accept-Ranges"] = "none" if mode == "off" else "bytes"
        if mode == "off" or "range" not in headers:
            return answer
        return _part(answer, headers["range"], suffixes=mode != "no-suffix")


def _prefers_json(accept: str) -> bool:
    """Decide by quality values; HTML wins a draw, as an old client names no quality."""
    weights = {"json": 0.0, "html": 0.0}
    for part in accept.split(","):
        kind, _, parameters = part.strip().partition(";")
        match = re.search(r"q=([0-9.]+)", parameters)
        weight = float(match[1]) if match else 1.0
        if kind.strip() in (JSON_TYPE, "application/vnd.pypi.simple.latest+json"):
            weights["json"] = max(weights["json"], weight)
        elif kind.strip() in (HTML_TYPE, "application/vnd.pypi.simple.latest+html", "text/html", "*/*"):
            weights["html"] = max(weights["html"], weight)
    return weights["json"] > weights["html"] or (
        weights["json"] == weights["html"] and accept.startswith(JSON_TYPE)
    )


def _part(answer: _Answer, wanted: str, *, suffixes: bool) -> _Answer:
    """Cut one range out of the body (RFC 9110, 14); several ranges get the whole."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted.strip())
    if match is None or (not match[1] and not match[2]):
        return answer
    total = len(answer.body)
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) if match[2] else total - 1, total - 1)
    else:
        start, end = max(0, total - int(match[2])), total - 1
    if start > end or (not match[1] and not suffixes):
        return _Answer(416, {"Content-Range": f"bytes */{total}"}, b"")
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{end}/{total}"}
    return _Answer(206, headers, answer.body[start : end + 1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, index: IndexServer, port: int) -> None:
        self.index = index
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.index.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        with self.server.index._lock:
            self.server.index.connections += 1
            self.number = self.server.index.connections

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: what was asked stands in `requests`."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve()

    def _serve(self) -> None:
        index = self.server.index
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = index._fault_for(urlsplit(self.path).path)
        if fault is not None and fault.kind == "reset":
            self._note(headers, 0, 0)
            self._reset()
            return
        if self.command not in ("GET", "HEAD"):
            answer = _Answer(405, {"Allow": "GET, HEAD"}, b"")
        else:
            answer = _spoil(index._answer(self.path, headers), fault)
        body = b"" if self.command == "HEAD" or answer.status == 304 else answer.body
        cut = len(body)
        if fault is not None and fault.kind == "truncate":
            cut = min(fault.after, max(0, len(body) - 1))
        self._note(headers, answer.status, cut)
        if fault is not None and fault.kind == "stall":
            index._wait(fault.seconds)
        self._send(answer, body[:cut], fault)
        if cut < len(body):
            self.wfile.flush()
            self.close_connection = True

    def _send(self, answer: _Answer, body: bytes, fault: Fault | None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if fault is not None and fault.kind == "drip":
            for byte in body:
                self.server.index._wait(fault.seconds / max(1, len(body)))
                self.wfile.write(bytes([byte]))
            return
        self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _note(self, headers: dict[str, str], status: int, sent: int) -> None:
        self.server.index._record(Recorded(self.command, self.path, headers, status, sent, self.number))


def _spoil(answer: _Answer, fault: Fault | None) -> _Answer:
    if fault is None:
        return answer
    if fault.kind == "status":
        return _Answer(fault.status, dict(fault.headers), b"something is wrong here\n")
    if fault.kind == "garbage":
        page = b"<html><body><h1>Welcome to Hotel Wi-Fi</h1><p>Please log in.</p></body></html>\n"
        return _Answer(200, {"Content-Type": "text/html; charset=utf-8"}, page)
    if fault.kind == "empty":
        return _Answer(200, {k: v for k, v in answer.headers.items() if k == "Content-Type"}, b"")
    if fault.kind == "redirect":
        return _Answer(302, {"Location": fault.location}, b"")
    if fault.kind == "corrupt" and answer.body:
        body = bytearray(answer.body)
        for offset in range(len(body) // 2, min(len(body), len(body) // 2 + 8)):
            body[offset] ^= 0xFF
        return _Answer(answer.status, answer.headers, bytes(body))
    return answer


def closed_port() -> int:
    """Give a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
