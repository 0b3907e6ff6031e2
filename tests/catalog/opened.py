"""A catalog on a data folder, opened for one test."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.support.index_server import IndexServer
from venvery.catalog.catalog import Catalog
from venvery.catalog.reporter import Reporter
from venvery.model.files import DistFile, Listing
from venvery.model.names import NormalizedName, normalize
from venvery.model.sources import NetworkSettings, SourceSpec
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

T = TypeVar("T")


class Clock:
    """A clock that goes when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Heard(Reporter):
    """Counts what the catalog tells."""

    listings: Counter[str] = field(default_factory=Counter)
    metadata: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def listing_read(self, project: NormalizedName, source: str, how: str) -> None:
        self.listings[how] += 1

    def metadata_read(self, file: DistFile, how: str) -> None:
        self.metadata[how] += 1

    def retrying(self, url: str, reason: str, wait: float) -> None:
        self.waits.append(wait)

    def fetch_done(self, file: DistFile) -> None:
        self.fetched.append(file.filename)


async def no_sleep(_seconds: float) -> None:
    """Wait for nothing but one's turn."""
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def opened(data: Path, sources: Sequence[SourceSpec], **options: Any) -> AsyncIterator[Catalog]:
    """Open a catalog as a new process would: everything that it knows is in the data folder."""
    options.setdefault("sleep", no_sleep)
    options.setdefault("network", NetworkSettings(connect_timeout=2.0, read_timeout=2.0, retries=2))
    with Database.open(data / "venvery.sqlite", clock=options.get("clock", Clock())) as database:
        blobs = Blobs.open_folder(data / "blobs")
        async with Catalog(sources, database=database, blobs=blobs, **options) as catalog:
            yield catalog


def of(index: IndexServer, name: str = "index") -> SourceSpec:
    """Give the source that an index server is."""
    return SourceSpec(name, "index", index.url.rstrip("/"))


def run(data: Path, sources: Sequence[SourceSpec], work: Callable[[Catalog], Awaitable[T]], **options: Any) -> T:
    """Open a catalog, do one thing with it, and close it."""

    async def all_of_it() -> T:
        async with opened(data, sources, **options) as catalog:
            return await work(catalog)

    return asyncio.run(all_of_it())


def listing(data: Path, sources: Sequence[SourceSpec], project: str, **options: Any) -> Listing:
    """Read one listing."""
    name = normalize(project)

    async def work(catalog: Catalog) -> Listing:
        return (await catalog.listings([name]))[name]

    return run(data, sources, work, **options)


def metadata(data: Path, sources: Sequence[SourceSpec], project: str, **options: Any) -> dict[str, Any]:
    """Read the metadata of all files of one project, by file name."""
    name = normalize(project)

    async def work(catalog: Catalog) -> dict[str, Any]:
        files = (await catalog.listings([name]))[name].files
        found = await catalog.metadata(files)
        return {file.filename: found[file.key] for file in files}

    return run(data, sources, work, **options)


def fetch(data: Path, sources: Sequence[SourceSpec], project: str, **options: Any) -> bytes:
    """Fetch the first file of one project and give its bytes."""
    name = normalize(project)

    async def work(catalog: Catalog) -> bytes:
        file = (await catalog.listings([name]))[name].files[0]
        return Blobs(data / "blobs").read(await catalog.fetch(file))

    return run(data, sources, work, **options)


def blobs_in(data: Path) -> list[str]:
    """List everything in the blobs folder, half-written things too."""
    files = (path for path in (data / "blobs").rglob("*") if path.is_file() and path.name != "gate")
    return sorted(str(path.relative_to(data)) for path in files)
