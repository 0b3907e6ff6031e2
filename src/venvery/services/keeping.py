"""Keeps the data folder within its size: what was not used for longest goes first, what is in use never goes.

What goes can be had again: a wheel from its source, a layer from its wheel, and so an environment from its lock,
which stays. What was uploaded exists nowhere else and stays. Listings, core metadata, answers and locks are
small and stay; of locks the newest.

A row goes before its bytes: a killed prune leaves bytes that no row names, and the next prune removes them.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from venvery.client.locks import FolderLock
from venvery.config import Configuration
from venvery.errors import BadConfiguration, NotFound
from venvery.storage.blobs import BlobFile, Blobs
from venvery.storage.database import Database
from venvery.storage.holdings import HoldingRow, Kind

__all__ = ["Goal", "Keeper", "Pruned", "Removed", "open_folder", "open_keeper"]

MOST_ENVIRONMENTS = 20_000
"""Environments whose locks are kept; those that were not used for longest go first."""
SPARE = 30.0
"""Seconds for which automatic eviction leaves alone what was just used: who asked for it may not be done."""
LOW_WATER = 0.9
"""The part of the size limit down to which automatic eviction goes, so that it need not come back at once."""
ORPHAN_AGE = 600.0
"""Seconds after which bytes that no row names are removed."""
WORTH = 64
"""Bytes below which removing saves nothing, as with the bytecode of wheels that have no modules."""
BATCH = 32
"""Holdings removed at a time; nobody can begin to stream meanwhile."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a prune is to reach."""

    size: int | None = None
    """Bytes that the data folder may have."""
    unused_for: float | None = None
    """Seconds without use after which something goes in any case."""
    spare: float = 0.0
    """Seconds since its last use during which nothing goes."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """A layer or a file that went."""

    kind: Kind
    name: str
    size: int
    used_at: float

    def to_json(self) -> dict[str, Any]:
        """Write as `prune --json` prints it."""
        used = datetime.fromtimestamp(self.used_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"kind": self.kind, "name": self.name, "bytes": self.size, "last_used": used}


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did, or would do."""

    before: int
    """Bytes of the data folder."""
    after: int
    database: int
    """Bytes of the database, which are part of both and are not pruned."""
    goal: Goal
    removed: tuple[Removed, ...] = ()
    orphans: tuple[int, int] = (0, 0)
    """How many blobs that no row names went, and their bytes."""
    in_use: int = 0
    """Layers and files that would have gone, were they not in use."""
    environments: int = 0
    """Locks of environments that were forgotten, because there are too many."""

    def to_json(self) -> dict[str, Any]:
        """Write as `prune --json` prints it."""
        return {
            "dry_run": self.goal.dry_run,
            "bytes_before": self.before,
            "bytes_after": self.after,
            "bytes_database": self.database,
            "max_size": self.goal.size,
            "removed": [one.to_json() for one in self.removed],
            "orphans": {"count": self.orphans[0], "bytes": self.orphans[1]},
            "kept_in_use": self.in_use,
            "environments_forgotten": self.environments,
        }


@dataclass(frozen=True, slots=True)
class _Holding:
    """Rows that hold the same blobs."""

    rows: tuple[HoldingRow, ...]
    blobs: tuple[str, ...]
    size: int
    used_at: float

    @property
    def order(self) -> tuple[float, bool]:
        """Unused for longest first; of equals a file before a layer, for layers are what is sent."""
        return self.used_at, self.rows[0].kind == "layer"

    @property
    def stays(self) -> bool:
        """Whether any of it was uploaded, and so exists nowhere else."""
        return any(row.kind == "hosted" for row in self.rows)


@dataclass(slots=True)
class _Survey:
    """What there is."""

    taken_at: float
    size: int
    database: int
    holdings: list[_Holding]
    orphans: list[BlobFile]
    references: Counter[str] = field(default_factory=Counter)
    """How many holdings have a blob."""


