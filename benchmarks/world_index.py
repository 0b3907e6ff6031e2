"""A recorded world as an index on loopback, so that others can resolve in it; and the recording of one.

Serves the simple API as JSON (PEP 691) with core metadata beside each wheel (PEP 658, 714), and no files: a world
has none. While it records it stands before a live catalog, and notes all that is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from venvery.catalog.catalog import Catalog
from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata
from venvery.model.names import normalize
from venvery.resolve import MemoryShelf, Universe

__all__ = ["LiveWorld", "ShelfWorld", "WorldIndex"]


class ShelfWorld:
    """What is on a shelf."""

    def __init__(self, shelf: MemoryShelf) -> None:
        self._shelf = shelf
        self._files = {
            file.filename: (universe, file)
            for universe in shelf.universes.values()
            for file in universe.listing.files
        }

    def listing(self, project: str) -> Listing | None:
        """Give a project's listing; None when the world does not have it."""
        universe = self._shelf.universe(normalize(project))
        return universe.listing if universe is not None and universe.listing.known else None

    def metadata(self, filename: str) -> CoreMetadata | None:
        """Give the core metadata of a file."""
        universe, file = self._files.get(filename, (None, None))
        found = universe.metadata(file) if universe is not None and file is not None else None
        return found if isinstance(found, CoreMetadata) else None


class LiveWorld:
    """What a catalog has; everything that is asked for is put on a shelf."""

    def __init__(self, catalog: Catalog, loop: asyncio.AbstractEventLoop) -> None:
        self._catalog, self._loop = catalog, loop
        self.shelf = MemoryShelf()
        self._files: dict[str, DistFile] = {}
        self._lock = threading.Lock()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def listing(self, project: str) -> Listing | None:
        """Read a listing, and note it."""
        name = normalize(project)
        listing: Listing = self._wait(self._catalog.listings([name]))[name]
        with self._lock:
            if self.shelf.universe(name) is None:
                self.shelf.put(Universe(listing))
                self._files |= {file.filename: file for file in listing.files}
        return listing if listing.known else None

    def metadata(self, filename: str) -> CoreMetadata | None:
        """Read core metadata, and note it."""
        file = self._files.get(filename)
        if file is None:
            return None
        found: CoreMetadata | NoMetadata = self._wait(self._catalog.metadata([file]))[file.key]
        with self._lock:
            self.shelf.universes[file.project].set_metadata(file, found)
        return found if isinstance(found, CoreMetadata) else None


class WorldIndex:
    """The HTTP server; `close` or the end of `with` ends it."""

    def __init__(self, world: ShelfWorld | LiveWorld) -> None:
        handler = type("Handler", (_Handler,), {"world": world, "pages": {}})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/simple"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> WorldIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: ShelfWorld | LiveWorld
    pages: dict[str, bytes]

    def do_GET(self) -> None:
        """Answer a project page or a file's metadata."""
        parts = [unquote(part) for part in self.path.split("?")[0].split("/") if part]
        if len(parts) == 2 and parts[0] == "simple":
            self._send(self._page(parts[1]), "application/vnd.pypi.simple.v1+json")
        elif len(parts) == 2 and parts[0] == "files" and parts[1].endswith(".metadata"):
            metadata = self.world.metadata(parts[1].removesuffix(".metadata"))
            self._send(None if metadata is None else _core_metadata(metadata), "text/plain")
        else:
            self._send(None, "text/plain")

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self.do_GET()

    def _page(self, project: str) -> bytes | None:
        known = self.pages.get(project)
        if known is None:
            listing = self.world.listing(project)
            if listing is None:
                return None
            known = self.pages[project] = json.dumps(_simple(listing)).encode()
        return known

    def _send(self, body: bytes | None, media_type: str) -> None:
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", media_type)
        self.send_header("Cache-Control", "max-age=86400")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    log_message: Callable[..., None] = lambda *_: None


def _simple(listing: Listing) -> dict[str, Any]:
    files = []
    for file in listing.files:
        digest = file.sha256 or hashlib.sha256(file.filename.encode()).hexdigest()  # a world may have none
        entry: dict[str, Any] = {"filename": file.filename, "url": f"/files/{file.filename}"}
        entry |= {"hashes": {"sha256": digest}, "size": file.size or len(file.filename) << 10}
        if file.requires_python is not None:
            entry["requires-python"] = file.requires_python
        if file.yanked is not None:
            entry["yanked"] = file.yanked or True
        if file.kind == "wheel":
            entry["core-metadata"] = entry["dist-info-metadata"] = True
        if file.upload_time is not None:
            entry["upload-time"] = file.upload_time.strftime("%Y-%m-%dT%H:%M:%SZ")
        files.append(entry)
    return {"meta": {"api-version": "1.1"}, "name": listing.project, "files": files}


def _core_metadata(metadata: CoreMetadata) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {metadata.project}", f"Version: {metadata.version}"]
    if metadata.requires_python:
        lines.append(f"Requires-Python: {metadata.requires_python}")
    lines += [f"Provides-Extra: {extra}" for extra in metadata.provides_extra]
    lines += [f"Requires-Dist: {required}" for required in metadata.requires_dist]
    return ("\n".join(lines) + "\n").encode()
