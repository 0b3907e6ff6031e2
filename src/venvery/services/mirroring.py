"""Mirroring ahead of need: the whole closure of some requirements, for every target that will ask for it.

Each target is resolved on its own, as its machines will do it: where one has no answer, or no wheel, the others
get theirs all the same, and the report says what is missing where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from venvery.catalog.sharing import all_of
from venvery.errors import AnswerIsNo, NotFound, NoUsableFile
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin

if TYPE_CHECKING:
    from venvery.catalog.catalog import Catalog
    from venvery.services.house import House
    from venvery.storage.blobs import Blobs

__all__ = ["Gap", "Mirrored", "mirror"]

AT_ONCE = 8
"""Files that are fetched at the same time."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a target will miss."""

    target: str
    why: str
    project: str | None = None
    """None: there is no answer at all for the target."""
    version: str | None = None

    def to_json(self) -> dict[str, str]:
        """Give it as plain values."""
        values = {"target": self.target, "project": self.project, "version": self.version, "why": self.why}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(slots=True)
class Mirrored:
    """What is there now."""

    targets: list[str] = field(default_factory=list)
    releases: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """(project, version) → target → the file that it will take."""
    files: int = 0
    new: int = 0
    """How many of the files were not there before."""
    bytes: int = 0
    gaps: list[Gap] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "targets": self.targets,
            "files": self.files,
            "new": self.new,
            "bytes": self.bytes,
            "releases": [
                {"project": project, "version": version, "files": files}
                for (project, version), files in sorted(self.releases.items())
            ],
            "gaps": [gap.to_json() for gap in self.gaps],
        }


async def mirror(
    house: House,
    blobs: Blobs,
    body: Mapping[str, Any],
    targets: Sequence[Mapping[str, Any]],
    *,
    all_files: bool = False,
) -> Mirrored:
    """Fetch what requirements come to on each of some targets, and the metadata beside it.

    `all_files`: every file that serves a target, not only the one that it would choose. Raises as `resolve`
    does, but for there being no answer, which is a gap; `WrongHash`, `StorageFailed`.
    """
    done = Mirrored()
    wanted: dict[str, DistFile] = {}
    for target in targets:
        asked = house.read({**body, "targets": [target]})
        label = str(asked.resolve.targets[0])
        done.targets.append(label)
        try:
            lock = (await house.resolve(asked)).lock
        except AnswerIsNo as no:
            done.gaps.append(Gap(label, str(no)))
            continue
        for pin in lock.pins:
            chosen = _choose(lock, pin, label, done)
            files = pin.files if all_files else (chosen,) if chosen is not None else ()
            wanted.update((file.key, file) for file in files)
    view = body.get("view")
    await _fetch(house.views.get(view).catalog, blobs, wanted.values(), done)
    return done


def _choose(lock: Lock, pin: Pin, label: str, done: Mirrored) -> DistFile | None:
    """Give the file that a target will take, and note what is wrong with that."""
    release = done.releases.setdefault((pin.project, str(pin.version)), {})
    try:
        chosen = lock.wheel_for(pin)
    except NoUsableFile:
        sdist = next((file for file in pin.files if file.kind == "sdist"), None)
        why = "only a source distribution, which has to be built" if sdist is not None else "no file at all"
        done.gaps.append(Gap(label, why, pin.project, str(pin.version)))
        if sdist is None:
            return None
        chosen = sdist
    release[label] = chosen.filename
    return chosen


async def _fetch(catalog: Catalog, blobs: Blobs, files: Iterable[DistFile], done: Mirrored) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def fetch(file: DistFile) -> None:
        async with limit:
            there = catalog.has(file)
            digest = await catalog.fetch(file)
            if file.kind == "wheel":
                try:
                    await catalog.sidecar(file)
                except NotFound as missing:
                    done.gaps.append(Gap("every target", str(missing), file.project, str(file.version)))
        done.files += 1
        done.new += not there
        done.bytes += blobs.size(digest)

    await all_of(fetch(file) for file in files)
