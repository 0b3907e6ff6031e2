"""How many pages and files a second, and how long does the slowest hundredth wait: beside devpi and pypiserver.

    python benchmarks/index.py [--seconds 5] [--rounds 3] [--connections 16] [--write]

All serve the same projects, one of which has 4,000 files: venvery and devpi-server as mirrors of a local index,
with everything fetched before, and pypiserver from a folder. The floor is the same HTTP server that venvery runs
on, with one constant answer from memory. Clients keep their connections, as pip does, and ask with pip's own
headers; each asks again as soon as it has its answer. All run on the same machine, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from chart import Bar, bar_chart
from timing import machine

RESULTS = Path(__file__).with_name("results")
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
HEADERS = f"Accept: {ACCEPT}\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: pip/26.2\r\n"
SMALL, BIG, FILE = "small", "big", "bytes"
FILES_OF_BIG = 4000
FILE_BYTES = 200_000


def wheel(project: str, version: str, size: int = 0) -> bytes:
    """Make a wheel that is just enough of one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = f"{project}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        if size:
            archive.writestr(f"{project}.bin", os.urandom(size))
    return out.getvalue()


def write_world(folder: Path) -> None:
    """Write an index as static files: `simple/` in HTML, the files beside it."""
    (folder / "files").mkdir(parents=True)
    (folder / "simple").mkdir()
    names = "".join(f'<a href="{name}/">{name}</a>\n' for name in (SMALL, BIG, FILE))
    (folder / "simple" / "index.html").write_text(f"<!DOCTYPE html><html><body>{names}</body></html>")
    for project, count, size in ((SMALL, 10, 0), (BIG, FILES_OF_BIG, 0), (FILE, 1, FILE_BYTES)):
        anchors = []
        for number in range(count):
            name = f"{project}-{number // 40}.{number % 40}-py3-none-any.whl"
            data = wheel(project, f"{number // 40}.{number % 40}", size)
            (folder / "files" / name).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            anchors.append(
                f'<a href="../../files/{name}#sha256={digest}" data-requires-python="&gt;=3.8">{name}</a>'
            )
        page = folder / "simple" / project
        page.mkdir()
        (page / "index.html").write_text("<!DOCTYPE html><html><body>" + "<br>\n".join(anchors) + "</body></html>")


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[str]:
    """Serve the static index."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple/"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(slots=True)
class Server:
    """One contestant, running."""

    name: str
    simple: str
    ours: bool = False
    errors: int = 0
    rates: dict[str, list[float]] = field(default_factory=dict)
    waits: dict[str, list[float]] = field(default_factory=dict)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], url: str, log: Path) -> Iterator[None]:
    """Run a server until the end of the context; waits until it answers."""
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    get(url)
                    break
                except OSError:
                    if running.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{command[0]} does not run:\n{log.read_text()}") from None
                    time.sleep(0.1)
            yield
        finally:
            running.terminate()
            running.wait(30)


def get(
    url: str, *, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request(method, path, body, {"Accept": ACCEPT, **headers})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {name.lower(): text for name, text in answer.getheaders()}, data


def file_of(page: str) -> str:
    """Give the URL of the first file of a page."""
    _, headers, body = get(page)
    if "json" in headers["content-type"]:
        return urljoin(page, json.loads(body)["files"][0]["url"])
    found = re.search(rb'href="([^"#]+\.whl)', body)
    assert found is not None, body[:500]
    return urljoin(page, found[1].decode())


def venvery(stack: contextlib.ExitStack, scratch: Path, index: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "venvery", "serve", "--port", str(port), "--data", str(scratch / "venvery")]
    stack.enter_context(
        process([*command, "-i", index], f"http://127.0.0.1:{port}/healthz", scratch / "venvery.log")
    )
    return Server("venvery", f"http://127.0.0.1:{port}/simple/", ours=True)


def devpi(stack: contextlib.ExitStack, scratch: Path, index: str, tools: Path) -> Server:
    folder, port = str(scratch / "devpi"), free_port()
    subprocess.run([tools / "devpi-init", "--serverdir", folder], check=True, capture_output=True)
    url = f"http://127.0.0.1:{port}"
    command = [str(tools / "devpi-server"), "--serverdir", folder, "--port", str(port)]
    stack.enter_context(process(command, f"{url}/+api", scratch / "devpi.log"))
    kind = {"Content-Type": "application/json", "Accept": "application/json"}
    login = json.dumps({"user": "root", "password": ""}).encode()
    token = json.loads(get(f"{url}/+login", method="POST", body=login, **kind)[2])["result"]["password"]
    kind["X-Devpi-Auth"] = base64.b64encode(f"root:{token}".encode()).decode()
    settings = json.dumps({"type": "mirror", "mirror_url": index, "volatile": True}).encode()
    status, _, said = get(f"{url}/root/mirror", method="PUT", body=settings, **kind)
    if status != 200:
        raise SystemExit(f"devpi-server makes no mirror: {said.decode()}")
    return Server("devpi-server", f"{url}/root/mirror/+simple/")


def pypiserver(stack: contextlib.ExitStack, scratch: Path, files: Path, tools: Path) -> Server:
    port = free_port()
    command = [
        str(tools / "pypi-server"),
        "run",
        "-p",
        str(port),
        "-i",
        "127.0.0.1",
        "--disable-fallback",
        str(files),
    ]
    stack.enter_context(process(command, f"http://127.0.0.1:{port}/", scratch / "pypiserver.log"))
    return Server("pypiserver", f"http://127.0.0.1:{port}/simple/")


FLOOR = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
    else:
        while (await receive())["type"] != "lifespan.shutdown": await send({"type": "lifespan.startup.complete"})
BODY = open(sys.argv[2], "rb").read()
HEADERS = [(b"content-length", b"%d" % len(BODY)), (b"content-type", b"application/octet-stream")]
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
"""


