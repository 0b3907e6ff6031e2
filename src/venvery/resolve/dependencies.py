"""Dependencies as core metadata states them, parsed once per text; markers, evaluated once per target.

Standards: dependency specifiers (PEP 508), version specifiers (PEP 440), `Requires-Python`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as _Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet

from venvery.model.names import NormalizedName, normalize
from venvery.model.requirements import Requirement
from venvery.model.targets import Target
from venvery.model.versions import Version, parse_version

__all__ = ["Dependency", "TargetFacts", "facts_of", "from_requirement", "parse_dependency"]

_MOST_MARKERS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """One requirement, reduced to what the solver looks at."""

    text: str
    """As written."""
    project: NormalizedName
    extras: tuple[NormalizedName, ...]
    """Sorted."""
    specifier: str
    """The version specifier in one normal writing; empty for any version."""
    marker: Marker | None
    marker_text: str
    names_extra: bool
    """True when the marker looks at `extra`."""
    url: str | None
    names_prerelease: bool
    """True when the specifier asks for pre-releases by naming one (PEP 440, "Handling of pre-releases")."""
    pins: bool
    """True for `==X` without wildcard and for `===X`: what may reach a yanked release (PEP 592)."""

    @property
    def shown(self) -> str:
        """Write project, extras and specifier without the marker, as explanations show it."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.project}{extras}{self.specifier}"


@lru_cache(maxsize=131_072)
def parse_dependency(text: str) -> Dependency | str:
    """Parse one `Requires-Dist`; gives a sentence that says what is wrong with it when it does not parse."""
    try:
        parsed = _Requirement(text)
    except InvalidRequirement:
        return f"its metadata has a dependency that does not parse: {text[:200]!r}"
    extras = frozenset(normalize(extra) for extra in parsed.extras)
    return _dependency(text, normalize(parsed.name), extras, parsed.specifier, parsed.marker, parsed.url)


@lru_cache(maxsize=16_384)
def from_requirement(requirement: Requirement) -> Dependency:
    """Reduce a requirement of the request; equal ones, those of equal text, give the same object."""
    return _dependency(
        requirement.text,
        requirement.project,
        requirement.extras,
        requirement.specifier,
        requirement.marker,
        requirement.url,
    )


def _dependency(
    text: str,
    project: NormalizedName,
    extras: frozenset[NormalizedName],
    specifier: SpecifierSet,
    marker: Marker | None,
    url: str | None,
) -> Dependency:
    marker_text = str(marker) if marker is not None else ""
    return Dependency(
        text=text,
        project=project,
        extras=tuple(sorted(extras)),
        specifier=intern(str(specifier)),
        marker=marker,
        marker_text=intern(marker_text),
        names_extra="extra" in marker_text,
        url=url,
        names_prerelease=bool(specifier.prereleases),
        pins=any(map(_is_pin, specifier)),
    )


def _is_pin(specifier: Specifier) -> bool:
    return specifier.operator == "===" or (specifier.operator == "==" and not specifier.version.endswith(".*"))


class TargetFacts:
    """What a target says to markers, tags and `Requires-Python`, each looked up once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._environment: Mapping[str, str] = target.marker_environment
        self._markers: dict[tuple[str, str], bool] = {}
        self._ranks: dict[str, int | None] = {}
        self._pythons: dict[tuple[str, bool], bool] = {}
        # What counts is the release: pip lets 3.15.0b1 pass for `>=3.15`.
        self.python: Version = parse_version(parse_version(target.python).base_version)

    def holds(self, dependency: Dependency, extra: str = "") -> bool:
        """Evaluate a dependency's marker, with `extra` as the one extra that is asked for."""
        if dependency.marker is None:
            return True
        key = (dependency.marker_text, extra if dependency.names_extra else "")
        known = self._markers.get(key)
        if known is None:
            if len(self._markers) >= _MOST_MARKERS:
                self._markers.clear()
            known = self._markers[key] = self._evaluate(dependency.marker, extra)
        return known

    def _evaluate(self, marker: Marker, extra: str) -> bool:
        try:
            return marker.evaluate({**self._environment, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName):
            return False

    def rank(self, tag: str) -> int | None:
        """Give the rank of a wheel's tag set on the target; 0 is best, None is unusable."""
        try:
            return self._ranks[tag]
        except KeyError:
            rank = self._ranks[tag] = self.target.rank(tag)
            return rank

    def runs(self, requires_python: str | None, *, upper_bounds: bool = True) -> bool:
        """Tell whether the target's Python satisfies `Requires-Python`; what does not parse is ignored."""
        if not requires_python:
            return True
        key = (requires_python, upper_bounds)
        known = self._pythons.get(key)
        if known is None:
            if len(self._pythons) >= _MOST_MARKERS:
                self._pythons.clear()
            known = self._pythons[key] = _runs(requires_python, self.python, upper_bounds)
        return known


def _runs(text: str, python: Version, upper_bounds: bool) -> bool:
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier:
        return True
    if not upper_bounds:
        specifiers = SpecifierSet(",".join(filter(None, map(_lower_bound, specifiers))))
    return specifiers.contains(python, prereleases=True)


def _lower_bound(specifier: Specifier) -> str:
    if specifier.operator in (">", ">="):
        return str(specifier)
    if specifier.operator in ("==", "~="):
        return f">={specifier.version.removesuffix('.*')}"
    return ""


@lru_cache(maxsize=64)
def facts_of(target: Target) -> TargetFacts:
    """Give the facts of a target, the same object for equal targets while it is remembered."""
    return TargetFacts(target)
