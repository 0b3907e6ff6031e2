"""What to ask the driver for: few rounds, each with everything whose turn will come."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator

from venvery.model.files import DistFile
from venvery.model.names import NormalizedName
from venvery.resolve.choosing import Chooser
from venvery.resolve.dependencies import Dependency
from venvery.resolve.packages import Package, Packages
from venvery.resolve.protocol import Need
from venvery.resolve.views import Dependencies, Unusable

__all__ = ["Asker"]

_WALK = 3
"""After so many tried versions of a project, the next ones' metadata is asked for ahead of their turn."""
_MOST_AHEAD = 64
_NEIGHBOURS = 8
"""How many older versions are looked at for a hint of what a version depends on."""


class Asker:
    """Asks for what a decision takes."""

    def __init__(self, packages: Packages, chooser: Chooser) -> None:
        self._packages = packages
        self._chooser = chooser
        self._last: Need | None = None

    def listings(self, projects: Collection[NormalizedName]) -> Generator[Need, None, None]:
        """Get the listings of some projects at hand."""
        while missing := tuple(self._missing(projects)):
            yield self._new(Need(listings=missing))

    def ready(self, number: int, extra: NormalizedName | None, rank: int) -> Generator[Need, None, None]:
        """Get everything at hand that deciding a version, or an extra of it, takes."""
        view = self._packages[number].view
        while True:
            dependencies = self._packages.told(number, rank)
            if isinstance(dependencies, Unusable):
                return
            if dependencies is None and view.dependencies(rank) is not None:
                yield self._new(Need(builds=(view.metadata_file(rank),), target=view.facts.target))
                continue
            if dependencies is not None and not any(self._unlisted(dependencies, extra)):
                return
            yield self._new(self._need(number, rank, extra))

    def _new(self, need: Need) -> Need:
        if need == self._last:
            raise RuntimeError(f"the driver went on without giving what was asked for: {need}")
        self._last = need
        return need

    def _missing(self, projects: Iterable[NormalizedName]) -> Iterator[NormalizedName]:
        known, shelf = self._packages.numbers, self._packages.shelf
        for project in dict.fromkeys(projects):
            if project not in known and shelf.universe(project) is None:
                yield project

    def _unlisted(self, dependencies: Dependencies, extra: NormalizedName | None) -> Iterator[NormalizedName]:
        return self._missing(self._projects(dependencies.base if extra is None else dependencies.of_extra(extra)))

    def _projects(self, stated: Iterable[Dependency]) -> Iterator[NormalizedName]:
        known = self._packages.numbers
        for dependency in stated:
            if dependency.project not in known and dependency.url is None:
                for effective in self._packages.question.effective(dependency):
                    yield effective.project

    def _need(self, number: int, rank: int, extra: NormalizedName | None) -> Need:
        """Ask for what one project needs, and for the same of everybody else who is not decided."""
        batch = _Batch()
        self._ask(number, rank, extra, batch)
        if batch.metadata:
            self._ask_ahead(number, rank, batch)
        bits = self._packages.engine.open & ~self._packages.switches & ~(1 << number)
        while bits:
            low = bits & -bits
            bits ^= low
            other = low.bit_length() - 1
            chosen = self._chooser.version(other)
            if chosen is not None:
                self._ask(other, chosen, None, batch)
        return batch.need()

    def _ask(self, number: int, rank: int, extra: NormalizedName | None, batch: _Batch) -> None:
        package = self._packages[number]
        dependencies = package.view.dependencies(rank)
        if dependencies is None:
            batch.add(package.view.metadata_file(rank))
            batch.likely.update(dict.fromkeys(self._missing(self._hint(package, rank))))
        elif isinstance(dependencies, Dependencies):
            batch.listings.update(dict.fromkeys(self._unlisted(dependencies, extra)))
            for asked in self._packages.extras_on(number):
                batch.listings.update(dict.fromkeys(self._unlisted(dependencies, asked)))

    def _ask_ahead(self, number: int, rank: int, batch: _Batch) -> None:
        """On a walk back through a project's releases, ask for more of them each time."""
        package = self._packages[number]
        if package.tried < _WALK:
            return
        left = self._packages.engine.certain[number] & package.fine & ((2 << rank) - 1)
        count = min(2 * package.tried, _MOST_AHEAD)
        while left and count:
            older = left.bit_length() - 2
            left ^= 2 << older
            if package.view.dependencies(older) is None:
                batch.add(package.view.metadata_file(older))
                count -= 1

    def _hint(self, package: Package, rank: int) -> Iterator[NormalizedName]:
        """Guess what a version depends on from a neighbour whose metadata is known."""
        for older in range(rank - 1, max(-1, rank - 1 - _NEIGHBOURS), -1):
            if package.view.usable & (2 << older):
                dependencies = package.view.dependencies(older)
                if isinstance(dependencies, Dependencies):
                    yield from self._projects(dependencies.base)
                    return


class _Batch:
    def __init__(self) -> None:
        self.listings: dict[NormalizedName, None] = {}
        self.metadata: dict[str, DistFile] = {}
        self.likely: dict[NormalizedName, None] = {}

    def add(self, file: DistFile) -> None:
        self.metadata[file.key] = file

    def need(self) -> Need:
        return Need(
            listings=tuple(self.listings),
            metadata=tuple(self.metadata.values()),
            likely_listings=tuple(project for project in self.likely if project not in self.listings),
        )