def floor(stack: contextlib.ExitStack, scratch: Path, name: str, body: bytes) -> str:
    """Serve one constant answer; give its URL."""
    port = free_port()
    (scratch / name).write_bytes(body)
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-c", FLOOR, str(port), str(scratch / name)]
    stack.enter_context(process(command, url, scratch / f"{name}.log"))
    return url


async def load(url: str, headers: str, connections: int, seconds: float) -> tuple[float, float, int]:
    """Give good answers a second, the 99th percentile of their waits in milliseconds, and the number of errors."""
    parts = urlsplit(url)
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n".encode()
    waits: list[float] = []
    errors: list[bytes] = []
    until = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        while (started := time.perf_counter()) < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 304 " not in head[:20]:
                length = re.search(rb"content-length: (\d+)", head)
                if length is not None:
                    await reader.readexactly(int(length[1]))
                else:
                    while size := int(await reader.readline(), 16):
                        await reader.readexactly(size + 2)
                    await reader.readline()
            if head.startswith((b"http/1.1 200", b"http/1.1 304")):
                waits.append(time.perf_counter() - started)
            else:
                errors.append(head)
            if b"connection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    took = time.perf_counter() - started
    slowest = 1000 * statistics.quantiles(waits, n=100)[98] if len(waits) > 1 else 0.0
    return len(waits) / took, slowest, len(errors)


Ask = tuple[str, str]


