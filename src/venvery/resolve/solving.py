"""The way in: solves a request target by target and puts the answers together."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import datetime

from venvery.errors import BadInput, UrlNotAllowed
from venvery.model.names import NormalizedName
from venvery.model.requests import ResolveRequest
from venvery.model.versions import Version
from venvery.resolve.explain import unsatisfiable
from venvery.resolve.locking import Answer, make_lock
from venvery.resolve.policies import policies_of
from venvery.resolve.protocol import Need, Resolution, Shelf, WhyNotBuilt
from venvery.resolve.question import Question, Wishes, cool_down
from venvery.resolve.solver import NoAnswer, Pick, TargetSolver
from venvery.resolve.universe import Universe

__all__ = ["solve"]

_MOST_ROUNDS = 4
"""How often targets that differ are solved anew to find versions that serve them all."""


def solve(request: ResolveRequest, shelf: Shelf) -> Generator[Need, None, Resolution]:
    """Find the lock that answers a request.

    The targets are solved one after the other, each with the versions of those before it as preferences;
    where they end apart, again with the version in mind that the most limited of them took.
    Raises `Unsatisfiable`, `UrlNotAllowed` for a requirement by URL, `LimitExceeded`.
    """
    _check(request)
    seen = _Footprint(shelf)
    options = request.options
    held = {project: version for project, version in options.preferences if project not in options.upgrade}
    round_ = yield from _solve_targets(request, seen, Wishes(held))
    decisions, conflicts = round_.decisions, round_.conflicts
    for _attempt in range(_MOST_ROUNDS):
        apart = round_.apart(max if options.strategy == "lowest" else min)
        if not apart:
            break
        again = yield from _solve_targets(request, seen, Wishes(held, {**round_.versions(), **apart}))
        decisions += again.decisions
        conflicts += again.conflicts
        if len(again.apart(min)) >= len(apart):
            break
        round_ = again
    return Resolution(
        lock=replace(
            make_lock(request, round_.answers),
            policies=(f"preset={options.preset}", *policies_of(options).names(), *request.policy.names()),
        ),
        footprint=dict(sorted(seen.revisions.items())),
        decisions=decisions,
        conflicts=conflicts,
        ends_at=seen.ends_at(request),
    )


@dataclass(slots=True)
class _Round:
    """The answers of all targets, each found with the versions of those before it in mind."""

    answers: list[Answer] = field(default_factory=list)
    decisions: int = 0
    conflicts: int = 0

    def versions(self) -> dict[NormalizedName, Version]:
        """Give the first target's version of each project."""
        found: dict[NormalizedName, Version] = {}
        for answer in self.answers:
            for project, pick in answer.picks.items():
                found.setdefault(project, pick.view.universe.versions[pick.version])
        return found

    def apart(self, one: Callable[[set[int]], int]) -> dict[NormalizedName, Version]:
        """Give the projects that have several versions, each with one of them, which may serve all targets."""
        if len(self.answers) == 1:
            return {}
        ranks: dict[NormalizedName, set[int]] = {}
        for answer in self.answers:
            for project, pick in answer.picks.items():
                ranks.setdefault(project, set()).add(pick.version)
        universes = {p: pick.view.universe for answer in self.answers for p, pick in answer.picks.items()}
        return {p: universes[p].versions[one(found)] for p, found in ranks.items() if len(found) > 1}


def _solve_targets(request: ResolveRequest, shelf: Shelf, wishes: Wishes) -> Generator[Need, None, _Round]:
    """Solve one target after the other."""
    done = _Round()
    for target in request.targets:
        shared = Wishes(wishes.held, {**done.versions(), **wishes.shared})
        question = Question(request, target, shared)
        picks, solver = yield from _solve_target(question, shelf, len(request.targets) > 1)
        done.decisions += solver.decisions
        done.conflicts += solver.engine.conflicts
        done.answers.append(Answer(question, picks))
    return done


def _solve_target(
    question: Question, shelf: Shelf, several: bool
) -> Generator[Need, None, tuple[dict[NormalizedName, Pick], TargetSolver]]:
    solver = TargetSolver(question, shelf)
    try:
        return (yield from solver.run()), solver
    except NoAnswer as strict:
        if solver.guarded:
            # What is ruled out for want of leave is ruled out by what was known then. Search once more with
            # those versions as a last resort, and see whether all that are taken have their leave.
            lenient = TargetSolver(question, shelf, lenient=True)
            try:
                return (yield from lenient.run()), lenient
            except NoAnswer:
                pass
        raise unsatisfiable(strict, several=several) from None


def _check(request: ResolveRequest) -> None:
    if not request.targets:
        raise BadInput("a request needs at least one target")
    for requirement in (*request.requirements, *request.constraints, *request.options.overrides):
        if requirement.url is not None:
            raise UrlNotAllowed(f"{requirement.text}: requirements by URL are not taken here")


class _Footprint:
    """A shelf that notes what is taken from it."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.pause: Callable[[], bool] | None = getattr(shelf, "pause", None)
        self.why_not_built: WhyNotBuilt | None = getattr(shelf, "why_not_built", None)
        self._taken: dict[NormalizedName, Universe] = {}
        self.revisions: dict[NormalizedName, str] = {}

    def ends_at(self, request: ResolveRequest) -> datetime | None:
        """Give the moment at which the cool-down lets the next release of a project on the shelf go."""
        if request.policy.cool_down is None:
            return None
        waiting = (
            cool_down(one, request.policy.of(one.project), request.asked_at) for one in self._taken.values()
        )
        return min((ends for one in waiting if one is not None and (ends := one.ends) is not None), default=None)

    def universe(self, project: NormalizedName) -> Universe | None:
        """Give the project's universe; once given, the same for the rest of the request."""
        universe = self._taken.get(project)
        if universe is None:
            universe = self._shelf.universe(project)
            if universe is not None:
                self._taken[project] = universe
                self.revisions[project] = universe.listing.revision
        return universe
