"""An upstream on loopback, for clients that are timed: an index's own answers, from memory, and counted.

    python benchmarks/upstream.py --index URL

It stands before a live index. What is asked for the first time is fetched from there, as it is; from then on it
comes from memory, so that two clients see the same answers at the same speed, however busy the network is. Below
`/html/simple/` pages are what the index gives, and only the index's own hosts decide what files can do; below
`/json/simple/` they are JSON (PEP 691) with core metadata beside each wheel (PEP 658). `/count` tells how much was
asked for since the last time, by kind.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import hashlib
import re
import socket
import sys
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import orjson  # noqa: E402
import uvicorn  # noqa: E402

from venvery.catalog.network import Network  # noqa: E402
from venvery.catalog.pages import parse_html, parse_json  # noqa: E402
from venvery.catalog.remote_zip import TAIL, BadWheel, read_wheel_metadata  # noqa: E402
from venvery.model.names import normalize  # noqa: E402
from venvery.model.sources import NetworkSettings  # noqa: E402

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
_KEPT = ("content-type", "content-range", "accept-ranges", "etag", "last-modified")
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


class Upstream:
    """The ASGI application."""

    def __init__(self, index: str) -> None:
        self._index = index.rstrip("/")
        self._network = Network(NetworkSettings())
        self._answers: dict[tuple[str, str, str], asyncio.Task[Answer]] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._origins: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if path == "/count":
            counts, self._counts = self._counts, collections.Counter()
            status, said, body = 200, [], orjson.dumps(counts)
        else:
            self._count(method, path)
            status, said, body = await self._get(method, path, headers.get("range", ""))
            etag = next((value for name, value in said if name == b"etag"), None)
            if etag is not None and headers.get("if-none-match", "").encode() == etag:
                status, body = 304, b""
        said = [*said, (b"content-length", str(len(body)).encode())]
        if method == "HEAD" and status == 200:
            said = [(b"content-length", body), *said[:-1]]
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": said})
        await send({"type": "http.response.body", "body": body})

    def _count(self, method: str, path: str) -> None:
        kind = "page" if "/simple/" in path else "metadata" if path.endswith(".metadata") else "file"
        self._counts[kind if method == "GET" else f"{kind} {method}"] += 1

    async def _get(self, method: str, path: str, wanted: str) -> Answer:
        key = method, path, wanted
        if key not in self._answers:
            self._answers[key] = asyncio.ensure_future(self._fetch(method, path, wanted))
        return await asyncio.shield(self._answers[key])

    async def _fetch(self, method: str, path: str, wanted: str) -> Answer:
        if (match := re.fullmatch(r"/(html|json)/simple/([^/]+)/", path)) is not None:
            return await self._page(match[1], match[2])
        match = re.fullmatch(r"/(\d+)(/.*)", path)
        if match is None:
            return 404, [], b""
        url = self._origins[int(match[1])] + match[2]
        headers = {"Accept-Encoding": "identity"} | ({"Range": wanted} if wanted else {})
        reply = await self._network.get(url, headers, method=method)
        if reply.status == 404 and url.endswith(".whl.metadata"):
            body = await self._metadata(url.removesuffix(".metadata"))
            return (404, [], b"") if body is None else (200, [(b"content-type", b"text/plain")], body)
        said = [(name.encode(), reply.headers[name].encode()) for name in _KEPT if name in reply.headers]
        body = reply.headers.get("content-length", "0").encode() if method == "HEAD" else reply.body
        return reply.status, said, body

    async def _page(self, form: str, project: str) -> Answer:
        reply = await self._network.get(f"{self._index}/{project}/", {"Accept": _ACCEPT})
        if reply.status != 200:
            return reply.status, [], reply.body
        kind = reply.headers.get("content-type", "")
        if form == "json":
            page = (parse_json if "json" in kind else _html)(reply.body, reply.url)
            files = [self._entry(link) for link in page.links]
            body = orjson.dumps({"meta": {"api-version": "1.0"}, "name": normalize(project), "files": files})
            kind = "application/vnd.pypi.simple.v1+json"
        else:
            text = re.sub(rb'href="(https?://[^/"]+)(?=/)', self._moved, reply.body)
            body = re.sub(rb'"url": ?"(https?://[^/"]+)(?=/)', self._moved, text)
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode()
        return 200, [(b"content-type", kind.encode()), (b"etag", etag)], body

    def _moved(self, match: re.Match[bytes]) -> bytes:
        start = match[0][: -len(match[1])]
        return start + self._place(match[1].decode()).encode()

    def _place(self, origin: str) -> str:
        if origin not in self._origins:
            self._origins.append(origin)
        return f"/{self._origins.index(origin)}"

    def _entry(self, link: Any) -> dict[str, Any]:
        parts = urlsplit(urljoin(self._index, link.url))
        return {
            "filename": link.filename,
            "url": self._place(f"{parts.scheme}://{parts.netloc}") + parts.path,
            "hashes": link.hashes,
            "requires-python": unescape(link.requires_python) if link.requires_python else None,
            "core-metadata": link.filename.endswith(".whl"),
            "yanked": False if link.yanked is None else (link.yanked or True),
        }

    async def _metadata(self, url: str) -> bytes | None:
        async def read(start: int, end: int) -> bytes:
            return (await self._network.get(url, {"Range": f"bytes={start}-{end - 1}"})).body

        tail = await self._network.get(url, {"Range": f"bytes=-{TAIL}"})
        total = int(tail.headers["content-range"].rpartition("/")[2])
        project = normalize(url.rpartition("/")[2].partition("-")[0])
        try:
            return await read_wheel_metadata(project, total, tail.body, read)
        except BadWheel:
            return None


def _html(body: bytes, base: str) -> Any:
    return parse_html(body.decode(), base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True, help="the live index")
    arguments = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(Upstream(arguments.index), log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
