"""Drives the solver: it asks, the catalog answers, in batches and ahead of need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from venvery.catalog.catalog import Catalog
from venvery.errors import UrlNotAllowed
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata, parse_filename
from venvery.model.names import NormalizedName
from venvery.model.requests import ResolveRequest
from venvery.model.requirements import Requirement, parse_requirement
from venvery.model.sources import DIRECT, is_allowed
from venvery.model.targets import Target
from venvery.resolve import Need, Resolution, Shelf, Universe, solve
from venvery.resolve.question import Question, Wishes
from venvery.services.bench import Bench
from venvery.services.scouting import Scout
from venvery.services.shelf import BuildingShelf, HotShelf, RequestShelf

__all__ = ["Resolver"]

BuildMetadata = Callable[[DistFile, Target], Awaitable[CoreMetadata | NoMetadata]]
"""Has the metadata of a source distribution built for a target."""

_FAILED_FOR = 600.0
"""Seconds for which an answer holds that passed over a version because its build failed."""
_MOST_SCOUTS = 4
"""Targets for which scouts are sent; what further targets need is much the same."""


class Resolver:
    """Answers requests from one catalog; universes stay hot between requests."""

    def __init__(
        self,
        catalog: Catalog,
        bench: Bench,
        *,
        allowed_urls: tuple[str, ...] = (),
        build_metadata: BuildMetadata | None = None,
    ) -> None:
        self._catalog = catalog
        self._bench = bench
        self._allowed_urls = allowed_urls
        self._hot = HotShelf()
        self._build_metadata = build_metadata

    async def resolve(self, request: ResolveRequest) -> Resolution:
        """Find the lock that answers a request; its footprint holds what the sources list, and no direct file.

        Raises `Unsatisfiable`, `UrlNotAllowed`, `BadInput`, `LimitExceeded` or `SourceFailed`.
        """
        request, direct = await self._take_urls(request)
        budget = self._bench.budget()
        make_shelf = RequestShelf if self._build_metadata is None else BuildingShelf
        shelf = make_shelf(self._hot, self._catalog.peek_listing, direct, pause=budget)
        search = solve(request, shelf)
        scouts: list[Scout] = []
        try:
            while True:
                step = await self._bench.advance(search, budget)
                if isinstance(step, Resolution):
                    footprint = {p: r for p, r in step.footprint.items() if p not in direct}
                    return replace(step, footprint=footprint, ends_at=self._end(step, shelf))
                if not scouts:  # with everything at hand, none is sent
                    scouts = self._send_scouts(request, shelf)
                await self._supply(step.listings, step.metadata, shelf)
                await self._supply_built(step, shelf)
                for scout in scouts:
                    scout.read(step.metadata)
        finally:
            for scout in scouts:
                await scout.stop()

    def _send_scouts(self, request: ResolveRequest, shelf: RequestShelf) -> list[Scout]:
        wishes = Wishes({p: v for p, v in request.options.preferences if p not in request.options.upgrade})
        scouts = [
            Scout(Question(request, target, wishes), shelf, partial(self._supply, shelf=shelf))
            for target in request.targets[:_MOST_SCOUTS]
        ]
        for scout in scouts:
            scout.start()
        return scouts

    async def _supply(
        self, projects: Iterable[NormalizedName], files: Iterable[DistFile], shelf: RequestShelf
    ) -> None:
        await asyncio.gather(self._supply_listings(projects, shelf), self._supply_metadata(files, shelf))

    async def _supply_built(self, step: Need, shelf: RequestShelf) -> None:
        if step.builds and isinstance(shelf, BuildingShelf):
            assert self._build_metadata is not None and step.target is not None
            for file in step.builds:
                shelf.put_built(file, step.target, await self._build_metadata(file, step.target))

    def _end(self, resolution: Resolution, shelf: RequestShelf) -> datetime | None:
        """Let an answer for which a build failed hold for a while only: what was missing may come."""
        if not shelf.failures:
            return resolution.ends_at
        soon = datetime.fromtimestamp(self._catalog.clock() + _FAILED_FOR, UTC)
        return soon if resolution.ends_at is None else min(soon, resolution.ends_at)

    async def _supply_listings(self, projects: Iterable[NormalizedName], shelf: RequestShelf) -> None:
        for listing in (await self._catalog.listings(projects)).values():
            shelf.put(listing)

    async def _supply_metadata(self, files: Iterable[DistFile], shelf: Shelf) -> None:
        files = tuple(files)
        metadata = await self._catalog.metadata(files)
        for file in files:
            universe = shelf.universe(file.project)
            if universe is not None:
                universe.set_metadata(file, metadata[file.key])

    async def _take_urls(self, request: ResolveRequest) -> tuple[ResolveRequest, dict[NormalizedName, Universe]]:
        """Turn every allowed `name @ URL` into a project that has this one file."""
        if not any(requirement.url for requirement in request.requirements):
            return request, {}
        requirements, universes = [], {}
        for requirement in request.requirements:
            if requirement.url is not None:
                file = await self._direct_file(requirement)
                revision = sha256(canonical_json([file.url, file.sha256]))
                universes[file.project] = Universe(Listing(file.project, revision, (file,)))
                requirement = _pinned(requirement, file)
            requirements.append(requirement)
        return replace(request, requirements=tuple(requirements)), universes

    async def _direct_file(self, requirement: Requirement) -> DistFile:
        url, _, fragment = (requirement.url or "").partition("#")
        if not is_allowed(url, self._allowed_urls):
            raise UrlNotAllowed(
                f"{requirement.project} @ {url}: this URL is not allowed here",
                hint="ask for a version from an index, or allow the URL's prefix with allowed_urls",
            )
        name = parse_filename(url.rsplit("/", 1)[-1])
        if name is None or name.project != requirement.project:
            raise UrlNotAllowed(f"{url} is not a wheel or source distribution of {requirement.project}")
        promised = dict(part.split("=", 1) for part in fragment.split("&") if "=" in part).get("sha256")
        file = DistFile(
            filename=url.rsplit("/", 1)[-1],
            url=url,
            project=name.project,
            version=name.version,
            kind=name.kind,
            tag=name.tag,
            build=name.build,
            sha256=promised,
            source=DIRECT,
        )
        digest = await self._catalog.fetch(file)
        return replace(file, sha256=digest.removeprefix("sha256:"))


def _pinned(requirement: Requirement, file: DistFile) -> Requirement:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    pinned = parse_requirement(f"{requirement.project}{extras}==={file.version}{marker}")
    return replace(pinned, origin=requirement.origin, hashes=requirement.hashes)
