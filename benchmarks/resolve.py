"""Times resolving in a recorded world, beside uv with a warm cache on the same; and remembered answers over HTTP.

    python benchmarks/resolve.py                   measure in worlds/resolve.zst, which needs no network
    python benchmarks/resolve.py record [NAME …]   record it anew, from the index that pip is configured for

Needs uv, and for the answers over HTTP wrk. Writes a table to stdout and to results/resolve.md, and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Bar, bar_chart  # noqa: E402
from differential import UV_PLATFORMS, Input, read_input, read_pins  # noqa: E402
from tests.support.machine import find_uv  # noqa: E402
from tests.support.public_index import configured_index, why_not  # noqa: E402
from tests.support.running import Venvery, clean_environment  # noqa: E402
from timing import machine  # noqa: E402
from world_index import LiveWorld, ShelfWorld, WorldIndex  # noqa: E402

from venvery.catalog.catalog import Catalog  # noqa: E402
from venvery.errors import Unsatisfiable  # noqa: E402
from venvery.model.requests import ResolveRequest  # noqa: E402
from venvery.model.sources import SourceSpec  # noqa: E402
from venvery.resolve import MemoryShelf, Universe, solve  # noqa: E402
from venvery.services.documents import Defaults, read_body  # noqa: E402
from venvery.services.worlds import World, record, replay  # noqa: E402
from venvery.storage.blobs import Blobs  # noqa: E402
from venvery.storage.database import Database  # noqa: E402

WORLD = HERE / "worlds/resolve.zst"
NAMES = (
    "web-django-requests", "web-flask", "web-fastapi", "web-django-rest", "notebooks-jupyterlab", "science-stack",
    "data-pandas", "ml-sklearn", "lint-stack", "test-stack", "docs-stack", "cloud-aws", "backtrack-urllib3",
    "backtrack-sphinx", "backtrack-pydantic-1", "backtrack-protobuf", "data-airflow",
)  # fmt: skip


@dataclass(slots=True)
class Line:
    """What was measured of one input; seconds."""

    name: str
    projects: int | None = None
    """None: there is no answer."""
    decisions: int = 0
    ours: list[float] = field(default_factory=list)
    first: float = 0.0
    """The first time in a fresh process' memory, when no mask has been made."""
    uv: list[float] = field(default_factory=list)
    same: bool | None = None

    @property
    def ratio(self) -> float:
        """How many times as long uv takes."""
        return min(self.uv) / min(self.ours)


# recording


