"""One target's search: turns requirements and metadata into clauses, and decides until nothing is open."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from venvery.errors import LimitExceeded
from venvery.model.names import NormalizedName
from venvery.resolve.asking import Asker
from venvery.resolve.choosing import Chooser
from venvery.resolve.dependencies import Dependency
from venvery.resolve.facts import Out, Requested, Requires
from venvery.resolve.packages import OFF, ON, Packages, Terms
from venvery.resolve.protocol import Need, Shelf
from venvery.resolve.question import Question
from venvery.resolve.views import Dependencies, Unusable, View

__all__ = ["NoAnswer", "Pick", "TargetSolver"]

MAX_TRIES = 200_000
MAX_CONFLICTS = 10_000
"""A search with more is one that somebody made to be hard; real ones have at most some hundreds."""
_TRIES = 3
"""After so many tried versions of a project, the dependencies of all its versions go in together."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen version, and what it depends on here."""

    view: View
    version: int
    extras: tuple[NormalizedName, ...]
    dependencies: tuple[Dependency, ...]
    passed_over: tuple[int, str] | None = None
    """A better version that could not be looked at, and why."""


class NoAnswer(Exception):
    """There is no answer; `solver` holds the derivation, `clause` is the empty clause."""

    def __init__(self, solver: TargetSolver, clause: int) -> None:
        super().__init__("no answer")
        self.solver = solver
        self.clause = clause


