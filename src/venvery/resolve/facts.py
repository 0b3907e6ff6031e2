"""The facts that clauses rest on: the leaves of every explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from venvery.model.names import NormalizedName
from venvery.model.requirements import Requirement
from venvery.resolve.dependencies import Dependency
from venvery.resolve.views import Unusable, Way

__all__ = ["Bounded", "Fact", "Guarded", "Out", "Requested", "Requires"]


@dataclass(frozen=True, slots=True)
class Requested:
    """The request asks for a project."""

    requirement: Requirement
    dependency: Dependency
    extra: NormalizedName | None = None
    """Set when the clause is about an extra that the requirement asks for."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A constraint of the request bounds a project's versions."""

    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Requires:
    """Some versions of a project depend on another project, each in one of several ways."""

    package: int
    versions: int
    """Mask of the project's versions for which this is so."""
    extra: NormalizedName | None
    """The extra of the project that brings the dependency."""
    ways: tuple[Way, ...]
    """Their versions go beyond `versions`: what is ruled out for good is not spoken of."""
    wanted_extra: NormalizedName | None = None
    """Set when the clause is about an extra that the dependencies ask for."""


@dataclass(frozen=True, slots=True)
class Out:
    """A version cannot be used."""

    package: int
    versions: int
    why: Unusable


@dataclass(frozen=True, slots=True)
class Guarded:
    """Versions that could be used if somebody asked for them by name: yanked ones, pre-releases."""

    package: int
    versions: int
    kind: Literal["yanked", "prerelease"]


Fact = Requested | Bounded | Requires | Out | Guarded
