"""Writes behind: what was learnt goes to the database in batches, while the event loop goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from venvery.model.files import CoreMetadata, NoMetadata
from venvery.storage.database import Database
from venvery.storage.listings import StoredListing

__all__ = ["Keeper"]

DELAY = 0.5
"""Seconds for which what was learnt waits for more of its kind, and for whoever asked to get the answer."""


class Keeper:
    """Collects what is to be kept; one thread at a time writes all that came together meanwhile.

    Nothing here is lost that could not be fetched again. A failure to write is raised at the next `check`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listings: dict[tuple[int, str], Callable[[], StoredListing]] = {}
        self._being_written: dict[tuple[int, str], Callable[[], StoredListing]] = {}
        self._checked: list[tuple[int, str, float]] = []
        self._metadata: dict[str, CoreMetadata | NoMetadata] = {}
        self._metadata_being_written: dict[str, CoreMetadata | NoMetadata] = {}
        self._abilities: list[tuple[str, str, bool]] = []
        self._writing: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._hurry = asyncio.Event()

    def listing(self, source: int, project: str, make: Callable[[], StoredListing]) -> None:
        """Keep a page of a source; what makes its row runs in the writing thread."""
        self._listings[source, project] = make
        self._start()

    def pending(self, source: int, project: str) -> StoredListing | None:
        """Give a page that is to be kept and may not be in the database yet."""
        make = self._listings.get((source, project)) or self._being_written.get((source, project))
        return None if make is None else make()

    def checked(self, source: int, project: str, now: float) -> None:
        """Keep that a page was found unchanged."""
        self._checked.append((source, project, now))
        self._start()

    def metadata(self, file: str, metadata: CoreMetadata | NoMetadata) -> None:
        """Keep core metadata, or why there is none."""
        self._metadata[file] = metadata
        self._start()

    def pending_metadata(self, file: str) -> CoreMetadata | NoMetadata | None:
        """Give core metadata that is to be kept and may not be in the database yet."""
        return self._metadata.get(file) or self._metadata_being_written.get(file)

    def ability(self, origin: str, ability: str, works: bool) -> None:
        """Keep what a host can do."""
        self._abilities.append((origin, ability, works))
        self._start()

    def check(self) -> None:
        """Raise what went wrong with writing so far (`StorageFailed`)."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def flush(self) -> None:
        """Wait until all is written. Raises `StorageFailed`."""
        self._hurry.set()
        try:
            while self._writing is not None:
                await asyncio.shield(self._writing)
        finally:
            self._hurry.clear()
        self.check()

    def _start(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._listings or self._checked or self._metadata or self._abilities:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), DELAY)
                batch = self._listings, self._checked, self._metadata, self._abilities
                self._listings, self._checked, self._metadata, self._abilities = {}, [], {}, []
                self._being_written, self._metadata_being_written = batch[0], batch[2]
                await asyncio.to_thread(self._store, *batch)
        except BaseException as error:
            self._failure = error
        finally:
            self._being_written, self._metadata_being_written = {}, {}
            self._writing = None

    def _store(
        self,
        listings: dict[tuple[int, str], Callable[[], StoredListing]],
        checked: list[tuple[int, str, float]],
        metadata: dict[str, CoreMetadata | NoMetadata],
        abilities: list[tuple[str, str, bool]],
    ) -> None:
        self._database.listings.put_many([make() for make in listings.values()])
        self._database.listings.note_checked(checked)
        self._database.metadata.put_many(metadata)
        for origin, ability, works in abilities:
            self._database.sources.note_ability(origin, ability, works)
