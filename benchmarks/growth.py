"""Measures how time, memory and the database grow with the catalog, and time with the number of requirements.

    python benchmarks/growth.py                          catalogs of 1,000 to 1,000,000 releases; needs no network
    python benchmarks/growth.py --releases 1000 10000    these

The catalogs are made up: projects of 25 releases, each with a wheel and an sdist, in six tiers, each project
requiring two of the next tier, its releases not all the same two. Every catalog is measured in processes of its
own. Writes a table to stdout and to results/growth.md, and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Line, line_chart  # noqa: E402
from timing import machine  # noqa: E402

from venvery.catalog.catalog import Catalog  # noqa: E402
from venvery.catalog.pages import Link  # noqa: E402
from venvery.catalog.rows import revision_of, rows_of  # noqa: E402
from venvery.catalog.sources import identify  # noqa: E402
from venvery.config import Configuration, Limits  # noqa: E402
from venvery.model.files import CoreMetadata  # noqa: E402
from venvery.model.names import NormalizedName  # noqa: E402
from venvery.model.sources import SourceSpec  # noqa: E402
from venvery.model.versions import parse_version  # noqa: E402
from venvery.services.house import House, open_house  # noqa: E402
from venvery.storage.compression import pack  # noqa: E402
from venvery.storage.database import Database  # noqa: E402
from venvery.storage.listings import StoredListing  # noqa: E402

SIZES = (1_000, 10_000, 100_000, 1_000_000)
REQUIREMENTS = (1, 10, 100, 1_000, 10_000)
PER_PROJECT, TIERS = 25, 6
SOURCE = SourceSpec("made-up", "index", "https://made-up.invalid/simple")
TARGET = {"python": "3.11", "platform": "linux-x86_64"}
VERSIONS = tuple(f"{number // 5}.{number % 5}" for number in range(PER_PROJECT))
_COLUMNS = (
    *("releases", "projects", "database", "bytes a release", "one request, cold", "the same, hot"),
    *("load everything", "per release", "memory, resident", "per release", "traced, per release"),
)
_WORDS = """*Cold*: all is in the database, and nothing in the memory of the process. *Hot*: all that the request
needs is in memory, and the answer is computed all the same. *Load everything*: every listing is read into memory,
and *resident* is by how much the process grew, *traced* what Python's allocations came to. A release has two
files. What is held in memory is bounded (400,000 files), so the largest catalog is not held whole.
"""
HOLD = 200
"""Projects that are written to the database at a time."""


# what is made up


def name_of(tier: int, number: int) -> NormalizedName:
    """Name a project."""
    return NormalizedName(f"tier-{tier}-project-{number}")


def releases_of(tier: int, number: int, width: int) -> Iterator[tuple[str, list[str]]]:
    """Give the releases of a project: version and what it requires. The same for the same numbers."""
    dice = random.Random(f"{tier}/{number}/{width}")
    some = [int(width * dice.random() ** 3) for _ in range(3)]  # a few projects are required by many
    for place, version in enumerate(VERSIONS):
        if tier + 1 == TIERS:
            yield version, []
            continue
        two = (some[0], some[1] if place % 5 else some[2])
        floor = VERSIONS[dice.randrange(place + 1)]
        yield version, [f"{name_of(tier + 1, other)}>={floor}" for other in two]


def fill(database: Database, releases: int) -> int:
    """Put a catalog of so many releases into a database; give how many projects each tier has."""
    width = max(releases // PER_PROJECT // TIERS, 3)
    source = database.sources.identify(*_identity(database))
    listings: list[StoredListing] = []
    metadata: dict[str, CoreMetadata] = {}
    for tier in range(TIERS):
        for number in range(width):
            listings.append(_listing(source, tier, number, width, database.clock(), metadata))
            if len(listings) == HOLD:
                _write(database, listings, metadata)
    _write(database, listings, metadata)
    return width


def _identity(database: Database) -> tuple[str, str, str]:
    digest, location = identify(SOURCE)
    return digest, SOURCE.kind, location


def _write(database: Database, listings: list[StoredListing], metadata: dict[str, CoreMetadata]) -> None:
    database.listings.put_many(listings)
    database.metadata.put_many(metadata)
    listings.clear()
    metadata.clear()


def _listing(
    source: int, tier: int, number: int, width: int, now: float, metadata: dict[str, CoreMetadata]
) -> StoredListing:
    project = name_of(tier, number)
    stem = project.replace("-", "_")
    links = []
    for place, (version, requires) in enumerate(releases_of(tier, number, width)):
        for filename in (f"{stem}-{version}-py3-none-any.whl", f"{stem}-{version}.tar.gz"):
            digest = hashlib.sha256(filename.encode()).hexdigest()
            url = f"https://files.invalid/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}"
            uploaded = 1.6e9 + 86_400.0 * place
            links.append(Link(filename, url, {"sha256": digest}, ">=3.8", None, digest, 12_345 + place, uploaded))
            metadata[digest] = CoreMetadata(project, parse_version(version), ">=3.8", tuple(requires))
    rows = rows_of(project, links, now=now)
    return StoredListing(source, project, True, revision_of(rows), None, None, None, now, pack(rows))


# what is measured, in a process of its own


def measure(part: str, data: Path, releases: int, width: int) -> dict[str, float]:
    """Measure one thing on a catalog that nobody has looked at in this process."""
    configuration = Configuration(
        data=data,
        sources=(SOURCE,),
        freshness_seconds=1e9,
        limits=Limits(requirements=20_000, solver_seconds=600.0),
    )
    part_of: dict[str, Callable[[House, int, int], Any]] = {
        "cold": _cold,
        "memory": _memory,
        "traced": _traced,
        "requirements": _requirements,
    }

    async def work() -> dict[str, float]:
        async with open_house(configuration) as house:
            found: dict[str, float] = await part_of[part](house, releases, width)
            return found

    return asyncio.run(work())


async def _cold(house: House, releases: int, width: int) -> dict[str, float]:
    """Time a request with all in the database and nothing in memory, and the same when all it needs is held."""
    await resolve(house, [name_of(TIERS - 1, width - 1)])  # what is imported late is not counted
    began = time.perf_counter()
    pins = await resolve(house, [name_of(0, 0)])
    cold = time.perf_counter() - began
    hot = []
    for number in range(25):
        began = time.perf_counter()
        await resolve(house, [name_of(0, 0)], number)
        hot.append(time.perf_counter() - began)
    return {"pins": pins, "cold": cold, "hot": min(hot)}


async def _memory(house: House, releases: int, width: int) -> dict[str, float]:
    """Load everything, and tell what that takes."""
    await resolve(house, [name_of(TIERS - 1, width - 1)])
    catalog = _catalog(house)
    gc.collect()
    before, began = _resident(), time.perf_counter()
    for names in _batches(width):
        await catalog.listings(names)
    loaded = time.perf_counter() - began
    gc.collect()
    return {"load": loaded, "resident": _resident() - before}


async def _traced(house: House, releases: int, width: int) -> dict[str, float]:
    """Load everything once more, with every allocation counted."""
    await resolve(house, [name_of(TIERS - 1, width - 1)])
    tracemalloc.start()
    for names in _batches(width):
        await _catalog(house).listings(names)
    gc.collect()
    return {"traced": tracemalloc.get_traced_memory()[0]}


async def _requirements(house: House, releases: int, width: int) -> dict[str, float]:
    """Time requests with more and more requirements, cold and hot."""
    found = {}
    names = [name_of(number % TIERS, number // TIERS) for number in range(TIERS * width)]
    for count in REQUIREMENTS:
        if count > len(names):
            break
        asked = names[:count]
        began = time.perf_counter()
        found[f"pins {count}"] = float(await resolve(house, asked))
        found[f"first {count}"] = time.perf_counter() - began
        hot = []
        for number in range(2 if count > 1_000 else 7):
            began = time.perf_counter()
            await resolve(house, asked, number)
            hot.append(time.perf_counter() - began)
        found[f"hot {count}"] = min(hot)
    return found


async def resolve(house: House, names: Sequence[str], number: int | None = None) -> int:
    """Ask for projects as nobody has before; give how many were pinned."""
    body: dict[str, Any] = {"requirements": list(names), "target": TARGET}
    if number is not None:
        body["constraints"] = [f"nobody-needs-this<{number}"]
    return len((await house.resolve(house.read(body))).lock.pins)


def _catalog(house: House) -> Catalog:
    return house.views.get(None).catalog


def _batches(width: int) -> Iterator[list[NormalizedName]]:
    for tier in range(TIERS):
        for start in range(0, width, HOLD):
            yield [name_of(tier, number) for number in range(start, min(start + HOLD, width))]


def _resident() -> int:
    """Give the bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def apart(part: str, data: Path, releases: int, width: int) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--part", part, "--data", str(data)]
    command += ["--releases", str(releases), "--width", str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


# telling


def measure_all(sizes: Sequence[int], scratch: Path, runs: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Measure every catalog."""
    found, requirements = [], {}
    for releases in sizes:
        data = scratch / str(releases)
        began = time.perf_counter()
        with Database.open(data / "venvery.sqlite") as database:
            width = fill(database, releases)
        print(f"{releases:,} releases: made in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        one = {"releases": float(width * TIERS * PER_PROJECT), "projects": float(width * TIERS)}
        one["database"] = float((data / "venvery.sqlite").stat().st_size)
        several = [apart("cold", data, releases, width) for _ in range(runs)]
        one |= {name: statistics.median(run[name] for run in several) for name in several[0]}
        one |= apart("memory", data, releases, width) | apart("traced", data, releases, width)
        if releases == min(max(sizes), 100_000):
            requirements = apart("requirements", data, releases, width)
        print(json.dumps(one), file=sys.stderr, flush=True)
        found.append(one)
        shutil.rmtree(data)
    return found, requirements


def tables(found: Sequence[dict[str, float]], requirements: dict[str, float]) -> str:
    """Write the results as Markdown."""
    rows = [
        f"| {' | '.join(_COLUMNS)} |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        count = one["releases"]
        rows.append(
            f"| {count:,.0f} | {one['projects']:,.0f} | {one['database'] / 1e6:,.1f} MB "
            f"| {one['database'] / count:,.0f} | {one['cold'] * 1e3:,.0f} ms | **{one['hot'] * 1e3:.1f} ms** "
            f"| {one['load']:,.2f} s | {one['load'] / count * 1e6:,.0f} µs | {one['resident'] / 1e6:,.0f} MB "
            f"| **{one['resident'] / count:,.0f} B** | {one['traced'] / count:,.0f} B |"
        )
    if requirements:
        rows += ["", "| requirements | pins | for the first time | hot |", "| ---: | ---: | ---: | ---: |"]
        for count in REQUIREMENTS:
            if f"hot {count}" in requirements:
                first, hot = (requirements[f"{name} {count}"] * 1e3 for name in ("first", "hot"))
                pins = requirements[f"pins {count}"]
                rows.append(f"| {count:,} | {pins:,.0f} | {first:,.0f} ms | **{hot:,.1f} ms** |")
    return "\n".join(rows) + "\n"


def picture(found: Sequence[dict[str, float]]) -> str:
    """Draw what grows with the catalog, both axes logarithmic."""
    lines = [
        Line("database, MB", [(one["releases"], one["database"] / 1e6) for one in found]),
        Line("memory with everything loaded, MB", [(one["releases"], one["resident"] / 1e6) for one in found]),
        Line("loading everything, s", [(one["releases"], one["load"]) for one in found]),
        Line("one request, cold, ms", [(one["releases"], one["cold"] * 1e3) for one in found]),
        Line("one request, hot, ms", [(one["releases"], one["hot"] * 1e3) for one in found]),
    ]
    return line_chart("What grows with the catalog", f"made-up catalogs; {machine()}", lines, across="releases")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--releases", type=int, nargs="+", default=list(SIZES), help="sizes of the catalogs")
    parser.add_argument("--runs", type=int, default=3, help="of the cold and the hot request (3)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where table and picture go")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--width", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(measure(options.part, options.data, options.releases[0], options.width)))
        return 0
    scratch = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        found, requirements = measure_all(sorted(options.releases), scratch, options.runs)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = (
        f"# How it grows\n\n{machine()}, {datetime.now(UTC):%Y-%m-%d}; load average {os.getloadavg()[0]:.1f} at "
        f"the end. Medians of {options.runs} processes for the requests.\n\n{_WORDS}\n"
        f"{tables(found, requirements)}\n![The same as lines](growth.svg)\n"
    )
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "growth.md").write_text(text, encoding="utf-8")
    (options.results / "growth.svg").write_text(picture(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
