"""A small HTTP server that sends archives and can fail in chosen ways."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.client.archives import Environment

Answer = tuple[int, dict[str, str], bytes]


class ArchiveServer:
    """Serves one environment at `POST /v1/environments`; what it was asked is in `asked`."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[Answer] = []
        """Given instead of the archive, one for each request, as long as there are some."""
        self.cuts: list[int] = []
        """For each request: after how many bytes the connection is dropped."""
        self.encoding: str | None = None
        self.pace: Callable[[], None] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _archive(self, body: dict[str, Any], accept: str) -> Answer:
        kind = self.encoding or ("zstd" if "zstd" in accept else "gzip")
        make = {"zstd": self.environment.zstd, "gzip": self.environment.gzip, "tar": self.environment.tar}[kind]
        data = make(body["prefix"], body.get("have", ()))
        media_type = "application/x-tar" if kind == "tar" else f"application/x-tar+{kind}"
        return 200, {"Content-Type": media_type}, data

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.headers.append(dict(self.headers.items()))
                if outer.answers:
                    status, headers, data = outer.answers.pop(0)
                else:
                    status, headers, data = outer._archive(body, self.headers["Accept"])
                self._answer(status, headers, data)

            def do_GET(self) -> None:
                outer.asked.append({"path": self.path})
                status, headers, data = outer.answers.pop(0)
                self._answer(status, headers, data)

            def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                cut = outer.cuts.pop(0) if outer.cuts else len(data)
                try:
                    for at in range(0, cut, 1 << 16):
                        self.wfile.write(data[at : min(cut, at + (1 << 16))])
                        if outer.pace is not None:
                            outer.pace()
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
