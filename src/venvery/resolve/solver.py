"""One target's search: turns requirements and metadata into clauses, chooses what to decide next."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from venvery.errors import LimitExceeded
from venvery.model.files import DistFile
from venvery.model.names import NormalizedName, normalize
from venvery.model.requests import ResolveRequest
from venvery.model.requirements import Requirement
from venvery.model.targets import Target
from venvery.model.versions import Version
from venvery.resolve.dependencies import Dependency, facts_of, from_requirement
from venvery.resolve.engine import Engine
from venvery.resolve.facts import Bounded, Fact, Guarded, Out, Requested, Requires
from venvery.resolve.policies import Policies
from venvery.resolve.protocol import Need, Pause, Shelf
from venvery.resolve.universe import Universe
from venvery.resolve.views import Dependencies, FileRules, Unusable, View, view_of

__all__ = ["NoAnswer", "Pick", "TargetSolver"]

MAX_DECISIONS = 200_000
MAX_PACKAGES = 20_000
_CONFLICTS = 3
"""After so many conflicts the package that suffers is decided before others, the one that causes them after."""
_TRIES = 3
"""After so many tried versions of a package, the dependencies of all its versions are looked at together."""
_BATCH = 64
"""How many versions' metadata is asked for at once, at most, on a walk back through a package's releases."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen version, and what it depends on here."""

    view: View
    version: int
    extras: tuple[NormalizedName, ...]
    dependencies: tuple[Dependency, ...]


class NoAnswer(Exception):
    """There is no answer; `solver` holds the derivation."""

    def __init__(self, solver: TargetSolver, clause: int) -> None:
        super().__init__("no answer")
        self.solver = solver
        self.clause = clause


@dataclass(slots=True)
class _Wish:
    """A requirement on a package, and the terms under which it counts."""

    holders: tuple[tuple[int, int], ...]
    dependency: Dependency
    mask: int


@dataclass(slots=True)
class Package:
    """What the solver knows of a package."""

    project: NormalizedName
    universe: Universe
    view: View
    preferred: int = 0
    """Mask of the version that an earlier lock or target has."""
    fine: int = 0
    """Versions that need no leave: not yanked, and no pre-releases where these need leave."""
    direct: bool = False
    """True when the request itself names it."""
    wishes: list[_Wish] = field(default_factory=list)
    prerelease_named: bool = False
    tried: int = 0
    """How many of its versions' dependencies were looked at."""
    suffered: int = 0
    caused: int = 0
    merged: int = 0
    """The versions whose dependencies have gone in together."""


