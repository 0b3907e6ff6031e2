"""The packages that take part in one search, by number: projects, and extras as switches.

A project's number stands for its version. An extra has a number of its own with two values, "off" (bit 0) and
"on" (bit 1); what it brings is a clause of three terms, `{project in versions, extra on, other not in mask}`.
So an extra never has a version that could differ from its project's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from venvery.errors import LimitExceeded
from venvery.model.names import NormalizedName
from venvery.model.versions import Version
from venvery.resolve.dependencies import Dependency, from_requirement
from venvery.resolve.engine import Engine
from venvery.resolve.facts import Bounded, Requested, Requires
from venvery.resolve.protocol import Shelf, WhyNotBuilt
from venvery.resolve.question import Question
from venvery.resolve.universe import Universe
from venvery.resolve.views import NEEDS_BUILD, Dependencies, Unusable, View, Way

__all__ = ["OFF", "ON", "Package", "Packages", "Row", "Terms", "Wish"]

MAX_PACKAGES = 20_000
_TRIES = 2
"""After so many tried versions of a project, a clause about one of them is made to speak of all versions."""
OFF, ON = 1, 2

Terms = tuple[tuple[int, int], ...]
Row = Sequence[tuple[int, int]]
"""What one version brings along, or one extra of it: pairs of a package and a mask that it must be in."""
Wish = tuple[Terms, Dependency, int]
"""A requirement on a project: the terms under which it counts, the dependency, and the versions it allows."""


class Package:
    """A project that takes part."""

    __slots__ = (
        "caused", "direct", "extras", "fine", "held", "prerelease_named", "project", "shared", "suffered", "tried",
        "universe", "view", "wishes",
    )  # fmt: skip

    def __init__(self, project: NormalizedName, universe: Universe, view: View) -> None:
        self.project = project
        self.universe = universe
        self.view = view
        self.held = 0
        """Mask of the version that an earlier lock has."""
        self.shared = 0
        """Mask of the version that another target has."""
        self.fine = 0
        """Versions that need no leave: not yanked, and no pre-releases where these need leave."""
        self.direct = False
        """True when the request itself names it."""
        self.wishes: list[Wish] = []
        self.prerelease_named = False
        """True once some requirement on it names a pre-release."""
        self.tried = 0
        """How many of its versions' dependencies were looked at."""
        self.suffered = 0
        self.caused = 0
        self.extras: dict[NormalizedName, int] = {}
        """The numbers of its extras."""


