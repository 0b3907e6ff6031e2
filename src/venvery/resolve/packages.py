"""The packages that take part in one search, by number: projects, and extras as switches.

A project's number stands for its version. An extra has a number of its own with two values, "off" (bit 0) and
"on" (bit 1); what it brings is a clause of three terms, `{project in versions, extra on, other not in mask}`.
So an extra never has a version that could differ from its project's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from venvery.errors import LimitExceeded
from venvery.model.names import NormalizedName
from venvery.model.versions import Version
from venvery.resolve.dependencies import Dependency, from_requirement
from venvery.resolve.engine import Engine
from venvery.resolve.facts import Bounded, Fact
from venvery.resolve.protocol import Shelf
from venvery.resolve.question import Question
from venvery.resolve.universe import Universe
from venvery.resolve.views import View

__all__ = ["OFF", "ON", "Package", "Packages", "Terms", "Wish"]

MAX_PACKAGES = 20_000
OFF, ON = 1, 2

Terms = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """A requirement on a project, and the terms under which it counts."""

    holders: Terms
    dependency: Dependency
    mask: int


@dataclass(slots=True)
class Package:
    """A project that takes part."""

    project: NormalizedName
    universe: Universe
    view: View
    held: int = 0
    """Mask of the version that an earlier lock has."""
    shared: int = 0
    """Mask of the version that another target has."""
    fine: int = 0
    """Versions that need no leave: not yanked, and no pre-releases where these need leave."""
    direct: bool = False
    """True when the request itself names it."""
    wishes: list[Wish] = field(default_factory=list)
    prerelease_named: bool = False
    """True once some requirement on it names a pre-release."""
    tried: int = 0
    """How many of its versions' dependencies were looked at."""
    suffered: int = 0
    caused: int = 0
    merged: dict[NormalizedName | None, int] = field(default_factory=dict)
    """The versions whose dependencies have gone in together; by extra, None for those without one."""
    extras: dict[NormalizedName, int] = field(default_factory=dict)
    """The numbers of its extras."""


class Packages:
    """All packages of a search, and the engine that knows them by number."""

    def __init__(self, question: Question, shelf: Shelf) -> None:
        self.engine = Engine()
        self.question = question
        self.shelf = shelf
        self.numbers: dict[NormalizedName, int] = {}
        self.owners: dict[int, tuple[int, NormalizedName]] = {}
        """By number of an extra: its project's number and its name."""
        self.switches = 0
        """The extras, one bit each."""
        self._projects: list[Package | None] = []

    def __getitem__(self, number: int) -> Package:
        package = self._projects[number]
        assert package is not None
        return package

    def find(self, number: int) -> Package | None:
        """Give a project by number; None when the number is an extra's."""
        return self._projects[number]

    def number(self, project: NormalizedName) -> int:
        """Give a project's number; its universe must be on the shelf."""
        known = self.numbers.get(project)
        return self._introduce(project) if known is None else known

    def _introduce(self, project: NormalizedName) -> int:
        universe = self.shelf.universe(project)
        assert universe is not None
        self._check_count()
        package = Package(project, universe, self.question.view(universe))
        number = self.engine.add_package(self._domain(package) | 1)
        self._projects.append(package)
        self.numbers[project] = number
        for bound in self.question.bounds(project):
            allowed = universe.mask(from_requirement(bound).specifier) | 1
            self.engine.add([(number, ~allowed)], Bounded(bound))
        return number

    def _domain(self, package: Package) -> int:
        """Work out which versions may be taken at all, with or without leave."""
        question, view = self.question, package.view
        prereleases = package.universe.prerelease_mask()
        opened = question.opens_prereleases(package.project)
        package.fine = view.plain if opened else view.stable
        domain = view.usable
        package.held = domain & _version_mask(package.universe, question.wishes.held)
        package.shared = domain & _version_mask(package.universe, question.wishes.shared)
        if question.options.prereleases == "disallow" and not opened:
            domain &= ~prereleases | package.held
        if question.policies.yanked == "requested-pin":
            domain &= view.plain | package.held | question.requested_pins(package.universe)
        return domain

    def extra(self, owner: int, extra: NormalizedName) -> int:
        """Give the number of a project's extra."""
        package = self[owner]
        number = package.extras.get(extra)
        if number is None:
            self._check_count()
            number = package.extras[extra] = self.engine.add_package(OFF | ON)
            self._projects.append(None)
            self.owners[number] = owner, extra
            self.switches |= 1 << number
        return number

    def _check_count(self) -> None:
        if len(self._projects) >= MAX_PACKAGES:
            raise LimitExceeded(
                f"more than {MAX_PACKAGES} projects take part in this request", hint="ask for less at once"
            )

    def extras_on(self, owner: int) -> Iterator[NormalizedName]:
        """Give the extras of a project that are known to be asked for."""
        for extra, switch in self[owner].extras.items():
            if self.engine.holds(switch, ON):
                yield extra

    def require(self, holders: Terms, dependency: Dependency, fact: Fact) -> int:
        """Add the clause that a requirement is; gives the number of the project that is required."""
        number = self.number(dependency.project)
        package = self[number]
        mask = package.universe.mask(dependency.specifier)
        package.wishes.append(Wish(holders, dependency, mask))
        if dependency.names_prerelease:
            package.prerelease_named = True
        self.engine.add((*holders, (number, ~mask)), fact)
        return number

    def active(self, package: Package) -> Iterator[Wish]:
        """Give the requirements on a project that count with what is decided now."""
        holds = self.engine.holds
        for wish in package.wishes:
            if all(holds(holder, mask) for holder, mask in wish.holders):
                yield wish


def _version_mask(universe: Universe, wanted: Mapping[NormalizedName, Version]) -> int:
    version = wanted.get(universe.project)
    rank = None if version is None else universe.rank.get(version)
    return 0 if rank is None else 2 << rank
