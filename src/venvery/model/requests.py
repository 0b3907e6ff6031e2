"""A request for an answer: requirements, constraints, targets, and how to choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from venvery.model.names import NormalizedName
from venvery.model.policy import NO_POLICY, ReleasePolicy
from venvery.model.requirements import Requirement
from venvery.model.targets import Target
from venvery.model.versions import Version

__all__ = ["EVERY", "NameSet", "Options", "ResolveRequest"]

Preset = Literal["pip", "uv"]
Strategy = Literal["highest", "lowest", "lowest-direct"]
Prereleases = Literal["if-necessary-or-explicit", "allow", "disallow"]


@dataclass(frozen=True, slots=True)
class NameSet:
    """A set of projects, or every project (pip's `:all:`)."""

    every: bool = False
    names: frozenset[NormalizedName] = frozenset()

    def __contains__(self, project: object) -> bool:
        return self.every or project in self.names


EVERY = NameSet(every=True)


@dataclass(frozen=True, slots=True)
class Options:
    """How to choose among the answers that are right."""

    preset: Preset = "pip"
    """Whose reading of the standards rules where pip and uv differ."""
    strategy: Strategy = "highest"
    prereleases: Prereleases = "if-necessary-or-explicit"
    prerelease_projects: NameSet = NameSet()
    """Projects whose pre-releases are allowed whatever `prereleases` says."""
    only_binary: NameSet = NameSet()
    no_binary: NameSet = NameSet()
    exclude_newer: datetime | None = None
    """Files uploaded at or after this instant do not exist for this request."""
    overrides: tuple[Requirement, ...] = ()
    """Replace every requirement on their project, whoever states it."""
    excludes: frozenset[NormalizedName] = frozenset()
    """Projects that are left out although something requires them."""
    preferences: tuple[tuple[NormalizedName, Version], ...] = ()
    """Pins of an earlier lock, taken where they are still allowed."""
    upgrade: NameSet = EVERY
    """Projects whose preference is not looked at. Without preferences it says nothing."""
    sources: tuple[tuple[NormalizedName, str], ...] = ()
    """Projects that are to come from one source alone, by its name."""


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    """What someone asks for."""

    requirements: tuple[Requirement, ...]
    targets: tuple[Target, ...]
    constraints: tuple[Requirement, ...] = ()
    options: Options = field(default_factory=Options)
    policy: ReleasePolicy = NO_POLICY
    """The administrator's, not the request's."""
    asked_at: datetime | None = None
    """When it was asked, for what depends on the time: whoever resolves has no clock. None: no cool-down."""
