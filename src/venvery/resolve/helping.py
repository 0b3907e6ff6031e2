"""What would help: which of the versions that are out would do if they were not, and what a person can do then."""

from __future__ import annotations

from collections.abc import Iterable

from venvery.model.names import normalize
from venvery.resolve.dependencies import Dependency, from_requirement
from venvery.resolve.engine import Engine
from venvery.resolve.facts import Bounded, Fact, Requested, Requires
from venvery.resolve.packages import Package, Packages
from venvery.resolve.views import Dependencies, View
from venvery.resolve.wording import wheel_pythons

__all__ = ["Holder", "Wanted", "advice", "from_project", "from_request"]

Holder = tuple[str, int, str | None]
"""Who states a requirement: the request, or a project (or an extra of it) whatever its version."""


def from_request(fact: Requested | Bounded) -> Holder:
    """Name a requirement of the request as a holder."""
    return "request", id(fact.requirement), None


def from_project(package: int, extra: str | None) -> Holder:
    """Name a project, or an extra of it, as a holder."""
    return "project", package, extra


class Wanted:
    """What the facts of a derivation allow of each project, by holder."""

    def __init__(self, packages: Packages, engine: Engine, facts: Iterable[Fact]) -> None:
        self._packages, self._engine = packages, engine
        self._allowed: dict[int, dict[Holder, int]] = {}
        for fact in facts:
            if isinstance(fact, Bounded):
                self._note(from_request(fact), from_requirement(fact.requirement))
            elif isinstance(fact, Requested):
                self._note(from_request(fact), fact.dependency)
            elif isinstance(fact, Requires):
                for having, _allowed, dependency in fact.ways:
                    if having & fact.versions:
                        self._note(from_project(fact.package, fact.extra), dependency)

    def _note(self, holder: Holder, dependency: Dependency) -> None:
        number = self._packages.numbers.get(normalize(dependency.project))
        if number is not None:
            holders = self._allowed.setdefault(number, {})
            mask = self._packages[number].universe.mask(dependency.specifier)
            holders[holder] = holders.get(holder, 0) | mask

    def by_others(self, number: int, holder: Holder) -> int:
        """Give the versions of a project that everybody but one holder allows."""
        allowed = -1
        for other, mask in self._allowed.get(number, {}).items():
            if other != holder:
                allowed &= mask
        return allowed

    def may_help(self, number: int, mask: int) -> bool:
        """Tell whether one of some versions is known to require nothing that others forbid."""
        view = self._packages[number].view
        for rank in range(mask.bit_length() - 1):
            told = view.dependencies(rank) if mask >> rank & 2 else None
            if isinstance(told, Dependencies) and all(self._fits(number, one) for one in told.base):
                return True
        return False

    def _fits(self, number: int, dependency: Dependency) -> bool:
        """Tell whether what others want of a project, and what can be had, leaves a dependency anything."""
        other = self._packages.numbers.get(dependency.project)
        if other is None:
            return True
        left = self.by_others(other, from_project(number, None)) & self._engine.domain[other]
        return bool(left & self._packages[other].universe.mask(dependency.specifier))


def advice(kind: str, package: Package, versions: int) -> str | None:
    """Say what to do about versions that are out for a reason of this kind."""
    pythons = wheel_pythons(package.view, versions)
    return {
        "python": "choose another Python",
        "tag": f"choose Python {pythons[-1]}" if pythons else "choose another target",
        "sdist": f"allow source distributions of {package.project}",
        "wheel": f"allow wheels of {package.project}",
        "prerelease": f"allow pre-releases of {package.project}",
        "yanked": f"ask for the yanked release of {package.project} with ==",
        "newer": "choose a later exclude-newer",
        "cool-down": _when_cool(package.view, versions),
        "blocked": f"ask the administrator about {package.project}",
        "source": f"let {package.project} come from any source",
    }.get(kind)


def _when_cool(view: View, versions: int) -> str | None:
    """Say from when the first of some versions is offered, as far as the cool-down goes."""
    rule = view.rules.cool_down
    files = [file for i, files in enumerate(view.universe.by_version) if versions >> (i + 1) & 1 for file in files]
    times = [file.upload_time for file in files if file.upload_time is not None]
    if rule is None or not times:
        return None
    return (
        f"wait until {min(times) + rule.span:%Y-%m-%d %H:%M %Z}, "
        f"or ask the administrator to exempt {view.universe.project} from the cool-down"
    )
