"""Times resolving in a recorded world, beside uv with a warm cache on the same.

    python benchmarks/resolve.py                   measure in worlds/resolve.zst, which needs no network
    python benchmarks/resolve.py record [NAME …]   record it anew, from the index that pip is configured for

Needs uv. Writes tables to stdout and to results/resolve.md, and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
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
from tests.support.running import clean_environment  # noqa: E402
from timing import machine  # noqa: E402
from world_index import LiveWorld, ShelfWorld, WorldIndex  # noqa: E402

from venvery.catalog.catalog import Catalog  # noqa: E402
from venvery.cli.serve_command import COLLECT_AFTER  # noqa: E402
from venvery.errors import Unsatisfiable  # noqa: E402
from venvery.model.files import (  # noqa: E402
    CoreMetadata,
    DistFile,
    Listing,
    parse_filename,
)
from venvery.model.lock import Lock  # noqa: E402
from venvery.model.names import normalize  # noqa: E402
from venvery.model.requests import ResolveRequest  # noqa: E402
from venvery.model.sources import SourceSpec  # noqa: E402
from venvery.resolve import MemoryShelf, Universe, solve, solving  # noqa: E402
from venvery.resolve.writers import write_json  # noqa: E402
from venvery.services.documents import Defaults, read_body  # noqa: E402
from venvery.services.worlds import World, record, replay  # noqa: E402
from venvery.storage.blobs import Blobs  # noqa: E402
from venvery.storage.database import Database  # noqa: E402

WORLD = HERE / "worlds/resolve.zst"
HARD = ("backtrack-urllib3", "walk-awscli", "walk-google", "walk-jupyter", "walk-langchain", "walk-opentelemetry",
        "walk-s3fs", "tools-home-assistant")  # fmt: skip
"""The walk-backs: where a newest version leads nowhere, and the one before it, for a long time."""
LARGE = range(95, 121)
"""So many projects are "about a hundred"."""

ABOUT = """*Hot* is what `solve` takes in this process, from the request's values to a lock's: the whole search,
done anew each time, and never an answer that was kept. What earlier requests have left in memory helps it, as in
a server: listings and metadata; the versions that a specifier contains; the files and versions that a target can
use; the parsed dependencies of versions that were looked at; for pairs of projects, which versions of one depend
on which of the other. All of this goes when a listing changes. *The lock* is the part that turns chosen versions
into a lock; pins that say nothing but what the catalog does are made once and shared. *JSON* comes on top:
writing the lock as bytes. *First* is the first time in this process; what one input has looked at, the next
finds. Python's collector of cycles is set as `venvery serve` sets it. uv runs as a process, as people run it,
with a warm cache, offline, and is told which interpreter to use, so that it need not look for one.

Where the load average is high, trust the row in processor time: whoever takes turns with others waits, and uv,
which starts a process and several threads for each answer, waits more than we do.
"""
COLUMNS = (
    "input",
    "projects",
    "decisions",
    "venvery, hot",
    "of it the lock",
    "JSON",
    "first",
    "uv",
    "ratio",
    "same",
)


@dataclass(slots=True)
class Line:
    """What was measured of one input; seconds."""

    name: str
    projects: int | None = None
    """None: there is no answer."""
    decisions: int = 0
    conflicts: int = 0
    ours: list[float] = field(default_factory=list)
    locks: list[float] = field(default_factory=list)
    """What of `ours` went into making the lock."""
    json: list[float] = field(default_factory=list)
    first: float = 0.0
    """The first time in a fresh process' memory, when no mask has been made."""
    uv: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    """As `ours`, counted in time on a processor."""
    uv_work: list[float] = field(default_factory=list)
    same: bool | None = None

    @property
    def ratio(self) -> float:
        """How many times as long uv takes."""
        return min(self.uv) / min(self.ours)

    @property
    def work_ratio(self) -> float:
        """The same in time on processors, which others who use the machine do not lengthen."""
        return min(self.uv_work) / min(self.work)


# recording