async def record_world(inputs: Sequence[Input], uv: Path, scratch: Path) -> World:
    """Let uv and venvery resolve all inputs before one live catalog, and keep what they looked at."""
    world = World()
    source = SourceSpec("index", "index", configured_index().rstrip("/"))
    with Database.open_file(scratch / "venvery.sqlite") as database:
        async with Catalog([source], database=database, blobs=Blobs.open_folder(scratch / "blobs")) as catalog:
            live = LiveWorld(catalog, asyncio.get_running_loop())
            with WorldIndex(live) as index:
                for one in inputs:
                    began = time.monotonic()
                    command = uv_command(uv, one, index.url)
                    await asyncio.to_thread(subprocess.run, command, env=uv_env(scratch), capture_output=True)
                    asked = body_of(one)
                    found = await record(catalog, request_of(asked), asked)
                    world.requests += found.requests
                    for project, told in found.projects.items():
                        known = world.projects.setdefault(project, told)["metadata"]
                        known |= told["metadata"]
                    print(f"{one.name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
            for universe in live.shelf.universes.values():
                world.add(universe)
            while await complete(world, catalog):
                pass
    return world


async def complete(world: World, catalog: Catalog) -> bool:
    """Add what a search still asks for that knows all that others looked at; tell whether there was any."""
    shelf, added = world.shelf(), False
    for body in world.requests:
        search = solve(request_of(body), shelf)
        with suppress(Unsatisfiable):
            while (need := next(search, None)) is not None:
                added = True
                listings = await catalog.listings({*need.listings, *(file.project for file in need.metadata)})
                for project in need.listings:
                    shelf.put(Universe(listings[project]))
                live = {file.filename: file for listing in listings.values() for file in listing.files}
                metadata = await catalog.metadata([live[file.filename] for file in need.metadata])
                for file in need.metadata:
                    shelf.universes[file.project].set_metadata(file, metadata[live[file.filename].key])
    for universe in shelf.universes.values():
        world.add(universe)
    return added


def body_of(one: Input) -> dict[str, Any]:
    """Write an input as the body of a request."""
    return {
        "text": one.path.read_text(encoding="utf-8"),
        "target": {"python": one.python, "platform": one.platform},
        "options": {"only_binary": ":all:"},
        "prompt": one.name,
    }


def request_of(body: Mapping[str, Any]) -> ResolveRequest:
    """Read a body."""
    return read_body(body, Defaults("3.11", "linux-x86_64")).resolve


# measuring


def measure(world: World, uv: Path, scratch: Path, runs: int, only: Sequence[str]) -> list[Line]:
    """Time both on every input in turn, so that a slow minute hits both alike."""
    shelf = world.shelf()
    bodies = {body["prompt"]: body for body in world.requests if not only or body["prompt"] in only}
    requests = {name: request_of(body) for name, body in bodies.items()}
    lines = {name: Line(name) for name in bodies}
    with WorldIndex(ShelfWorld(shelf)) as index:
        for name, line in lines.items():
            line.first = solve_once(requests[name], shelf, line)
            said = ask_uv(uv, bodies[name], index.url, scratch, offline=False)
            line.same = said == pins_of(requests[name], shelf)
        for _ in range(runs):
            for name, line in lines.items():
                line.ours += [solve_once(requests[name], shelf, line) for _ in range(5)]
                began = time.perf_counter()
                ask_uv(uv, bodies[name], index.url, scratch, offline=True)
                line.uv.append(time.perf_counter() - began)
    return list(lines.values())


def solve_once(request: ResolveRequest, shelf: MemoryShelf, line: Line) -> float:
    """Resolve in this process, with everything at hand; give the seconds."""
    began = time.perf_counter()
    try:
        found = replay(request, shelf)
    except Unsatisfiable:
        return time.perf_counter() - began
    seconds = time.perf_counter() - began
    line.projects, line.decisions = len(found.lock.pins), found.decisions
    return seconds


def pins_of(request: ResolveRequest, shelf: MemoryShelf) -> dict[str, str] | None:
    """Give our answer as pins."""
    try:
        return {str(pin.project): str(pin.version) for pin in replay(request, shelf).lock.pins}
    except Unsatisfiable:
        return None


def ask_uv(
    uv: Path, body: Mapping[str, Any], index: str, scratch: Path, *, offline: bool
) -> dict[str, str] | None:
    """Let uv resolve; its answer as pins."""
    path = scratch / f"{body['prompt']}.txt"
    path.write_text(body["text"], encoding="utf-8")
    one = Input(path, body["target"]["python"], body["target"]["platform"])
    command = uv_command(uv, one, index, *(("--offline",) if offline else ()))
    done = subprocess.run(command, env=uv_env(scratch), capture_output=True, text=True, check=False)
    if offline and done.returncode not in (0, 1):
        raise SystemExit(f"uv: exit {done.returncode}: {done.stderr}")
    return read_pins(done.stdout) if done.returncode == 0 else None


def uv_command(uv: Path, one: Input, index: str, *further: str) -> list[str]:
    """Write the command line."""
    return [
        *(str(uv), "pip", "compile", "-q", "--no-header", "--no-annotate", "--no-config", *further),
        *("--only-binary", ":all:", "--default-index", index, "--python-version", one.python),
        *("--python-platform", UV_PLATFORMS[one.platform], str(one.path)),
        *("--python", sys.executable),  # else it looks for the target's Python first, which takes a second here
    ]


def uv_env(scratch: Path) -> dict[str, str]:
    """Give uv a cache of its own."""
    return clean_environment(
        scratch / "home", UV_CACHE_DIR=str(scratch / "uv-cache"), UV_PYTHON_DOWNLOADS="never", NO_PROXY="127.0.0.1"
    )


# over HTTP


def remembered(world: World, scratch: Path, seconds: int) -> Iterator[str]:
    """Let wrk ask a server for remembered answers, and say what it measured."""
    wrk = shutil.which("wrk")
    if wrk is None:
        yield "wrk is not on this machine: not measured."
        return
    with WorldIndex(ShelfWorld(world.shelf())) as index:
        command = Venvery(scratch, index_url=index.url)
        with command.serve("--data", scratch / "server-data") as server:
            yield "| answer | bytes | connections | requests/s | p50 | p99 |"
            yield "| --- | ---: | ---: | ---: | ---: | ---: |"
            for name in ("web-django-requests", "notebooks-jupyterlab"):
                body = next(dict(one) for one in world.requests if one["prompt"] == name)
                body["text"] = re.sub(r"^#.*\n", "", body["text"], flags=re.MULTILINE)
                for connections in (1, 16, 32):
                    yield _load(wrk, server.url, name, body, connections, seconds, scratch)


def _load(
    wrk: str, url: str, name: str, body: dict[str, Any], connections: int, seconds: int, scratch: Path
) -> str:
    data = json.dumps({key: value for key, value in body.items() if key != "prompt"})
    script = scratch / "ask.lua"
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Accept"] = "application/json"\nwrk.body = {json.dumps(data)}\n',
        encoding="utf-8",
    )
    ask = ["curl", "-sS", "-D", "-", "-o", os.devnull, "-w", "%{size_download}", "-H", "Accept: application/json"]
    for _ in range(2):
        said = subprocess.run(
            [*ask, "--data-binary", data, f"{url}/v1/resolve"], capture_output=True, text=True, check=True
        ).stdout
    if "venvery-answer: remembered" not in said:
        return f"| {name} | not answered: {said.splitlines()[0]} | | | | |"
    size = int(said.rsplit("\n", 1)[-1])
    load = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"{url}/v1/resolve"]
    told = subprocess.run(load, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        return f"| {name} | {size:,} | {connections} | failed: {told} | | |"
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    half, most = (re.search(rf"^\s+{percent}%\s+(\S+)", told, re.MULTILINE) for percent in (50, 99))
    assert rate and half and most, told
    return f"| {name} | {size:,} | {connections} | {float(rate[1]):,.0f} | {half[1]} | {most[1]} |"


# telling


def table(lines: Sequence[Line]) -> str:
    """Write the results as a Markdown table."""
    rows = [
        "| input | projects | decisions | venvery, hot | first | uv, warm and offline | ratio | same pins |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for line in lines:
        ours, uv = min(line.ours), min(line.uv)
        rows.append(
            f"| {line.name} | {'no answer' if line.projects is None else line.projects} | {line.decisions} "
            f"| **{ours * 1e3:.2f} ms** | {line.first * 1e3:.1f} ms | {uv * 1e3:.0f} ms | {line.ratio:.0f}× "
            f"| {'yes' if line.same else 'no'} |"
        )
    ratios = sorted(line.ratio for line in lines)
    rows += [
        "",
        f"Ratio: median {statistics.median(ratios):.0f}×, worst {ratios[0]:.0f}×, best {ratios[-1]:.0f}×.",
    ]
    return "\n".join(rows) + "\n"


def picture(lines: Sequence[Line]) -> str:
    """Draw how many times as long uv takes."""
    quickest = sorted(lines, key=lambda line: -line.ratio)
    bars = [Bar(line.name, line.ratio, line.ratio, line.ratio, ours=True) for line in quickest]
    title = "How many times as long uv takes, offline with a warm cache"
    return bar_chart(
        title, f"hot in process, on the same recorded world; fastest runs; {machine()}", bars, unit="×"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("what", nargs="?", choices=["measure", "record"], default="measure")
    parser.add_argument("names", nargs="*", help="inputs, by name (all)")
    parser.add_argument("--runs", type=int, default=5, help="interleaved runs (5)")
    parser.add_argument("--seconds", type=int, default=5, help="of load on the server, each time (5)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where table and picture go")
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="resolve-"))
    try:
        if options.what == "record":
            return _record(options.names or NAMES, uv, scratch)
        return _measure(options, uv, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _record(names: Sequence[str], uv: Path, scratch: Path) -> int:
    reason = why_not()
    if reason is not None:
        print(f"error: the index that pip is configured for does not answer: {reason}", file=sys.stderr)
        return 3
    inputs = [read_input(HERE / f"inputs/{name}.txt") for name in names]
    world = asyncio.run(record_world(inputs, uv, scratch))
    WORLD.parent.mkdir(exist_ok=True)
    WORLD.write_bytes(world.pack())
    print(f"{WORLD.name}: {len(world.projects)} projects, {WORLD.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _measure(options: argparse.Namespace, uv: Path, scratch: Path) -> int:
    world = World.unpack(WORLD.read_bytes())
    lines = measure(world, uv, scratch, options.runs, options.names)
    load = "\n".join(remembered(world, scratch, options.seconds))
    files = sum(len(recorded["files"]) for recorded in world.projects.values())
    version = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    text = (
        "# Resolving, in recorded worlds\n\n"
        f"The fastest of {options.runs} interleaved runs (ours of 5 in each), for whatever else the machine does "
        f"can only add; {datetime.now(UTC):%Y-%m-%d}, load average {os.getloadavg()[0]:.1f} at the end.\n"
        f"{machine()}; {version}. The world has {len(world.projects)} projects with {files:,} files.\n"
        "*Hot*: listings and metadata are in memory, as in a server that has been asked before. *First*: the "
        "first time in the process, before any specifier is looked at; what one input has looked at, the next "
        "finds.\nuv runs as a process, as people run it, and is told which interpreter to use, so that it need "
        "not look for one.\n\n"
        f"{table(lines)}\n![The ratios as bars](resolve.svg)\n\n"
        "## Remembered answers over HTTP\n\n"
        f"One server process, wrk on the same machine, {options.seconds} s each.\n\n{load}\n"
    )
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "resolve.md").write_text(text, encoding="utf-8")
    (options.results / "resolve.svg").write_text(picture(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
