"""Serves a folder of wheels as an index on loopback, so that all contestants fetch over the same network.

    python benchmarks/mirror.py FOLDER PORT

The simple API as HTML with hashes (PEP 503) and with core metadata beside each wheel (PEP 658, PEP 714).
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import zipfile
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["pages_of"]


def pages_of(folder: Path) -> dict[str, bytes]:
    """Make the project pages for the wheels of a folder, and write each one's metadata beside it."""
    links: dict[str, list[str]] = {}
    for wheel in sorted(folder.glob("*.whl")):
        metadata = wheel.with_name(wheel.name + ".metadata")
        if not metadata.exists():
            metadata.write_bytes(_metadata_of(wheel))
        digest, about = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, metadata))
        project = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        attributes = f'data-dist-info-metadata="sha256={about}" data-core-metadata="sha256={about}"'
        link = f'<a href="/files/{escape(wheel.name)}#sha256={digest}" {attributes}>{escape(wheel.name)}</a><br>'
        links.setdefault(project, []).append(link)
    return {
        project: f"<!doctype html><html><body>{''.join(lines)}</body></html>".encode()
        for project, lines in links.items()
    }


def _metadata_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        return archive.read(name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    pages: dict[str, bytes]

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple" and name in self.pages:
            self._send(200, "text/html", len(self.pages[name]), "max-age=600")
            self.wfile.write(self.pages[name])
            return
        path = self.folder / Path(name).name
        if kind != "files" or not path.is_file():
            self._send(404, "text/plain", 0, "no-cache")
            return
        with path.open("rb") as file:
            self._send(200, "application/octet-stream", path.stat().st_size, "max-age=31536000, immutable")
            self.connection.sendfile(file)

    def _send(self, status: int, media_type: str, length: int, caching: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", caching)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    _Handler.folder = Path(sys.argv[1])
    _Handler.pages = pages_of(_Handler.folder)
    with _Server(("127.0.0.1", int(sys.argv[2])), _Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