async def record_world(inputs: Sequence[Input], uv: Path, scratch: Path) -> World:
    """Let uv and venvery resolve all inputs before one live catalog, and keep what they looked at."""
    world = World()
    source = SourceSpec("index", "index", configured_index().rstrip("/"))
    with Database.open(scratch / "venvery.sqlite") as database:
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
    for name in [name for name, body in bodies.items() if body["target"]["python"].endswith("t")]:
        del bodies[name]  # uv has no way to ask for a free-threaded Python that is not there
    requests = {name: request_of(body) for name, body in bodies.items()}
    lines = {name: Line(name) for name in bodies}
    stopwatch = Stopwatch()
    collect_as_a_server()
    with WorldIndex(ShelfWorld(shelf)) as index:
        for name, line in lines.items():
            line.first = stopwatch.solve(requests[name], shelf, Line(name))
            said = ask_uv(uv, bodies[name], index.url, scratch, offline=False)
            line.same = said == pins_of(requests[name], shelf)
        for _ in range(runs):
            for name, line in lines.items():
                line.ours += [stopwatch.solve(requests[name], shelf, line) for _ in range(5)]
                began, worked = time.perf_counter(), _work_of_children()
                ask_uv(uv, bodies[name], index.url, scratch, offline=True)
                line.uv.append(time.perf_counter() - began)
                line.uv_work.append(_work_of_children() - worked)
    return list(lines.values())