class TargetSolver:
    """Finds versions for one target."""

    def __init__(
        self,
        request: ResolveRequest,
        target: Target,
        shelf: Shelf,
        policies: Policies,
        *,
        preferences: Mapping[NormalizedName, Version],
        everywhere: Iterable[Target] = (),
        lenient: bool = False,
        pause: Pause | None = None,
    ) -> None:
        self.request = request
        self.target = target
        self.engine = Engine()
        self.packages: list[Package | NormalizedName] = []
        """By number; an extra's name stands for an extra."""
        self.decisions = 0
        self.guarded = False
        """True once versions were ruled out because nobody gives leave for them."""
        self._lenient = lenient
        self._pause = pause
        self._shelf = shelf
        self._policies = policies
        self._preferences = preferences
        self._facts = facts_of(target)
        self._others = [facts_of(other) for other in everywhere if other != target]
        self._numbers: dict[NormalizedName, int] = {}
        self._extras: dict[tuple[int, NormalizedName], int] = {}
        self._owners: dict[int, int] = {}
        self._extra_bits = 0
        self._early = 0
        self._late = 0
        self._waiting: dict[NormalizedName, list[tuple[int, int, Dependency]]] = {}
        self._expanded: set[tuple[int, int, NormalizedName | None]] = set()
        options = request.options
        self._roots = [(r, from_requirement(r)) for r in request.requirements]
        self._roots = [(r, d) for r, d in self._roots if self._facts.holds(d)]
        self._bounds: dict[NormalizedName, list[Requirement]] = {}
        for bound in request.constraints:
            if self._facts.holds(from_requirement(bound)):
                self._bounds.setdefault(bound.project, []).append(bound)
        self._overrides: dict[NormalizedName, list[Dependency]] = {}
        for override in options.overrides:
            replacing = self._overrides.setdefault(override.project, [])
            if self._facts.holds(from_requirement(override)):
                replacing.append(from_requirement(override))

    # ------------------------------------------------------------------ the search

    def run(self) -> Generator[Need, None, dict[NormalizedName, Pick]]:
        """Search. Raises `NoAnswer`."""
        yield from self._start()
        engine, pause = self.engine, self._pause
        while True:
            self._settle()
            if pause is not None and pause():
                yield Need()
            chosen = self._next()
            if chosen is None:
                unfounded = self._without_leave() if self._lenient else None
                if unfounded is None:
                    return self._picks()
                self._guard(*unfounded)
                continue
            package, rank = chosen
            if package in self._owners:
                yield from self._switch_on(package)
                continue
            if rank is None:
                self._guard(package, engine.now[package] & ~1)
                continue
            dependencies = yield from self._ready(package, rank)
            if isinstance(dependencies, Unusable):
                versions = 2 << rank
                engine.add([(package, versions)], Out(package, versions, dependencies))
                continue
            if (package, rank, None) not in self._expanded:
                self._expand(package, rank, None, dependencies.base)
                if not self._still_open(package, rank):
                    continue
            self._decide(package, rank)

    def _start(self) -> Generator[Need, None, None]:
        wanted = [d for _r, root in self._roots for d in self._effective(root)]
        yield from self._listings([dependency.project for dependency in wanted])
        for requirement, root in self._roots:
            for dependency in self._effective(root):
                number = self._number(dependency.project)
                self._package(number).direct = True
                self._wish(number, (), dependency, Requested(requirement, dependency))
                for extra in dependency.extras:
                    self.engine.add([(self._extra(number, extra), 1)], Requested(requirement, dependency, extra))

    def _settle(self) -> None:
        """Draw conclusions, and take note of whom conflicts hit. Raises `NoAnswer`."""
        engine = self.engine
        while True:
            if not engine.solve_units():
                raise NoAnswer(self, engine.failure if engine.failure is not None else -1)
            if not engine.blamed:
                return
            blamed, engine.blamed = engine.blamed, []
            for package, clause in blamed:
                self._blame(package, clause)

    def _still_open(self, package: int, rank: int) -> bool:
        """Draw conclusions; tell whether a version can still be decided at once."""
        engine = self.engine
        before = engine.conflicts
        self._settle()
        if engine.conflicts != before:
            return False
        if engine.now[package] & (2 << rank):
            return bool(engine.open >> package & 1)
        self._blame(package, engine.reason(package))
        return False

    def _blame(self, package: int, clause: int) -> None:
        """Count a conflict; when it is one of many, decide its victim earlier and its causes later."""
        engine = self.engine
        victim = self.packages[package]
        if not isinstance(victim, Package):
            return
        victim.suffered += 1
        if victim.suffered == _CONFLICTS:
            self._early |= 1 << package
            self._late &= ~(1 << package)
        for other, _mask, _rest in engine.terms[clause]:
            cause = self.packages[other]
            if other == package or not isinstance(cause, Package) or not engine.decided(other):
                continue
            cause.caused += 1
            if cause.caused == _CONFLICTS and not self._early >> other & 1:
                self._late |= 1 << other
                engine.reconsider(other)

    def _decide(self, package: int, rank: int) -> None:
        self.decisions += 1
        if self.decisions > MAX_DECISIONS:
            raise LimitExceeded(
                f"no answer after {MAX_DECISIONS} tried versions",
                hint="pin some of the requirements more tightly",
            )
        self.engine.decide(package, 2 << rank)

    def _next(self) -> tuple[int, int | None] | None:
        """Choose the package to decide next, and its version; None when all is decided.

        Packages whose every version needs leave wait for the others, who might give it.
        """
        engine = self.engine
        bits = engine.open & self._extra_bits
        while bits:
            low = bits & -bits
            number = low.bit_length() - 1
            if engine.decided(self._owners[number]):
                return number, None
            bits ^= low
        left = engine.open & ~self._extra_bits
        shy = None
        while left:
            ready = left & engine.single or left & self._early or left & ~self._late or left
            low = ready & -ready
            number = low.bit_length() - 1
            rank = self._choose(number)
            if rank is not None:
                return number, rank
            shy = number if shy is None else shy
            left ^= low
        return None if shy is None else (shy, None)

    # ------------------------------------------------------------------ which version

    def _choose(self, number: int) -> int | None:
        """Choose a version of a package; None when each that is left needs leave that nobody gives."""
        package = self._package(number)
        left = self.engine.now[number] & ~1
        if left & package.preferred:
            return package.preferred.bit_length() - 2
        pool = left & package.fine
        if package.prerelease_named and self._names_prerelease(package):
            pool = left & package.view.plain
        if not pool:
            pool = left if self._lenient else self._with_leave(package, left)
            if not pool:
                return None
        if self._others:
            pool = pool & self._usable_everywhere(package) or pool
        strategy = self.request.options.strategy
        if strategy == "lowest" or (strategy == "lowest-direct" and package.direct):
            pool &= -pool
        return pool.bit_length() - 2

    def _usable_everywhere(self, package: Package) -> int:
        usable = -1
        for facts in self._others:
            usable &= view_of(package.universe, facts, package.view.rules).plain
        return usable

    def _with_leave(self, package: Package, left: int) -> int:
        """Give those of the versions that need leave which have it."""
        view = package.view
        prereleases = left & view.plain
        if prereleases and (
            self._policies.prereleases == "when-nothing-else-works" or self._nothing_else_matches(package)
        ):
            return prereleases
        pinned = 0
        for wish in self._active(package):
            if wish.dependency.pins:
                pinned |= wish.mask
        return left & ~view.plain & (pinned if self._policies.yanked == "any-pin" else -1)

    def _active(self, package: Package) -> Iterator[_Wish]:
        holds = self.engine.holds
        for wish in package.wishes:
            if all(holds(holder, mask) for holder, mask in wish.holders):
                yield wish

    def _names_prerelease(self, package: Package) -> bool:
        return any(wish.dependency.names_prerelease for wish in self._active(package))

    def _nothing_else_matches(self, package: Package) -> bool:
        if self._names_prerelease(package):
            return True
        matching = package.view.usable & ~package.universe.prerelease_mask()
        for wish in self._active(package):
            matching &= wish.mask
        for bound in self._bounds.get(package.project, ()):
            matching &= package.universe.mask(from_requirement(bound).specifier)
        return not matching

    def _guard(self, number: int, left: int) -> None:
        """Rule out versions for which leave is needed and nobody who is in the answer gives it."""
        package = self._package(number)
        yanked = left & ~package.view.plain
        terms = {number: left}
        for wish in package.wishes:
            gives = wish.dependency.names_prerelease if left != yanked else False
            if gives or (yanked and wish.dependency.pins and wish.mask & yanked):
                for holder, mask in wish.holders:
                    others = self.engine.domain[holder] & ~mask
                    if self.engine.holds(holder, others):
                        terms[holder] = terms.get(holder, -1) & others
                        break
        self.guarded = True
        kind = Guarded(number, left, "yanked" if left == yanked else "prerelease")
        self.engine.add(terms.items(), kind)

    # ------------------------------------------------------------------ clauses

    def _effective(self, dependency: Dependency) -> list[Dependency]:
        """Apply overrides and excludes to a dependency."""
        if dependency.project in self.request.options.excludes:
            return []
        replacing = self._overrides.get(dependency.project)
        return [dependency] if replacing is None else replacing

    def _expand(
        self, number: int, rank: int, extra: NormalizedName | None, dependencies: Iterable[Dependency]
    ) -> None:
        """Add the clauses of what a version depends on, or of what one of its extras adds."""
        self._expanded.add((number, rank, extra))
        versions = 2 << rank
        if extra is None:
            package = self._package(number)
            package.tried += 1
            if package.tried >= _TRIES:
                self._merge_around(number)
            if package.merged & versions:
                for stated in dependencies:
                    for dependency in self._effective(stated):
                        self._number(dependency.project)
                return
        holders: tuple[tuple[int, int], ...] = ((number, versions),)
        if extra is not None:
            holders = (*holders, (self._extra(number, extra), 2))
        for stated in dependencies:
            for dependency in self._effective(stated):
                wanted = self._number(dependency.project)
                fact = Requires(number, versions, extra, dependency)
                self._wish(wanted, holders, dependency, fact)
                for asked in dependency.extras:
                    switch = self._extra(wanted, asked)
                    self.engine.add([*holders, (switch, 1)], Requires(number, versions, extra, dependency, asked))

    def _merge_around(self, number: int) -> None:
        """Add the dependencies of all versions of a package, and of those that it depends on."""
        self._merge(number)
        for dependency, _versions in self._package(number).view.merged().dependencies:
            direct = self._numbers.get(dependency.project)
            if direct is not None:
                self._merge(direct)

    def _merge(self, number: int) -> None:
        package = self._package(number)
        merged = package.view.merged()
        new = self.engine.domain[number] & ~package.merged
        package.merged |= merged.versions
        for why, versions in merged.out:
            if versions & new:
                self.engine.add([(number, versions & new)], Out(number, versions & new, why))
        for stated, versions in merged.dependencies:
            if versions & new:
                for dependency in self._effective(stated):
                    if dependency.project in self._numbers:
                        self._state(number, versions & new, dependency)
                    else:
                        late = self._waiting.setdefault(dependency.project, [])
                        late.append((number, versions & new, dependency))

    def _state(self, number: int, versions: int, dependency: Dependency) -> None:
        """Add the clauses of one dependency of some versions."""
        wanted = self._number(dependency.project)
        holders = ((number, versions),)
        self._wish(wanted, holders, dependency, Requires(number, versions, None, dependency))
        for asked in dependency.extras:
            switch = self._extra(wanted, asked)
            self.engine.add([*holders, (switch, 1)], Requires(number, versions, None, dependency, asked))

    def _wish(self, wanted: int, holders: tuple[tuple[int, int], ...], dependency: Dependency, fact: Fact) -> None:
        package = self._package(wanted)
        mask = package.universe.mask(dependency.specifier)
        package.wishes.append(_Wish(holders, dependency, mask))
        if dependency.names_prerelease and self._policies.named_prereleases == "newest":
            package.prerelease_named = True
        self.engine.add([*holders, (wanted, ~mask)], fact)

    def _switch_on(self, switch: int) -> Generator[Need, None, None]:
        """Decide an extra of a decided version."""
        owner = self._owners[switch]
        extra = self.packages[switch]
        assert isinstance(extra, str)
        rank = self.engine.now[owner].bit_length() - 2
        dependencies = yield from self._ready(owner, rank, extra)
        assert isinstance(dependencies, Dependencies)
        if (owner, rank, extra) not in self._expanded:
            added = list(dependencies.of_extra(extra))
            urls = [dependency for dependency in added if dependency.url is not None]
            if urls:
                why = Unusable(
                    f"its extra {extra} depends on {urls[0].project} by URL, which only a request may do", "url"
                )
                self.engine.add([(owner, 2 << rank), (switch, 2)], Out(owner, 2 << rank, why))
                return
            before = self.engine.conflicts
            self._expand(owner, rank, extra, added)
            self._settle()
            if self.engine.conflicts != before:
                return
        self.engine.decide(switch, 2)

    # ------------------------------------------------------------------ packages

    def _package(self, number: int) -> Package:
        package = self.packages[number]
        assert isinstance(package, Package)
        return package

    def number_of(self, project: str) -> int | None:
        """Give a project's number, if it took part."""
        return self._numbers.get(normalize(project))

    def owner_of(self, number: int) -> int | None:
        """Give the package that an extra belongs to; None for a package."""
        return self._owners.get(number)

    def _number(self, project: NormalizedName) -> int:
        number = self._numbers.get(project)
        if number is None:
            number = self._introduce(project)
        return number

    def _introduce(self, project: NormalizedName) -> int:
        universe = self._shelf.universe(project)
        assert universe is not None
        if len(self.packages) >= MAX_PACKAGES:
            raise LimitExceeded(f"more than {MAX_PACKAGES} projects take part")
        view = view_of(universe, self._facts, self._rules(project))
        package = Package(project, universe, view)
        domain = self._domain(package)
        number = self.engine.add_package(domain | 1)
        self.packages.append(package)
        self._numbers[project] = number
        for bound in self._bounds.get(project, ()):
            allowed = universe.mask(from_requirement(bound).specifier) | 1
            self.engine.add([(number, ~allowed)], Bounded(bound))
        for holder, versions, dependency in self._waiting.pop(project, ()):
            self._state(holder, versions, dependency)
        return number

    def _domain(self, package: Package) -> int:
        options, view = self.request.options, package.view
        prereleases = package.universe.prerelease_mask()
        allowed = options.prereleases == "allow" or package.project in options.prerelease_projects
        package.fine = view.plain if allowed else view.stable
        domain = view.usable
        preferred = self._preferences.get(package.project)
        if preferred is not None and preferred in package.universe.rank:
            package.preferred = domain & (2 << package.universe.rank[preferred])
        if options.prereleases == "disallow" and not allowed:
            domain &= ~prereleases | package.preferred
        if self._policies.yanked == "requested-pin":
            pinned = package.preferred
            for dependency in self._requested_pins(package.project):
                pinned |= package.universe.mask(dependency.specifier)
            domain &= view.plain | pinned
        return domain

    def _requested_pins(self, project: NormalizedName) -> Iterator[Dependency]:
        for _requirement, dependency in self._roots:
            if dependency.project == project and dependency.pins:
                yield dependency
        for bound in self._bounds.get(project, ()):
            if from_requirement(bound).pins:
                yield from_requirement(bound)
        yield from (dependency for dependency in self._overrides.get(project, ()) if dependency.pins)

    def _rules(self, project: NormalizedName) -> FileRules:
        options = self.request.options
        hashes: frozenset[str] | None = None
        stated = [r for r, d in self._roots if d.project == project] + self._bounds.get(project, [])
        for requirement in stated:
            if requirement.hashes:
                digests = frozenset(requirement.hashes)
                hashes = digests if hashes is None else hashes & digests
        return FileRules(
            wheels=project not in options.no_binary,
            sdists=project not in options.only_binary,
            exclude_newer=options.exclude_newer,
            hashes=hashes,
            python_upper_bounds=self._policies.python_upper_bounds,
        )

    def _extra(self, owner: int, extra: NormalizedName) -> int:
        number = self._extras.get((owner, extra))
        if number is None:
            number = self.engine.add_package(0b11)
            self.packages.append(extra)
            self._extras[owner, extra] = number
            self._owners[number] = owner
            self._extra_bits |= 1 << number
        return number

    # ------------------------------------------------------------------ asking

    def _listings(self, projects: Iterable[NormalizedName]) -> Generator[Need, None, None]:
        missing = [p for p in dict.fromkeys(projects) if self._shelf.universe(p) is None]
        if missing:
            yield Need(listings=tuple(missing))

    def _ready(
        self, number: int, rank: int, extra: NormalizedName | None = None
    ) -> Generator[Need, None, Dependencies | Unusable]:
        """Get everything at hand that deciding a version takes."""
        view = self._package(number).view
        while True:
            dependencies = view.dependencies(rank)
            if isinstance(dependencies, Unusable):
                return dependencies
            if dependencies is not None:
                if extra is None and (number, rank, None) in self._expanded:
                    return dependencies
                if not any(self._unlisted(dependencies, extra)):
                    return dependencies
            yield self._need(number, rank, extra)

    def _unlisted(self, dependencies: Dependencies, extra: NormalizedName | None) -> Iterator[NormalizedName]:
        added = dependencies.base if extra is None else dependencies.of_extra(extra)
        for stated in added:
            if stated.url is None and stated.project not in self._numbers:
                for dependency in self._effective(stated):
                    if self._shelf.universe(dependency.project) is None:
                        yield dependency.project

    def _need(self, number: int, rank: int, extra: NormalizedName | None) -> Need:
        """Ask for what one package needs, and for the same of everybody else whose turn will come."""
        listings: dict[NormalizedName, None] = {}
        metadata: dict[str, DistFile] = {}
        self._ask(number, rank, extra, listings, metadata)
        if metadata:
            self._ask_on(number, rank, metadata)
        bits = self.engine.open & ~self._extra_bits
        while bits:
            low = bits & -bits
            bits ^= low
            other = low.bit_length() - 1
            chosen = self._choose(other)
            if chosen is not None and other != number:
                self._ask(other, chosen, None, listings, metadata)
        return Need(listings=tuple(listings), metadata=tuple(metadata.values()))

    def _ask(
        self,
        number: int,
        rank: int,
        extra: NormalizedName | None,
        listings: dict[NormalizedName, None],
        metadata: dict[str, DistFile],
    ) -> None:
        view = self._package(number).view
        dependencies = view.dependencies(rank)
        if dependencies is None:
            file = view.metadata_file(rank)
            metadata[file.key] = file
        elif isinstance(dependencies, Dependencies):
            listings.update(dict.fromkeys(self._unlisted(dependencies, extra)))
            for asked in self._asked_extras(number):
                listings.update(dict.fromkeys(self._unlisted(dependencies, asked)))

    def _ask_on(self, number: int, rank: int, metadata: dict[str, DistFile]) -> None:
        """On a walk back through a package's releases, ask for more of them each time."""
        package = self._package(number)
        if package.tried < _TRIES:
            return
        left = self.engine.certain(number) & package.fine & ((2 << rank) - 1)
        count = min(2 * package.tried, _BATCH)
        while left and count:
            rank = left.bit_length() - 2
            left ^= 2 << rank
            if package.view.dependencies(rank) is None:
                file = package.view.metadata_file(rank)
                metadata[file.key] = file
                count -= 1

    def _asked_extras(self, number: int) -> Iterator[NormalizedName]:
        for (owner, extra), switch in self._extras.items():
            if owner == number and self.engine.holds(switch, 2):
                yield extra

    # ------------------------------------------------------------------ the answer

    def _without_leave(self) -> tuple[int, int] | None:
        """Find a chosen version that needs leave and has none."""
        for number in self._numbers.values():
            if self.engine.decided(number):
                package, version = self._package(number), self.engine.now[number]
                allowed = package.fine | package.preferred
                if not version & allowed and not self._with_leave(package, version):
                    return number, version
        return None

    def _picks(self) -> dict[NormalizedName, Pick]:
        picks = {}
        for project, number in self._numbers.items():
            value = self.engine.now[number]
            if not self.engine.decided(number):
                continue
            rank = value.bit_length() - 2
            package = self._package(number)
            extras = tuple(sorted(self._asked_extras(number)))
            known = package.view.dependencies(rank)
            assert isinstance(known, Dependencies)
            stated = dict.fromkeys(known.base)
            for extra in extras:
                stated.update(dict.fromkeys(known.of_extra(extra)))
            effective = dict.fromkeys(d for s in stated for d in self._effective(s))
            picks[project] = Pick(package.view, rank, extras, tuple(effective))
        return picks
