"""An index that stands still: what several tools ask of a live one, recorded as it came, and served again.

While it records it stands before the live index and leaves out what was uploaded after the frozen moment. Project
pages hold file names, requires-python and yanks; core metadata is kept as it came, without the
description. So all who ask see the same, whenever. There are no files: who only resolves needs none.
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urljoin

import httpx2
from backports import zstd

__all__ = ["FrozenIndex", "Recording"]

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_KEPT = re.compile(rb"(?i)(metadata-version|name|version|requires-python|requires-dist|provides-extra):")
File = list[Any]
"""[file name, requires-python, yanked]"""


@dataclass(slots=True)
class Recording:
    """What was asked for, and what came."""

    frozen: str
    """An RFC 3339 moment; nothing that was uploaded since is there."""
    pages: dict[str, list[File] | None] = field(default_factory=dict)
    metadata: dict[str, str | None] = field(default_factory=dict)
    """By the wheel's file name."""

    def save(self, path: Path) -> None:
        """Write it as one file."""
        document = {"frozen": self.frozen, "pages": self.pages, "metadata": self.metadata}
        path.write_bytes(zstd.compress(json.dumps(document, sort_keys=True).encode(), 19))

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read the file again."""
        return cls(**json.loads(zstd.decompress(path.read_bytes())))


class _Upstream:
    """The live index."""

    def __init__(self, url: str, frozen: str) -> None:
        self._url = url.rstrip("/")
        self._frozen = datetime.fromisoformat(frozen)
        self._client = httpx2.Client(timeout=120, follow_redirects=True)
        self._urls: dict[str, str] = {}
        self._beside = True
        """False once a wheel was found without metadata beside it (PEP 658)."""

    def page(self, project: str) -> list[File] | None:
        """Read a project's page."""
        reply = self._client.get(f"{self._url}/{project}/", headers={"Accept": _ACCEPT})
        if reply.status_code == 404:
            return None
        reply.raise_for_status()
        kind = reply.headers.get("content-type", "")
        entries = reply.json()["files"] if "json" in kind else _anchors(reply.text)
        files = []
        for entry in entries:
            time = entry.get("upload-time")
            if time is not None and datetime.fromisoformat(time) >= self._frozen:
                continue
            self._urls[entry["filename"]] = urljoin(str(reply.url), entry["url"].partition("#")[0])
            files.append([entry["filename"], entry.get("requires-python"), entry.get("yanked") or None])
        return files

    def metadata(self, filename: str) -> str | None:
        """Read the headers of a wheel's core metadata that resolving needs, as they stand."""
        if filename not in self._urls:  # its page was recorded earlier, by another process
            self.page(re.sub(r"[-_.]+", "-", filename.partition("-")[0]).lower())
        url = self._urls[filename]
        if self._beside:
            reply = self._client.get(url + ".metadata")
            if reply.status_code == 200:
                return _headers(reply.content)
            self._beside = False  # an index without them, so that each wheel is looked into
        try:
            with zipfile.ZipFile(_Remote(self._client, url)) as wheel:  # type: ignore[arg-type]
                [name] = [n for n in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
                return _headers(wheel.read(name))
        except (zipfile.BadZipFile, ValueError):
            return None


class _Remote(io.RawIOBase):
    """A file that is read over HTTP in ranges; its end, where a wheel has its metadata, with the first."""

    def __init__(self, client: httpx2.Client, url: str) -> None:
        self._client, self._url, self._place = client, url, 0
        reply = self._range("-65536")
        self._size = int(reply.headers["content-range"].rpartition("/")[2])
        self._tail = reply.content

    def _range(self, said: str) -> httpx2.Response:
        reply = self._client.get(self._url, headers={"Range": f"bytes={said}", "Accept-Encoding": "identity"})
        reply.raise_for_status()
        return reply

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + {0: 0, 1: self._place, 2: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._place + size)
        start = self._place
        self._place = end
        if end <= start:
            return b""
        tail = self._size - len(self._tail)
        if start >= tail:
            return self._tail[start - tail : end - tail]
        return self._range(f"{start}-{end - 1}").content


def _headers(data: bytes) -> str:
    """Leave of core metadata the headers that resolving needs, as they stand."""
    kept, keeping = [], False
    for line in data.splitlines():
        if not line.strip():
            break  # the description follows
        keeping = _KEPT.match(line) is not None or (keeping and line[:1] in b" \t")
        if keeping:
            kept.append(line)
    return b"\n".join([*kept, b""]).decode("utf-8", "replace")


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        url = said.get("href")
        if tag == "a" and url:
            yanked = said.get("data-yanked", False)
            self.found.append(
                {
                    "filename": unquote(url.partition("#")[0].rsplit("/", 1)[-1]),
                    "url": url,
                    "requires-python": said.get("data-requires-python"),
                    "yanked": True if yanked in (None, "") else yanked,
                    "upload-time": said.get("data-upload-time"),
                }
            )


def _anchors(text: str) -> list[dict[str, Any]]:
    parser = _Anchors()
    parser.feed(text)
    return parser.found


class FrozenIndex:
    """The HTTP server: serves a recording, and goes on recording where a live index is given."""

    def __init__(self, recording: Recording, live: str | None = None) -> None:
        self.recording = recording
        self.missed: set[str] = set()
        """What was asked for and is not recorded."""
        self._upstream = _Upstream(live, recording.frozen) if live is not None else None
        self._locks: dict[str, threading.Lock] = {}
        handler = type("Handler", (_Handler,), {"index": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._http.request_queue_size = 256
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/simple"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> FrozenIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def page(self, project: str) -> list[File] | None:
        """Give a project's page."""
        return self._get(self.recording.pages, project, lambda live: live.page(project))

    def metadata(self, filename: str) -> str | None:
        """Give a wheel's core metadata."""
        return self._get(self.recording.metadata, filename, lambda live: live.metadata(filename))

    def _get(self, known: dict[str, Any], key: str, read: Callable[[_Upstream], Any]) -> Any:
        with self._locks.setdefault(key, threading.Lock()):
            if key not in known:
                if self._upstream is None:
                    self.missed.add(key)
                    return None
                known[key] = read(self._upstream)
            return known[key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: FrozenIndex

    def do_GET(self) -> None:
        """Answer a project's page or a wheel's metadata."""
        parts = [unquote(part) for part in self.path.split("?")[0].split("/") if part]
        try:
            if len(parts) == 2 and parts[0] == "simple":
                files = self.index.page(parts[1])
                body = None if files is None else json.dumps(_simple(parts[1], files)).encode()
                self._send(body, "application/vnd.pypi.simple.v1+json")
            elif len(parts) == 2 and parts[0] == "files" and parts[1].endswith(".whl.metadata"):
                text = self.index.metadata(parts[1].removesuffix(".metadata"))
                self._send(None if text is None else text.encode(), "text/plain")
            else:
                self._send(None, "text/plain")
        except ConnectionError:
            pass  # whoever asked is gone
        except Exception as error:
            print(f"frozen index: {self.path}: {error!r}", flush=True)
            self._send(b"", "text/plain", 503)

    def _send(self, body: bytes | None, kind: str, status: int = 200) -> None:
        self.send_response(404 if body is None else status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "max-age=86400")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self.do_GET()

    log_message: Callable[..., None] = lambda *_: None


def _simple(project: str, files: list[File]) -> dict[str, Any]:
    entries = []
    for filename, python, yanked in files:
        entry: dict[str, Any] = {"filename": filename, "url": f"/files/{filename}", "hashes": {}}
        entry["core-metadata"] = entry["dist-info-metadata"] = filename.endswith(".whl")
        entry |= {"requires-python": python} if python is not None else {}
        entry |= {"yanked": yanked} if yanked is not None else {}
        entries.append(entry)
    return {"meta": {"api-version": "1.1"}, "name": project, "files": entries}