def _work_of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def collect_as_a_server() -> None:
    """Set Python's collector of cycles as a server has it, with the catalog in memory."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


class Stopwatch:
    """Times `solve`, and within it the making of the lock."""

    def __init__(self) -> None:
        self._make_lock = solving.make_lock
        self._seconds = 0.0
        solving.make_lock = self._timed

    def _timed(self, request: ResolveRequest, answers: Sequence[Any]) -> Lock:
        began = time.perf_counter()
        lock = self._make_lock(request, answers)
        self._seconds = time.perf_counter() - began
        return lock

    def solve(self, request: ResolveRequest, shelf: MemoryShelf, line: Line) -> float:
        """Resolve in this process, with everything at hand; give the seconds."""
        began, worked = time.perf_counter(), time.process_time()
        try:
            found = replay(request, shelf)
        except Unsatisfiable:
            line.work.append(time.process_time() - worked)
            return time.perf_counter() - began
        seconds = time.perf_counter() - began
        line.work.append(time.process_time() - worked)
        line.projects, line.decisions, line.conflicts = len(found.lock.pins), found.decisions, found.conflicts
        line.locks.append(self._seconds)
        began = time.perf_counter()
        write_json(found.lock)
        line.json.append(time.perf_counter() - began)
        return seconds


def many(count: int) -> tuple[ResolveRequest, MemoryShelf]:
    """Make a request for many projects, and what they are found in.

    Each has 30 versions and depends on five others, of about its own version or older.
    """
    shelf = MemoryShelf()
    for number in range(count):
        name = normalize(f"project-{number}")
        others = sorted({(number * factor + 1) % count for factor in (3, 7, 11, 13, 17)} - {number})
        files, told = [], []
        for version in range(1, 31):
            filename = f"project_{number}-{version}.0-py3-none-any.whl"
            parsed = parse_filename(filename)
            assert parsed is not None
            url = f"https://recorded.invalid/{filename}"
            files.append(DistFile(filename, url, name, parsed.version, "wheel", parsed.tag))
            requires = tuple(f"project-{other}>={max(1, version - 5)}" for other in others)
            told.append(CoreMetadata(name, parsed.version, None, requires))
        universe = Universe(Listing(name, str(number), tuple(files)))
        for file, metadata in zip(files, told, strict=True):
            universe.set_metadata(file, metadata)
        shelf.put(universe)
    text = "\n".join(f"project-{number}>=2" for number in range(count))
    return request_of({"text": text, "target": {"python": "3.11", "platform": "linux-x86_64"}}), shelf


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


# telling


def table(lines: Sequence[Line]) -> str:
    """Write the results as a Markdown table."""
    rows = [f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * (len(COLUMNS) - 2)} --- |"]
    rows += [_row(line) for line in lines]
    return "\n".join(rows) + "\n"


def _row(line: Line) -> str:
    cells = [
        line.name,
        "no answer" if line.projects is None else str(line.projects),
        str(line.decisions),
        f"**{_ms(line.ours)}**",
        _ms(line.locks),
        _ms(line.json),
        f"{line.first * 1e3:.1f} ms",
        f"{min(line.uv) * 1e3:.0f} ms",
        f"{line.ratio:.0f}×",
        "yes" if line.same else "no",
    ]
    return f"| {' | '.join(cells)} |"


def _ms(seconds: Sequence[float]) -> str:
    return f"{min(seconds) * 1e3:.2f} ms" if seconds else ""


def summary(lines: Sequence[Line], counts: Mapping[int, Line]) -> str:
    """Say what it comes to."""
    ratios = sorted(line.ratio for line in lines)
    works = sorted(line.work_ratio for line in lines)
    rows = [
        "| what | measured |",
        "| --- | ---: |",
        f"| ratio to uv: median of {len(lines)} inputs | **{statistics.median(ratios):.0f}×** |",
        f"| worst, best | **{ratios[0]:.0f}×**, {ratios[-1]:.0f}× |",
        f"| the same in processor time: median; worst | {statistics.median(works):.0f}×; {works[0]:.0f}× |",
    ]
    large = [min(line.ours) for line in lines if line.projects in LARGE]
    if large:
        sizes = f"{LARGE.start} to {LARGE.stop - 1} projects ({len(large)} inputs)"
        rows.append(f"| {sizes}: slowest | **{_ms([max(large)])}** |")
    walks = [min(line.ours) for line in hard(lines)]
    if walks:
        rows.append(f"| hard walk-backs ({len(walks)} inputs): slowest | **{_ms([max(walks)])}** |")
    rows += [
        f"| {count:,} requirements | {_ms(line.ours)}, {_ms(line.work)} of a processor |"
        for count, line in counts.items()
    ]
    return "\n".join(rows) + "\n"


def hard(lines: Sequence[Line]) -> list[Line]:
    """Give the walk-backs."""
    return [line for line in lines if line.name in HARD]


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
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where table and picture go")
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="resolve-"))
    try:
        if options.what == "record":
            return _record(
                options.names or sorted(path.stem for path in (HERE / "inputs").glob("*.txt")), uv, scratch
            )
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
    counts = {} if options.names else {count: _time_many(count, options.runs) for count in (1, 10, 100, 1000)}
    files = sum(len(recorded["files"]) for recorded in world.projects.values())
    metadata = sum(len(recorded["metadata"]) for recorded in world.projects.values())
    version = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    text = (
        "# Resolving, in a recorded world\n\n"
        f"The fastest of {options.runs} interleaved runs (ours of 5 in each), for whatever else the machine does "
        f"can only add; {datetime.now(UTC):%Y-%m-%d}, load average {os.getloadavg()[0]:.1f} at the end.\n"
        f"{machine()}; {version}. The world has {len(world.projects)} projects with {files:,} files, and the "
        f"metadata of {metadata:,} of them: what uv or venvery looked at when it was recorded.\n\n"
        f"{summary(lines, counts)}\n![The ratios as bars](resolve.svg)\n\n{ABOUT}\n"
        "Requirements by the number: each on a project of its own, with 30 versions, five dependencies each.\n\n"
        f"## Walk-backs\n\n{table(hard(lines))}\n## All inputs\n\n{table(lines)}"
    )
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "resolve.md").write_text(text, encoding="utf-8")
    (options.results / "resolve.svg").write_text(picture(lines), encoding="utf-8")
    return 0


def _time_many(count: int, runs: int) -> Line:
    request, shelf = many(count)
    line, stopwatch = Line(f"{count} requirements"), Stopwatch()
    line.ours = [stopwatch.solve(request, shelf, line) for _ in range(1 + runs * 5)]
    assert line.projects is not None
    return line


if __name__ == "__main__":
    raise SystemExit(main())