class Packages:
    """All packages of a search, and the engine that knows them by number."""

    def __init__(self, question: Question, shelf: Shelf) -> None:
        self.engine = Engine()
        self.question = question
        self.shelf = shelf
        self._why_not_built: WhyNotBuilt | None = getattr(shelf, "why_not_built", None)
        self.numbers: dict[NormalizedName, int] = {}
        self.owners: dict[int, tuple[int, NormalizedName]] = {}
        """By number of an extra: its project's number and its name."""
        self.switches = 0
        """The extras, one bit each."""
        self._projects: dict[int, Package] = {}
        self._rows: dict[tuple[int, int], Row] = {}
        """What was looked at: by number (of a project or an extra) and rank of the version."""

    def __getitem__(self, number: int) -> Package:
        return self._projects[number]

    def told(self, number: int, rank: int) -> Dependencies | Unusable | None:
        """Give what a version depends on, or why it is out; None when that has to be fetched or built first."""
        view = self[number].view
        known = view.dependencies(rank)
        if self._why_not_built is None or not isinstance(known, Unusable) or known.kind != NEEDS_BUILD:
            return known
        failed = self._why_not_built(view.metadata_file(rank), view.facts.target)
        return None if failed is None else Unusable(failed.reason, "no-metadata")

    def find(self, number: int) -> Package | None:
        """Give a project by number; None when the number is an extra's."""
        return self._projects.get(number)

    # ------------------------------------------------------------------ who takes part

    def _introduce(self, project: NormalizedName) -> int | None:
        """Let a project take part; gives its number, or None when its universe is not on the shelf."""
        universe = self.shelf.universe(project)
        if universe is None:
            return None
        self._check_count()
        package = Package(project, universe, self.question.view(universe))
        number = self.engine.add_package(self._domain(package) | 1)
        self._projects[number] = package
        self.numbers[project] = number
        for bound in self.question.bounds(project):
            allowed = universe.mask(from_requirement(bound).specifier) | 1
            self.engine.add([(number, ~allowed)], Bounded(bound))
        return number

    def _domain(self, package: Package) -> int:
        """Work out which versions may be taken at all, with or without leave."""
        question, view = self.question, package.view
        opened = question.opens_prereleases(package.project)
        package.fine = view.plain if opened else view.stable
        domain = view.usable
        wishes = question.wishes
        if wishes.held:
            package.held = domain & _version_mask(package.universe, wishes.held)
        if wishes.shared:
            package.shared = domain & _version_mask(package.universe, wishes.shared)
        if question.options.prereleases == "disallow" and not opened:
            domain &= ~package.universe.prerelease_mask() | package.held
        if question.policies.yanked == "requested-pin" and domain & ~view.plain:
            domain &= view.plain | package.held | question.requested_pins(package.universe)
        return domain

    def owner(self, number: int) -> int:
        """Give the project that an extra belongs to; a project belongs to itself."""
        return self.owners[number][0] if number in self.owners else number

    def extra(self, owner: int, extra: NormalizedName) -> int:
        """Give the number of a project's extra."""
        package = self[owner]
        number = package.extras.get(extra)
        if number is None:
            self._check_count()
            number = package.extras[extra] = self.engine.add_package(OFF | ON)
            self.owners[number] = owner, extra
            self.switches |= 1 << number
        return number

    def _check_count(self) -> None:
        if len(self.engine.domain) >= MAX_PACKAGES:
            raise LimitExceeded(
                f"more than {MAX_PACKAGES} projects take part in this request", hint="ask for less at once"
            )

    def extras_on(self, owner: int) -> Iterator[NormalizedName]:
        """Give the extras of a project that are known to be asked for."""
        for extra, switch in self[owner].extras.items():
            if self.engine.holds(switch, ON):
                yield extra

    # ------------------------------------------------------------------ what they require

    def require(self, requested: Requested) -> None:
        """Add the clauses that a requirement of the request is; its project must be on the shelf."""
        dependency = requested.dependency
        row = self._row((), (dependency,))
        assert row is not None
        (number, mask), *switches = row
        self[number].direct = True
        self.engine.add([(number, ~mask)], requested)
        for extra, (switch, _on) in zip(dependency.extras, switches, strict=True):
            self.engine.add([(switch, OFF)], Requested(requested.requirement, dependency, extra))

    def looked_at(self, holder: int, rank: int) -> Row | None:
        """Give what a version brings along, or an extra of it, when it was looked at before."""
        return self._rows.get((holder, rank))

    def look_at(self, holder: int, rank: int, dependencies: Iterable[Dependency]) -> Row | None:
        """Work out what a version brings along, or an extra of it; None when a listing is missing."""
        owner = self.owners.get(holder)
        terms: Terms = ((holder, 2 << rank),) if owner is None else ((owner[0], 2 << rank), (holder, ON))
        row = self._row(terms, self.question.effective_all(dependencies))
        if row is not None:
            self._rows[holder, rank] = row
            if owner is None:
                self[holder].tried += 1
        return row

    def _row(self, terms: Terms, dependencies: Sequence[Dependency]) -> Row | None:
        numbers, projects = self.numbers, self._projects
        for dependency in dependencies:
            if dependency.project not in numbers and self._introduce(dependency.project) is None:
                return None
        row = []
        for dependency in dependencies:
            number = numbers[dependency.project]
            package = projects[number]
            mask = package.universe.mask(dependency.specifier)
            package.wishes.append((terms, dependency, mask))
            if dependency.names_prerelease:
                package.prerelease_named = True
            row.append((number, mask))
            if dependency.extras:
                row += [(self.extra(number, extra), ON) for extra in dependency.extras]
        return row

    def active(self, package: Package) -> Iterator[Wish]:
        """Give the requirements on a project that count with what is decided now."""
        for wish in package.wishes:
            if self.counts(wish[0]):
                yield wish

    def counts(self, terms: Terms) -> bool:
        """Tell whether what holds under these terms holds with what is decided now."""
        now = self.engine.now
        return all(not now[package] & ~mask for package, mask in terms)

    # ------------------------------------------------------------------ why

    def because(self, holder: int, other: int, apart: int) -> tuple[Terms, Requires]:
        """Give the clause by which a decided package leaves another nothing of `apart`."""
        return self.clash(holder, self.engine.now[self.owner(holder)], other, apart)

    def clash(self, holder: int, version: int, other: int, apart: int) -> tuple[Terms, Requires]:
        """Give the clause by which a version, or an extra of it, leaves another package nothing of `apart`.

        Once a few versions were tried, the clause speaks of all versions that do so: a walk back through many
        releases is one step. It leaves out what is ruled out for good, as explanations should.
        """
        owner, extra = self.owners.get(holder, (holder, None))
        every = self._ways(self[owner], version, extra, other)
        certain = self.engine.certain[owner]
        ways = [way for way in every if not way[1] & apart and way[0] & certain]
        versions = mask = 0
        for having, allowed, _dependency in ways:
            versions |= having
            mask |= allowed
        versions &= certain
        terms: Terms = ((owner, versions), (other, ~mask))
        if extra is not None:
            terms = (*terms, (holder, ON))
        wanted_extra = self.owners[other][1] if other in self.owners else None
        return terms, Requires(owner, versions, extra, tuple(ways), wanted_extra)

    def _ways(self, package: Package, version: int, extra: NormalizedName | None, other: int) -> Sequence[Way]:
        """Give the ways in which a project's versions, or one of them, depend on another package."""
        wanted = self[self.owner(other)]
        if package.tried >= _TRIES:
            ways: Sequence[Way] = package.view.ways(wanted.universe, extra)
        else:
            ways = package.view.ways_of(version.bit_length() - 2, wanted.universe, extra)
        ways = self.question.overridden(ways, wanted.universe)
        if other in self.owners:
            asked = self.owners[other][1]
            return [(versions, ON, dependency) for versions, _, dependency in ways if asked in dependency.extras]
        return ways


def _version_mask(universe: Universe, wanted: Mapping[NormalizedName, Version]) -> int:
    version = wanted.get(universe.project)
    rank = None if version is None else universe.rank.get(version)
    return 0 if rank is None else 2 << rank
