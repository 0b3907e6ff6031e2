"""Scouts: what walks ahead of the solver on a catalog that is not at hand, one way for each target.

The solver asks in rounds, and each round waits for its slowest answer. A scout does not wait for rounds: as
soon as a listing is there it fetches the metadata of the version that the solver will most likely take, and as
soon as that is there the listings of what it requires. It decides nothing: where it goes astray, something was
fetched in vain, and the solver asks for what it misses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from venvery.errors import VenveryError
from venvery.model.files import DistFile
from venvery.model.names import NormalizedName
from venvery.resolve.dependencies import Dependency
from venvery.resolve.protocol import Shelf
from venvery.resolve.question import Question
from venvery.resolve.views import Dependencies, View

__all__ = ["Scout"]

_MOST_LOOKS = 3
"""How often a project is looked at again because more was heard of it."""
_MOST_PROJECTS = 1000

Supply = Callable[[Iterable[NormalizedName], Iterable[DistFile]], Awaitable[None]]
"""Puts listings and metadata on the shelf."""


@dataclass(slots=True)
class _Rumour:
    """What was heard of a project on the way."""

    specifiers: set[str] = field(default_factory=set)
    extras: set[NormalizedName] = field(default_factory=set)
    looks: int = 0
    looking: bool = False
    news: bool = True
    """True when more was heard since the last look."""


class Scout:
    """Walks one target's way through the catalog."""

    def __init__(self, question: Question, shelf: Shelf, supply: Supply) -> None:
        self._question = question
        self._shelf = shelf
        self._supply = supply
        self._heard: dict[NormalizedName, _Rumour] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._lowest = question.options.strategy == "lowest"
        self._lowest_roots = question.options.strategy != "highest"
        self._roots = {dependency.project for _requirement, dependency in question.roots}

    def start(self) -> None:
        """Set out from what the request requires."""
        for _requirement, dependency in self._question.roots:
            self._hear(dependency)

    def read(self, files: Iterable[DistFile]) -> None:
        """Follow versions that the solver asked for; their metadata is on the shelf."""
        for file in files:
            universe = self._shelf.universe(file.project)
            if universe is not None and (rank := universe.rank.get(file.version)) is not None:
                rumour = self._heard.setdefault(file.project, _Rumour())
                self._follow(self._question.view(universe), rank, rumour)

    async def stop(self) -> None:
        """Call off everything that is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _hear(self, dependency: Dependency) -> None:
        for effective in self._question.effective(dependency):
            if len(self._heard) >= _MOST_PROJECTS or effective.url is not None:
                return
            rumour = self._heard.setdefault(effective.project, _Rumour())
            if effective.specifier in rumour.specifiers and rumour.extras.issuperset(effective.extras):
                continue
            rumour.specifiers.add(effective.specifier)
            rumour.extras.update(effective.extras)
            rumour.news = True
            if not rumour.looking and rumour.looks < _MOST_LOOKS:
                rumour.looking = True
                self._send(self._look(effective.project, rumour))

    def _send(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _look(self, project: NormalizedName, rumour: _Rumour) -> None:
        try:
            while rumour.news and rumour.looks < _MOST_LOOKS:
                rumour.news = False
                rumour.looks += 1
                await self._look_once(project, rumour)
        except VenveryError:
            pass  # the solver's own question will tell, should it come to that
        finally:
            rumour.looking = False

    async def _look_once(self, project: NormalizedName, rumour: _Rumour) -> None:
        if self._shelf.universe(project) is None:
            await self._supply((project,), ())
        universe = self._shelf.universe(project)
        if universe is None:
            return
        view = self._question.view(universe)
        rank = self._likely(view, rumour)
        if rank is None:
            return
        if view.dependencies(rank) is None:
            await self._supply((), (view.metadata_file(rank),))
        self._follow(view, rank, rumour)

    def _likely(self, view: View, rumour: _Rumour) -> int | None:
        """Guess which version the solver will take."""
        project, universe = view.universe.project, view.universe
        allowed = -1
        for specifier in rumour.specifiers:
            allowed &= universe.mask(specifier)
        for bound in self._question.bounds(project):
            allowed &= universe.mask(str(bound.specifier))
        held = self._question.wishes.held.get(project)
        if held is not None and (rank := universe.rank.get(held)) is not None and allowed & (2 << rank):
            return rank
        fine = view.plain if self._question.opens_prereleases(project) else view.stable
        left = next((mask for mask in (allowed & fine, allowed & view.plain, allowed & view.usable) if mask), 0)
        if not left:
            return None
        if self._lowest or (self._lowest_roots and project in self._roots):
            left &= -left
        return left.bit_length() - 2

    def _follow(self, view: View, rank: int, rumour: _Rumour) -> None:
        stated = view.dependencies(rank)
        if not isinstance(stated, Dependencies):
            return
        for dependency in stated.base:
            self._hear(dependency)
        for extra in tuple(rumour.extras):
            for dependency in stated.of_extra(extra):
                self._hear(dependency)
