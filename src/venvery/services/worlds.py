"""Recorded worlds: the part of the catalog that requests touched, in one file, to be replayed without a network.

A world holds file names, not places: no URL, and hashes only of projects for which a request demands them. So it
may be passed on, and a lock that is made from it is one to look at, not one to install from.

    {"venvery_world": 1,
     "requests": [body of /v1/resolve],
     "projects": {name: {"known": bool,
                         "files": [[file name, requires-python, yanked, upload time, hash]],
                         "metadata": {file name: [requires-python, [requires-dist], [extras]]
                                                 | {"reason": text, "needs_build": bool}}}}}

packed as canonical JSON in one zstd frame: equal worlds are equal bytes, for one version of zstd. Upload times are
seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from venvery.catalog.catalog import Catalog
from venvery.catalog.rows import Names
from venvery.errors import BadInput, NotFound, Unsatisfiable
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata
from venvery.model.names import NormalizedName, normalize
from venvery.model.requests import ResolveRequest
from venvery.resolve import MemoryShelf, Resolution, Universe, solve

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["World", "record", "replay"]

FORMAT = 1
SOURCE = "recorded"
PLACE = "https://recorded.invalid/"
_LEVEL = 19


@dataclass(slots=True)
class World:
    """Part of a catalog."""

    projects: dict[NormalizedName, dict[str, Any]] = field(default_factory=dict)
    """As the file has them."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests that were recorded."""

    def add(self, universe: Universe, *, hashes: bool = False) -> None:
        """Add all that is known of a project; what was known of it before stays known."""
        files = [_row(file, hashes) for file in universe.listing.files]
        known = self.projects.get(universe.project, {}).get("metadata", {})
        told = ((file, universe.metadata(file)) for file in universe.listing.files)
        self.projects[universe.project] = {
            "known": universe.listing.known,
            "files": files,
            "metadata": known | {file.filename: _metadata(one) for file, one in told if one is not None},
        }

    def pack(self) -> bytes:
        """Write the world as the bytes of its file."""
        document = {"venvery_world": FORMAT, "requests": self.requests, "projects": self.projects}
        return zstd.compress(canonical_json(document), _LEVEL)

    @classmethod
    def unpack(cls, data: bytes) -> World:
        """Read the bytes of a file. Raises `BadInput`."""
        try:
            document = json.loads(zstd.decompress(data))
        except (zstd.ZstdError, ValueError, RecursionError):
            raise BadInput("this is not a recorded world") from None
        if not isinstance(document, dict) or document.get("venvery_world") != FORMAT:
            raise BadInput(f"this is not a recorded world of format {FORMAT}")
        projects = {normalize(name): recorded for name, recorded in document["projects"].items()}
        return cls(projects, document["requests"])

    def shelf(self) -> MemoryShelf:
        """Make a shelf that holds the whole world. Raises `BadInput`."""
        shelf = MemoryShelf()
        try:
            for project, recorded in self.projects.items():
                shelf.put(_universe(project, recorded))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"the recorded world is damaged: {error!r}") from None
        return shelf


async def record(catalog: Catalog, request: ResolveRequest, body: Mapping[str, Any]) -> World:
    """Record exactly what the solver asks for to answer a request, or to find that there is no answer.

    The same catalog and request give the same world, for nothing is fetched ahead of need: whoever has resolved
    the request before does not wait long. Raises `UrlNotAllowed` for a requirement by URL, and `SourceFailed`.
    """
    shelf = MemoryShelf()
    search = solve(request, shelf)
    with suppress(Unsatisfiable):
        while (need := await asyncio.to_thread(next, search, None)) is not None:
            for listing in (await catalog.listings(need.listings)).values():
                shelf.put(Universe(listing))
            metadata = await catalog.metadata(need.metadata)
            for file in need.metadata:
                shelf.universes[file.project].set_metadata(file, metadata[file.key])
    world = World(requests=[dict(body)])
    hashed = {one.project for one in (*request.requirements, *request.constraints) if one.hashes}
    for project, universe in sorted(shelf.universes.items()):
        world.add(universe, hashes=project in hashed)
    return world


def replay(request: ResolveRequest, shelf: MemoryShelf) -> Resolution:
    """Solve with what is on a shelf. Raises `NotFound` when that is not enough, and as `solve` does."""
    search = solve(request, shelf)
    try:
        need = next(search)
    except StopIteration as done:
        resolution: Resolution = done.value
        return resolution
    missing = [*need.listings, *(file.filename for file in need.metadata)]
    raise NotFound(
        f"the recorded world does not have {', '.join(sorted(missing)[:5])}",
        hint="it holds what the recorded request looked at, and no more: record the new one too",
    )


def _row(file: DistFile, hashes: bool) -> list[Any]:
    time = int(file.upload_time.timestamp()) if file.upload_time else None
    return [file.filename, file.requires_python, file.yanked, time, file.sha256 if hashes else None]


def _metadata(metadata: CoreMetadata | NoMetadata) -> Any:
    if isinstance(metadata, NoMetadata):
        return {"reason": metadata.reason, "needs_build": metadata.needs_build}
    return [metadata.requires_python, list(metadata.requires_dist), list(metadata.provides_extra)]


def _universe(project: NormalizedName, recorded: Mapping[str, Any]) -> Universe:
    names = Names(project)
    files = tuple(_file(names, *row) for row in recorded["files"])
    revision = sha256(canonical_json([project, recorded["files"]]))
    universe = Universe(Listing(project, revision, files, recorded["known"]))
    for file in files:
        told = recorded["metadata"].get(file.filename)
        if isinstance(told, Mapping):
            universe.set_metadata(file, NoMetadata(told["reason"], told["needs_build"]))
        elif told is not None:
            python, requires, extras = told
            metadata = CoreMetadata(project, file.version, python, tuple(requires), tuple(map(normalize, extras)))
            universe.set_metadata(file, metadata)
    return universe


def _file(
    names: Names,
    filename: str,
    python: str | None,
    yanked: str | None,
    time: int | None,
    digest: str | None,
) -> DistFile:
    parsed = names.parse(filename)
    if parsed is None:
        raise ValueError(f"{filename} is no distribution file")
    version, tag, build = parsed
    return DistFile(
        filename=filename,
        url=PLACE + filename,
        project=names.project,
        version=version,
        kind="wheel" if filename.endswith(".whl") else "sdist",
        tag=tag,
        build=build,
        sha256=digest,
        requires_python=python,
        yanked=yanked,
        upload_time=None if time is None else datetime.fromtimestamp(time, UTC),
        source=SOURCE,
    )
