"""A house on a data folder, opened for one test, with a clock that goes when told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.catalog.opened import Clock, of, opened
from tests.support.index_server import IndexServer
from venvery.catalog.catalog import Catalog
from venvery.model.sources import SourceSpec
from venvery.services.documents import Defaults
from venvery.services.house import House
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

__all__ = ["JOB", "TARGET", "Opened", "ask", "in_house", "versions"]

T = TypeVar("T")

TARGET = {"python": "3.11", "platform": "linux-x86_64"}
JOB: dict[str, Any] = {"requirements": ["django>=1.8", "requests>=2.7"], "target": TARGET}


class Opened:
    """A house with what it stands on."""

    def __init__(self, house: House, catalog: Catalog, database: Database) -> None:
        self.house, self.catalog, self.database = house, catalog, database


@contextlib.asynccontextmanager
async def opened_house(data: Path, sources: Sequence[SourceSpec], **options: Any) -> AsyncIterator[Opened]:
    """Open a house as a new process would."""
    allowed = options.pop("allowed_urls", ())
    further = {name: options.pop(name) for name in ("limits", "policy") if name in options}
    clock = options.setdefault("clock", Clock())
    async with opened(data, sources, **options) as catalog:
        with Database.open(data / "venvery.sqlite", clock=clock) as database:
            house = House(
                catalog,
                database,
                Blobs.open_folder(data / "blobs"),
                allowed_urls=allowed,
                defaults=Defaults("3.11", "linux-x86_64"),
                **further,
            )
            try:
                yield Opened(house, catalog, database)
            finally:
                await house.close()


def in_house(
    data: Path, index: IndexServer | Sequence[SourceSpec], work: Callable[[Opened], Awaitable[T]], **options: Any
) -> T:
    """Open a house, do one thing in it, close it."""

    async def all_of_it() -> T:
        sources = [of(index)] if isinstance(index, IndexServer) else index
        async with opened_house(data, sources, **options) as house:
            return await work(house)

    return asyncio.run(all_of_it())


async def ask(opened: Opened, body: dict[str, Any] | None = None) -> tuple[dict[str, str], bool]:
    """Ask for a lock; give its versions by project, and whether it was remembered."""
    answered = await opened.house.resolve(opened.house.read(JOB if body is None else body))
    return versions(answered.lock), answered.remembered


def versions(lock: Any) -> dict[str, str]:
    """Give the versions of a lock by project."""
    return {str(pin.project): str(pin.version) for pin in lock.pins}