def asks(server: Server) -> dict[str, Ask]:
    """Give what is asked of a server: URL and headers, by scenario."""
    big = f"{server.simple}{BIG}/"
    found = {
        "page, 10 files": (f"{server.simple}{SMALL}/", HEADERS),
        "page, 4,000 files": (big, HEADERS),
        "file, 200 kB": (file_of(f"{server.simple}{FILE}/"), HEADERS),
    }
    etag = get(big, **{"Accept-Encoding": "gzip"})[1].get("etag")
    found["page, 4,000 files, unchanged"] = (big, HEADERS + (f"If-None-Match: {etag}\r\n" if etag else ""))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--tools", type=Path, help="a folder with devpi-server, devpi-init and pypi-server")
    parser.add_argument("--write", action="store_true", help="write results/index.md and index.svg")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_world(scratch / "world")
        tools = arguments.tools or install(scratch)
        index = stack.enter_context(upstream(scratch / "world"))
        servers = [
            venvery(stack, scratch, index),
            devpi(stack, scratch, index, tools),
            pypiserver(stack, scratch, scratch / "world" / "files", tools),
        ]
        jobs: list[tuple[Server, dict[str, Ask]]] = [(server, asks(server)) for server in servers]
        bodies = {name: get(url, **{"Accept-Encoding": "gzip"})[2] for name, (url, _) in jobs[0][1].items()}
        bodies["page, 4,000 files, unchanged"] = b""
        limit = Server("constant answer (floor)", "")
        jobs.append(
            (
                limit,
                {n: (floor(stack, scratch, f"floor{i}", b), HEADERS) for i, (n, b) in enumerate(bodies.items())},
            )
        )
        for number in range(arguments.rounds):
            for scenario in bodies:
                for server, asked in jobs if number % 2 else reversed(jobs):
                    url, headers = asked[scenario]
                    rate, wait, errors = asyncio.run(load(url, headers, arguments.connections, arguments.seconds))
                    server.rates.setdefault(scenario, []).append(rate)
                    server.waits.setdefault(scenario, []).append(wait)
                    server.errors += errors
                    print(
                        f"{number + 1}  {scenario}  {server.name}: {rate:.0f}/s, p99 {wait:.1f} ms",
                        file=sys.stderr,
                    )
        versions = [version_of(tools, name) for name in ("devpi-server", "pypiserver")]
    report([server for server, _ in jobs], list(bodies), versions, arguments)


def install(scratch: Path) -> Path:
    """Install the other servers into an environment of their own."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    folder = scratch / "tools"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    wanted = ["devpi-server", "pypiserver[cache]"]
    subprocess.run([uv, "pip", "install", "-q", "--python", str(folder / "bin/python"), *wanted], check=True)
    return folder / "bin"


def version_of(tools: Path, name: str) -> str:
    code = f"from importlib.metadata import version; print('{name}', version('{name}'))"
    return subprocess.run(
        [tools / "python", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def report(
    servers: list[Server], scenarios: list[str], versions: list[str], arguments: argparse.Namespace
) -> None:
    lines = ["| | " + " | ".join(scenarios) + " |", "| --- |" + " ---: |" * len(scenarios)]
    middle: Callable[[list[float]], float] = statistics.median
    for server in servers:
        cells = [f"{middle(server.rates[one]):,.0f}/s, {middle(server.waits[one]):,.1f} ms" for one in scenarios]
        name = f"{server.name} ({server.errors} errors)" if server.errors else server.name
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    text = "\n".join(lines)
    print(text)
    if not arguments.write:
        return
    about = (
        f"{arguments.connections} connections, {arguments.rounds} rounds of {arguments.seconds:g} s each in turn; "
        f"{', '.join(versions)}; {machine()}; clients and servers share the machine, "
        f"whose load average was {os.getloadavg()[0]:.0f}: compare numbers of this run only, and with the floor."
    )
    head = "# Pages and files under load\n\nRequests a second, and the 99th percentile of the waits (medians)."
    (RESULTS / "index.md").write_text(f"{head}\n{about}\n\n{text}\n\n![](index.svg)\n")
    bars = [
        Bar(
            f"{server.name}",
            middle(server.rates[one]),
            min(server.rates[one]),
            max(server.rates[one]),
            server.ours,
        )
        for one in ("page, 4,000 files",)
        for server in servers
    ]
    (RESULTS / "index.svg").write_text(bar_chart("The page of a project with 4,000 files", about, bars, unit="/s"))


if __name__ == "__main__":
    main()
