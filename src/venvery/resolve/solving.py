"""The way in: solves a request target by target and puts the answers together."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from venvery.errors import BadInput, UrlNotAllowed
from venvery.model.names import NormalizedName
from venvery.model.requests import ResolveRequest
from venvery.model.targets import Target
from venvery.model.versions import Version
from venvery.resolve.explain import unsatisfiable
from venvery.resolve.locking import Answer, make_lock
from venvery.resolve.policies import policies_of
from venvery.resolve.protocol import Need, Resolution, Shelf
from venvery.resolve.solver import NoAnswer, TargetSolver
from venvery.resolve.universe import Universe

__all__ = ["solve"]


def solve(request: ResolveRequest, shelf: Shelf) -> Generator[Need, None, Resolution]:
    """Find the lock that answers a request.

    The targets are solved one after the other, each with the versions of those before it as preferences.
    Raises `Unsatisfiable`, `UrlNotAllowed` for a requirement by URL, `LimitExceeded`.
    """
    _check(request)
    seen = _Footprint(shelf)
    options = request.options
    preferences = {project: version for project, version in options.preferences if project not in options.upgrade}
    answers = []
    decisions = conflicts = 0
    for target in request.targets:
        answer, solver = yield from _solve_target(request, target, seen, preferences)
        decisions += solver.decisions
        conflicts += solver.engine.conflicts
        answers.append(answer)
        for project, pick in answer.items():
            preferences.setdefault(project, pick.view.universe.versions[pick.version])
    return Resolution(
        lock=make_lock(request, answers),
        footprint=dict(sorted(seen.revisions.items())),
        decisions=decisions,
        conflicts=conflicts,
        policies=(f"preset={options.preset}", *policies_of(options).names()),
    )


def _solve_target(
    request: ResolveRequest, target: Target, shelf: Shelf, preferences: Mapping[NormalizedName, Version]
) -> Generator[Need, None, tuple[Answer, TargetSolver]]:
    solver = _solver(request, target, shelf, preferences, lenient=False)
    try:
        return (yield from solver.run()), solver
    except NoAnswer as strict:
        if solver.guarded:
            # What is ruled out for want of leave is ruled out by what was known then. Search once more with
            # those versions as a last resort, and see whether all that are taken have their leave.
            lenient = _solver(request, target, shelf, preferences, lenient=True)
            try:
                return (yield from lenient.run()), lenient
            except NoAnswer:
                pass
        raise unsatisfiable(strict, several=len(request.targets) > 1) from None


def _solver(
    request: ResolveRequest,
    target: Target,
    shelf: Shelf,
    preferences: Mapping[NormalizedName, Version],
    *,
    lenient: bool,
) -> TargetSolver:
    return TargetSolver(
        request,
        target,
        shelf,
        policies_of(request.options),
        preferences=preferences,
        everywhere=request.targets if len(request.targets) > 1 else (),
        lenient=lenient,
    )


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
        self._taken: dict[NormalizedName, Universe] = {}
        self.revisions: dict[NormalizedName, str] = {}

    def universe(self, project: NormalizedName) -> Universe | None:
        """Give the project's universe; once given, the same for the rest of the request."""
        universe = self._taken.get(project)
        if universe is None:
            universe = self._shelf.universe(project)
            if universe is not None:
                self._taken[project] = universe
                self.revisions[project] = universe.listing.revision
        return universe