class TargetSolver:
    """Finds versions for one target."""

    def __init__(self, question: Question, shelf: Shelf, *, lenient: bool = False) -> None:
        self.question = question
        self._pause: Callable[[], bool] | None = getattr(shelf, "pause", None)
        self.packages = Packages(question, shelf)
        self.engine = self.packages.engine
        self.decisions = 0
        self._chooser = Chooser(self.packages, lenient=lenient)
        self._asker = Asker(self.packages, self._chooser)
        self._tries = 0
        self._expanded: set[tuple[int, int, NormalizedName | None]] = set()
        self._waiting: dict[NormalizedName, list[tuple[int, int, Dependency, NormalizedName | None]]] = {}
        """Dependencies on projects that do not take part (yet)."""
        self._out: dict[int, dict[Unusable, int]] = {}

    @property
    def guarded(self) -> bool:
        """True once versions were ruled out because nobody gives leave for them."""
        return self._chooser.guarded

    # ------------------------------------------------------------------ the search

    def run(self) -> Generator[Need, None, dict[NormalizedName, Pick]]:
        """Search. Raises `NoAnswer`, `LimitExceeded`."""
        yield from self._start()
        pause = self._pause
        while True:
            self._settle()
            if pause is not None and pause():
                yield Need()
            chosen = self._chooser.next()
            if chosen is None:
                unfounded = self._chooser.without_leave()
                if unfounded is None:
                    return self._picks()
                self._chooser.guard(*unfounded)
                continue
            number, rank = chosen
            if number in self.packages.owners:
                yield from self._switch_on(number)
            elif rank is None:
                self._chooser.guard(number, self.engine.now[number] & ~1)
            else:
                yield from self._try(number, rank)

    def _start(self) -> Generator[Need, None, None]:
        roots = self.question.roots
        yield from self._asker.listings([dependency.project for _requirement, dependency in roots])
        for requirement, dependency in roots:
            number = self.packages.require((), dependency, Requested(requirement, dependency))
            self.packages[number].direct = True
            for extra in dependency.extras:
                switch = self.packages.extra(number, extra)
                self.engine.add([(switch, OFF)], Requested(requirement, dependency, extra))

    def _settle(self) -> None:
        """Draw conclusions, and take note of whom conflicts hit. Raises `NoAnswer`."""
        engine = self.engine
        while True:
            if not engine.solve_units():
                assert engine.failure is not None
                raise NoAnswer(self, engine.failure)
            if not engine.blamed:
                return
            if engine.conflicts > MAX_CONFLICTS:
                raise self._too_hard()
            blamed, engine.blamed = engine.blamed, []
            for package, clause in blamed:
                self._chooser.blame(package, clause)

    def _try(self, number: int, rank: int) -> Generator[Need, None, None]:
        """Look at a version's dependencies, and decide it when they contradict nothing."""
        dependencies = yield from self._asker.ready(number, rank)
        version = 2 << rank
        if isinstance(dependencies, Unusable):
            self._rule_out(number, version, dependencies)
            return
        if (number, rank, None) not in self._expanded:
            self._expand(number, rank, dependencies.base)
            before = self.engine.conflicts
            self._settle()
            if self.engine.conflicts != before:
                return
            if not self.engine.now[number] & version:
                self._chooser.blame(number, self.engine.reason(number))
                return
        self._decide(number, version)

    def _decide(self, number: int, value: int) -> None:
        self.decisions += 1
        if self.decisions > MAX_TRIES:
            raise self._too_hard()
        self.engine.decide(number, value)

    def _too_hard(self) -> LimitExceeded:
        return LimitExceeded(
            f"no answer after {self._tries} tried versions and {self.engine.conflicts} conflicts",
            hint="pin some of the requirements more tightly",
        )

    def _switch_on(self, switch: int) -> Generator[Need, None, None]:
        """Decide an extra of a decided version."""
        owner, extra = self.packages.owners[switch]
        version = self.engine.now[owner]
        rank = version.bit_length() - 2
        dependencies = yield from self._asker.ready(owner, rank, extra)
        assert isinstance(dependencies, Dependencies)
        if (owner, rank, extra) not in self._expanded:
            added = list(dependencies.of_extra(extra))
            url = next((dependency for dependency in added if dependency.url is not None), None)
            if url is not None:
                self._rule_out_extra(owner, version, url, extra)
                return
            self._expand(owner, rank, added, extra)
            before = self.engine.conflicts
            self._settle()
            if self.engine.conflicts != before:
                return
        self.engine.decide(switch, ON)

    # ------------------------------------------------------------------ clauses

    def _rule_out(self, number: int, versions: int, why: Unusable) -> None:
        reasons = self._out.setdefault(number, {})
        reasons[why] = reasons.get(why, 0) | versions
        self.engine.add([(number, versions)], Out(number, versions, why))

    def _rule_out_extra(self, number: int, versions: int, url: Dependency, extra: NormalizedName | None) -> None:
        assert extra is not None  # a version that needs a URL without an extra has no `Dependencies`
        why = Unusable(f"its extra {extra} depends on {url.project} by URL, which only a request may do", "url")
        switch = self.packages.extra(number, extra)
        self.engine.add([(number, versions), (switch, ON)], Out(number, versions, why))

    def _expand(
        self,
        number: int,
        rank: int,
        dependencies: Iterable[Dependency],
        extra: NormalizedName | None = None,
    ) -> None:
        """Add the clauses of what a version depends on, or of what one of its extras adds."""
        self._expanded.add((number, rank, extra))
        self._tries += 1
        if self._tries > MAX_TRIES:
            raise self._too_hard()
        package, version = self.packages[number], 2 << rank
        package.tried += extra is None
        if package.tried >= _TRIES:
            self._merge_around(number, extra)
        stated = not package.merged.get(extra, 0) & version
        for dependency in dependencies:
            for effective in self.question.effective(dependency):
                if stated:
                    self._require(number, version, effective, extra)
                else:  # its clauses are there; what it depends on may only now take part
                    self._take_in(effective.project)

    def _require(
        self, number: int, versions: int, dependency: Dependency, extra: NormalizedName | None = None
    ) -> None:
        """Add the clauses of one dependency of some versions."""
        holders: Terms = ((number, versions),)
        if extra is not None:
            holders = (*holders, (self.packages.extra(number, extra), ON))
        self._take_in(dependency.project)
        wanted = self.packages.require(holders, dependency, Requires(number, versions, extra, dependency))
        for asked in dependency.extras:
            switch = self.packages.extra(wanted, asked)
            fact = Requires(number, versions, extra, dependency, asked)
            self.engine.add((*holders, (switch, OFF)), fact)

    def _take_in(self, project: NormalizedName) -> None:
        """Let a project take part, with the clauses that have waited for it."""
        self.packages.number(project)
        for number, versions, dependency, extra in self._waiting.pop(project, ()):
            self._require(number, versions, dependency, extra)

    def _merge_around(self, number: int, extra: NormalizedName | None) -> None:
        """Add the dependencies of all versions of a project, and of the projects that it depends on."""
        self._merge(number, extra)
        merged = self.packages[number].view.merged(extra).dependencies
        for project in dict.fromkeys(dependency.project for dependency, _versions in merged):
            direct = self.packages.numbers.get(project)
            if direct is not None and direct != number:
                self._merge(direct, None)

    def _merge(self, number: int, extra: NormalizedName | None) -> None:
        package = self.packages[number]
        merged = package.view.merged(extra)
        new = self.engine.domain[number] & ~package.merged.get(extra, 0)
        package.merged[extra] = package.merged.get(extra, 0) | merged.versions
        for why, versions in merged.out:
            if versions & new:
                self._rule_out(number, versions & new, why)
        for stated, versions in merged.dependencies:
            if not versions & new:
                continue
            if stated.url is not None:
                self._rule_out_extra(number, versions & new, stated, extra)
                continue
            for dependency in self.question.effective(stated):
                if dependency.project in self.packages.numbers:
                    self._require(number, versions & new, dependency, extra)
                else:
                    late = self._waiting.setdefault(dependency.project, [])
                    late.append((number, versions & new, dependency, extra))

    # ------------------------------------------------------------------ the answer

    def _picks(self) -> dict[NormalizedName, Pick]:
        picks = {}
        for project, number in self.packages.numbers.items():
            if self.engine.decided(number):
                view = self.packages[number].view
                rank = self.engine.now[number].bit_length() - 2
                extras = tuple(sorted(self.packages.extras_on(number)))
                dependencies = self._dependencies(view, rank, extras)
                picks[project] = Pick(view, rank, extras, dependencies, self._passed_over(number, rank))
        return picks

    def _dependencies(self, view: View, rank: int, extras: tuple[NormalizedName, ...]) -> tuple[Dependency, ...]:
        known = view.dependencies(rank)
        assert isinstance(known, Dependencies)
        stated = list(known.base)
        for extra in extras:
            stated += known.of_extra(extra)
        effective = self.question.effective
        return tuple(dict.fromkeys(dependency for one in stated for dependency in effective(one)))

    def _passed_over(self, number: int, rank: int) -> tuple[int, str] | None:
        """Find the newest version above the chosen one that was out for want of usable metadata."""
        package = self.packages[number]
        newest = None
        for why, versions in self._out.get(number, {}).items():
            left = versions & package.fine & ~((4 << rank) - 1)
            for wish in self.packages.active(package):
                left &= wish.mask
            if left and (newest is None or left.bit_length() - 2 > newest[0]):
                newest = left.bit_length() - 2, why.reason
        return newest
