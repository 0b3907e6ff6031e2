"""One target's search: turns requirements and metadata into clauses, and decides until nothing is open."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from venvery.errors import LimitExceeded
from venvery.model.names import NormalizedName
from venvery.resolve.asking import Asker
from venvery.resolve.choosing import Chooser
from venvery.resolve.dependencies import Dependency
from venvery.resolve.facts import Out, Requested
from venvery.resolve.packages import ON, Packages
from venvery.resolve.protocol import Need, Shelf
from venvery.resolve.question import Question
from venvery.resolve.views import Dependencies, Unusable, View

__all__ = ["NoAnswer", "Pick", "TargetSolver"]

MAX_TRIES = 200_000
MAX_CONFLICTS = 10_000
"""A search with more is one that somebody made to be hard; real ones have at most some hundreds."""


class Pick(NamedTuple):
    """A chosen version."""

    view: View
    version: int
    extras: tuple[NormalizedName, ...]
    passed_over: tuple[int, str] | None
    """A better version that could not be looked at, and why."""

    def stated(self) -> Iterator[Dependency]:
        """Give what it depends on, for its extras too."""
        known = self.view.dependencies(self.version)
        assert isinstance(known, Dependencies)
        yield from known.base
        for extra in self.extras:
            yield from known.of_extra(extra)


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
            holder, rank = chosen
            if rank is None:
                self._chooser.guard(holder, self.engine.now[holder] & ~1)
            elif not self._try(holder, rank):
                yield from self._asker.ready(*self._named(holder), rank)

    def _start(self) -> Generator[Need, None, None]:
        roots = self.question.roots
        yield from self._asker.listings([dependency.project for _requirement, dependency in roots])
        for requirement, dependency in roots:
            self.packages.require(Requested(requirement, dependency))

    def _settle(self) -> None:
        """Draw conclusions, and take note of whom conflicts hit. Raises `NoAnswer`."""
        engine = self.engine
        while True:
            if not engine.solve_units(self.packages.because):
                assert engine.failure is not None
                raise NoAnswer(self, engine.failure)
            if not engine.blamed:
                return
            if engine.conflicts > MAX_CONFLICTS:
                raise self._too_hard()
            blamed, engine.blamed = engine.blamed, []
            for package, clause in blamed:
                self._chooser.blame(package, clause)

    def _named(self, holder: int) -> tuple[int, NormalizedName | None]:
        """Give a project's number and None; for an extra, the number of its project and its name."""
        return self.packages.owners.get(holder, (holder, None))

    def _try(self, holder: int, rank: int) -> bool:
        """Decide a version, or an extra of a decided one, when what it brings along contradicts nothing.

        False: something has to be fetched first.
        """
        engine, packages = self.engine, self.packages
        row = packages.looked_at(holder, rank)
        if row is None:
            stated = self._stated(holder, rank)
            if isinstance(stated, Unusable):
                self._rule_out(holder, 2 << rank, stated)
                return True
            row = None if stated is None else packages.look_at(holder, rank, stated)
            if row is None:
                return False
        now = engine.now
        news = []
        for other, mask in row:
            value = now[other]
            left = value & mask
            if left != value:
                if not left:
                    self._refuse(holder, rank, other)
                    return True
                news.append((other, mask))
        if holder in packages.owners:
            engine.decide(holder, ON)
        else:
            self.decisions += 1
            if self.decisions > MAX_TRIES:
                raise self._too_hard()
            engine.decide(holder, 2 << rank)
        if news:
            engine.imply(holder, news, packages.because)
        return True

    def _stated(self, holder: int, rank: int) -> Iterable[Dependency] | Unusable | None:
        """Give the dependencies of a version, or those that an extra of it adds; None when they are not known."""
        number, extra = self._named(holder)
        known = self.packages.told(number, rank)
        if not isinstance(known, Dependencies):
            return known
        if extra is None:
            return known.base
        added = tuple(known.of_extra(extra))
        url = next((dependency for dependency in added if dependency.url is not None), None)
        if url is None:
            return added
        return Unusable(f"its extra {extra} depends on {url.project} by URL, which only a request may do", "url")

    def _refuse(self, holder: int, rank: int, other: int) -> None:
        """Add the clause by which a version contradicts what another package is now."""
        engine = self.engine
        before, conflicts = engine.now[holder], engine.conflicts
        clause = engine.add(*self.packages.clash(holder, 2 << rank, other, engine.now[other]))
        self._settle()
        if engine.conflicts == conflicts:
            self._chooser.blame(holder, clause, (before & ~engine.now[holder]).bit_count())

    def _rule_out(self, holder: int, versions: int, why: Unusable) -> None:
        number, extra = self._named(holder)
        fact = Out(number, versions, why)
        if extra is not None:
            self.engine.add([(number, versions), (holder, ON)], fact)
            return
        reasons = self._out.setdefault(number, {})
        reasons[why] = reasons.get(why, 0) | versions
        self.engine.add([(number, versions)], fact)

    def _too_hard(self) -> LimitExceeded:
        return LimitExceeded(
            f"no answer after {self.decisions} tried versions and {self.engine.conflicts} conflicts",
            hint="pin some of the requirements more tightly",
        )

    # ------------------------------------------------------------------ the answer

    def _picks(self) -> dict[NormalizedName, Pick]:
        picks, now, decided = {}, self.engine.now, self.engine.decided
        for project, number in self.packages.numbers.items():
            if decided >> number & 1:
                package, rank = self.packages[number], now[number].bit_length() - 2
                extras = tuple(sorted(self.packages.extras_on(number))) if package.extras else ()
                passed_over = self._passed_over(number, rank) if number in self._out else None
                picks[project] = Pick(package.view, rank, extras, passed_over)
        return picks

    def _passed_over(self, number: int, rank: int) -> tuple[int, str] | None:
        """Find the newest version above the chosen one that was out for want of usable metadata."""
        package = self.packages[number]
        newest = None
        for why, versions in self._out[number].items():
            left = versions & package.fine & ~((4 << rank) - 1)
            for _terms, _dependency, mask in self.packages.active(package):
                left &= mask
            if left and (newest is None or left.bit_length() - 2 > newest[0]):
                newest = left.bit_length() - 2, why.reason
        return newest
