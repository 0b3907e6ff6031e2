"""A request as one target sees it: which requirements count there, and which files and versions are allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from venvery.model.names import NormalizedName
from venvery.model.policy import ProjectPolicy
from venvery.model.requests import ResolveRequest
from venvery.model.requirements import Requirement
from venvery.model.sources import DIRECT
from venvery.model.targets import Target
from venvery.model.versions import Version
from venvery.resolve.dependencies import Dependency, TargetFacts, facts_of, from_requirement
from venvery.resolve.policies import Policies, policies_of
from venvery.resolve.universe import Universe
from venvery.resolve.views import CoolDown, FileRules, Lens, View, Way, lens_of

__all__ = ["Question", "Wishes", "cool_down"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """Versions that are to be taken where they are still allowed."""

    held: Mapping[NormalizedName, Version] = field(default_factory=dict)
    """Pins of an earlier lock; they need no leave, although yanked since or a pre-release."""
    shared: Mapping[NormalizedName, Version] = field(default_factory=dict)
    """What other targets took."""


class Question:
    """What is asked, on one target."""

    def __init__(self, request: ResolveRequest, target: Target, wishes: Wishes) -> None:
        self.target = target
        self.options = request.options
        self.wishes = wishes
        self.policies: Policies = policies_of(request.options)
        self.facts: TargetFacts = facts_of(target)
        self._policy, self._asked_at = request.policy, request.asked_at
        self._sources = dict(request.options.sources)
        self._others = tuple(facts_of(other) for other in request.targets if other != target)
        self._overrides = self._overridden()
        self.rewrites = bool(self._overrides or self.options.excludes)
        """True when dependencies are not taken as they are stated."""
        self.roots: list[tuple[Requirement, Dependency]] = []
        """The requirements that count, overrides applied."""
        self._stated: dict[NormalizedName, list[Requirement]] = {}
        for requirement in request.requirements:
            dependency = from_requirement(requirement)
            if self.facts.holds(dependency):
                self._stated.setdefault(requirement.project, []).append(requirement)
                self.roots += [(requirement, effective) for effective in self.effective(dependency)]
        self._bounds: dict[NormalizedName, list[Requirement]] = {}
        for bound in request.constraints:
            if self.facts.holds(from_requirement(bound)):
                self._bounds.setdefault(bound.project, []).append(bound)

        hashed = {one.project for one in (*request.requirements, *request.constraints) if one.hashes}
        self._particular = hashed | self._sources.keys()
        """The projects of which the request says which files they may have."""
        self._opens_all = self.options.prereleases == "allow" or self.options.prerelease_projects.every
        self._opened = self.options.prerelease_projects.names
        self._usual: dict[tuple[bool, bool], Lens] = {}
        self._unusual = bool(self._policy)

    def _overridden(self) -> dict[NormalizedName, list[Dependency]]:
        overrides: dict[NormalizedName, list[Dependency]] = {}
        for override in self.options.overrides:
            replacing = overrides.setdefault(override.project, [])
            if self.facts.holds(from_requirement(override)):
                replacing.append(from_requirement(override))
        return overrides

    def names(self, project: NormalizedName) -> bool:
        """Tell whether the request itself names a project."""
        return project in self._stated

    def effective(self, dependency: Dependency) -> Sequence[Dependency]:
        """Apply overrides and excludes to a dependency."""
        if dependency.project in self.options.excludes:
            return ()
        replacing = self._overrides.get(dependency.project)
        return (dependency,) if replacing is None else replacing

    def effective_all(self, dependencies: Iterable[Dependency]) -> Sequence[Dependency]:
        """Apply overrides and excludes to all dependencies of a version."""
        if self.rewrites:
            return [effective for dependency in dependencies for effective in self.effective(dependency)]
        return dependencies if isinstance(dependencies, tuple) else tuple(dependencies)

    def overridden(self, ways: Sequence[Way], other: Universe) -> Sequence[Way]:
        """Apply overrides to the ways in which versions depend on another project."""
        replacing = self._overrides.get(other.project)
        if replacing is None:
            return ways
        versions = 0
        for having, _allowed, _dependency in ways:
            versions |= having
        return [(versions, other.mask(dependency.specifier), dependency) for dependency in replacing]

    def is_override(self, dependency: Dependency) -> bool:
        """Tell whether a dependency is an override, whoever stated what it replaces."""
        return dependency in self._overrides.get(dependency.project, ())

    def bounds(self, project: NormalizedName) -> Sequence[Requirement]:
        """Give the constraints on a project."""
        return self._bounds.get(project, ())

    def view(self, universe: Universe) -> View:
        """Give what the target can use of a project under the file rules of the request."""
        return self._lens(universe).view(universe)

    def _lens(self, universe: Universe) -> Lens:
        project, options = universe.project, self.options
        if self._unusual or project in self._particular or universe.source == DIRECT:
            return lens_of(self.facts, self._rules(universe))
        kinds = project not in options.no_binary, project not in options.only_binary
        lens = self._usual.get(kinds)
        if lens is None:
            lens = self._usual[kinds] = lens_of(self.facts, self._rules(universe))
        return lens

    def _rules(self, universe: Universe) -> FileRules:
        project = universe.project
        hashes: frozenset[str] | None = None
        for requirement in (*self._stated.get(project, ()), *self.bounds(project)):
            if requirement.hashes:
                digests = frozenset(requirement.hashes)
                hashes = digests if hashes is None else hashes & digests
        said = self._policy.of(project)
        direct = _is_direct(universe)
        return FileRules(
            wheels=project not in self.options.no_binary,
            sdists=project not in self.options.only_binary,
            exclude_newer=None if direct else self.options.exclude_newer,
            hashes=hashes,
            python_upper_bounds=self.policies.python_upper_bounds,
            blocked=said.blocked,
            allowed=said.allowed,
            cool_down=cool_down(universe, said, self._asked_at),
            source=None if direct else self._sources.get(project),
        )

    def everywhere(self, view: View) -> int:
        """Give the versions that every other target of the request can use too; all where there is none."""
        usable = -1
        for facts in self._others:
            usable &= lens_of(facts, view.rules).view(view.universe).plain
        return usable

    def opens_prereleases(self, project: NormalizedName) -> bool:
        """Tell whether the options give leave for a project's pre-releases."""
        return self._opens_all or project in self._opened

    def requested_pins(self, universe: Universe) -> int:
        """Give the versions that the request itself pins with `==` or `===`."""
        project, pinned = universe.project, 0
        stated = (*self._stated.get(project, ()), *self.bounds(project))
        overriding = self._overrides.get(project)
        dependencies = overriding if overriding is not None else map(from_requirement, stated)
        for dependency in dependencies:
            if dependency.pins:
                pinned |= universe.mask(dependency.specifier)
        return pinned


def cool_down(universe: Universe, said: ProjectPolicy, asked_at: datetime | None) -> CoolDown | None:
    """Tell which files of a project are too new at a moment; None when all are old enough."""
    if said.cool_down is None or asked_at is None or _is_direct(universe):
        return None
    since = universe.first_upload_after(asked_at - said.cool_down)
    return None if since is None else CoolDown(since, said.cool_down)


def _is_direct(universe: Universe) -> bool:
    """Tell a project that is one file which the request names by URL: nobody lists it, nobody dates it."""
    return universe.source == DIRECT