class Keeper:
    """Looks after one data folder; several processes may do so at once."""

    def __init__(
        self, folder: Path, database: Database, blobs: Blobs, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._seen = -1
        """`Blobs.written` when the size was last seen to be within its limit."""

    def size(self) -> int:
        """Count the bytes of the data folder."""
        return self._database.size() + self._blobs.coming() + sum(file.size for file in self._blobs.files())

    def evict(self, most: int) -> Pruned | None:
        """Prune if more than `most` bytes are there now; None when nothing had to be done.

        Cheap while this process writes nothing.
        """
        written = self._blobs.written
        if written == self._seen:
            return None
        if self.size() <= most:
            self._seen = written
            return None
        pruned = self.prune(Goal(int(most * LOW_WATER), spare=SPARE))
        if pruned.after <= most:
            self._seen = written
        return pruned

    def prune(self, goal: Goal) -> Pruned:
        """Remove what no row names, then what was not used for longest, until the goal is reached.

        Raises `StorageFailed`.
        """
        with FolderLock(str(self._folder / "prune.lock")):  # two at once would each remove enough
            if not goal.dry_run:
                self._blobs.clear_incoming()
            survey = self._survey()
            orphans = self._remove_orphans(survey, goal)
            done = Pruned(survey.size, survey.size - orphans[1], survey.database, goal, orphans=orphans)
            done = self._remove_unused(survey, done)
            forgotten = 0 if goal.dry_run else self._database.environments.keep_newest(MOST_ENVIRONMENTS)
            return replace(done, environments=forgotten)

    def _survey(self) -> _Survey:
        taken_at = self._clock()
        rows = self._database.holdings.all()  # before the blobs: a row that is new since then is seen later
        blobs = {file.digest: file for file in self._blobs.files()}
        together: dict[tuple[str, ...], list[HoldingRow]] = {}
        for row in rows:
            together.setdefault(tuple(sorted({digest for digest, _size in row.blobs})), []).append(row)
        holdings = [
            _Holding(tuple(same), digests, *_size_and_use(digests, blobs, taken_at))
            for digests, same in together.items()
        ]
        references = Counter(digest for holding in holdings for digest in holding.blobs)
        orphans = [
            file
            for file in blobs.values()
            if file.digest not in references and file.used_at < taken_at - ORPHAN_AGE
        ]
        database = self._database.size()
        size = database + self._blobs.coming() + sum(file.size for file in blobs.values())
        return _Survey(taken_at, size, database, holdings, orphans, references)

    def _remove_orphans(self, survey: _Survey, goal: Goal) -> tuple[int, int]:
        going: list[BlobFile] = []
        for batch in _batches(survey.orphans):
            with self._blobs.leases.removing() as in_use:
                newer = self._database.holdings.newer_than(survey.taken_at)
                unwanted = [file for file in batch if file.digest not in in_use | newer]
                for file in unwanted:
                    if not goal.dry_run:
                        self._blobs.delete(file.digest)
                going += unwanted
        return len(going), sum(file.size for file in going)

    def _remove_unused(self, survey: _Survey, done: Pruned) -> Pruned:
        """Go through the holdings in their order, until the goal is reached."""
        goal = done.goal
        newest = survey.taken_at - goal.spare
        waiting = deque(
            sorted(
                (one for one in survey.holdings if not one.stays and one.size >= WORTH and one.used_at <= newest),
                key=lambda holding: holding.order,
            )
        )
        too_old = float("-inf") if goal.unused_for is None else survey.taken_at - goal.unused_for
        while batch := list(_next_batch(waiting, too_old, done.after, goal.size)):
            removed = self._remove(batch, survey, goal.dry_run)
            done = replace(
                done,
                after=done.after - sum(one.size for one in removed),
                removed=done.removed + tuple(removed),
                in_use=done.in_use + len(batch) - len(removed),
            )
        return done

    def _remove(self, batch: list[_Holding], survey: _Survey, dry_run: bool) -> list[Removed]:
        """Remove what is not in use, rows first."""
        with self._blobs.leases.removing() as in_use:
            going = [one for one in batch if in_use.isdisjoint(one.blobs) and not self._used_since(one, survey)]
            newer: frozenset[str] = frozenset()
            if not dry_run and going:
                rows = [row for holding in going for row in holding.rows]
                newer = self._database.holdings.forget_all_but(rows, survey.taken_at)
            return [self._drop(holding, survey, in_use | newer, dry_run) for holding in going]

    def _used_since(self, holding: _Holding, survey: _Survey) -> bool:
        return any(used > survey.taken_at for used in map(self._blobs.used_at, holding.blobs) if used is not None)

    def _drop(self, holding: _Holding, survey: _Survey, wanted: frozenset[str], dry_run: bool) -> Removed:
        freed = 0
        for digest in holding.blobs:
            survey.references[digest] -= 1
            if not survey.references[digest] and digest not in wanted:
                with contextlib.suppress(NotFound):
                    freed += self._blobs.size(digest)
                if not dry_run:
                    self._blobs.delete(digest)
        row = holding.rows[0]
        return Removed(row.kind, row.name, freed, holding.used_at)


def _size_and_use(digests: Iterable[str], blobs: dict[str, BlobFile], now: float) -> tuple[int, float]:
    """Add up blobs that are there; what was used at a time to come, as clocks have it, was used now."""
    there = [blobs[digest] for digest in digests if digest in blobs]
    return sum(file.size for file in there), min(max((file.used_at for file in there), default=0.0), now)


def _next_batch(waiting: deque[_Holding], too_old: float, size: int, most: int | None) -> Iterator[_Holding]:
    for _ in range(BATCH):
        over = most is not None and size > most
        if not waiting or not (over or waiting[0].used_at < too_old):
            return
        holding = waiting.popleft()
        size -= holding.size
        yield holding


def _batches(files: list[BlobFile]) -> Iterator[list[BlobFile]]:
    for start in range(0, len(files), BATCH):
        yield files[start : start + BATCH]


@contextlib.contextmanager
def open_keeper(configuration: Configuration) -> Iterator[Keeper]:
    """Open the data folder to look after it. Raises as `open_folder` does."""
    with open_folder(configuration) as (database, blobs):
        yield Keeper(configuration.data, database, blobs)


@contextlib.contextmanager
def open_folder(configuration: Configuration) -> Iterator[tuple[Database, Blobs]]:
    """Open the data folder alone; no source is needed.

    Raises `StorageFailed`, and `BadConfiguration` when there is no data folder yet.
    """
    if not configuration.has_database():
        raise BadConfiguration(
            f"{configuration.data} is no data folder", hint="name one with --data or VENVERY_DATA"
        )
    with Database.open(configuration.database_at) as database:
        yield database, Blobs.open_folder(configuration.data / "blobs")
