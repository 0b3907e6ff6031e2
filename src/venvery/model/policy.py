"""The administrator's policy on releases: which are blocked, which alone are allowed, how long new ones wait."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from venvery.errors import BadInput
from venvery.model.digests import canonical_json, sha256
from venvery.model.names import NormalizedName, is_valid_name
from venvery.model.versions import Version

__all__ = [
    "NOT_ALLOWED",
    "NO_POLICY",
    "ProjectPolicy",
    "ReleasePolicy",
    "ReleaseRule",
    "blocked_words",
    "covers",
    "parse_pattern",
    "parse_rule",
    "parse_span",
    "show_span",
]

_RULE = re.compile(r"\s*([A-Za-z0-9*][A-Za-z0-9*._-]*)\s*(.*?)\s*\Z", re.DOTALL)
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*\Z")
_UNITS = {"": "days", "d": "days", "day": "days", "h": "hours", "hour": "hours", "w": "weeks", "week": "weeks"}
_UNITS |= {f"{unit}s": f"{unit}s" for unit in ("day", "hour", "week")}
_EXAMPLES = "as in 'evil', 'requests==2.31.0' or 'urllib3<1.26'"
_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """Some releases, and what an administrator says of them."""

    pattern: str
    """A normalised project name, in which `*` stands for anything."""
    specifier: str = ""
    """Which versions (PEP 440), pre-releases included; empty: every one."""
    reason: str = ""

    def __str__(self) -> str:
        return self.pattern + self.specifier


@dataclass(frozen=True, slots=True)
class ProjectPolicy:
    """What a policy says of one project."""

    blocked: tuple[ReleaseRule, ...] = ()
    allowed: tuple[str, ...] | None = None
    """Specifiers of the versions that may be offered; None: all."""
    cool_down: timedelta | None = None

    def why_not(self, version: Version) -> str | None:
        """Say why a version is not offered, whenever it was uploaded; None when it is."""
        for rule in self.blocked:
            if SpecifierSet(rule.specifier).contains(version, prereleases=True):
                return blocked_words(rule.reason)
        if self.allowed is not None and not any(
            SpecifierSet(specifier).contains(version, prereleases=True) for specifier in self.allowed
        ):
            return NOT_ALLOWED
        return None


NOT_ALLOWED = "not among the releases that the administrator allows"
_NOTHING = ProjectPolicy()


def blocked_words(reason: str) -> str:
    """Say that a release is blocked, and why where that is known."""
    return "blocked by the administrator" + (f" ({reason})" if reason else "")


class _ByName:
    """Rules, found by the project's name: there may be thousands, and each request asks for many names."""

    def __init__(self, rules: Iterable[ReleaseRule]) -> None:
        self._exact: dict[str, list[ReleaseRule]] = {}
        self._patterns: list[ReleaseRule] = []
        for rule in rules:
            if "*" in rule.pattern:
                self._patterns.append(rule)
            else:
                self._exact.setdefault(rule.pattern, []).append(rule)

    def __call__(self, project: str) -> list[ReleaseRule]:
        """Give the rules on a project."""
        return [*self._exact.get(project, ()), *(rule for rule in self._patterns if covers(rule.pattern, project))]


@dataclass(frozen=True)
class ReleasePolicy:
    """Which releases are offered to whoever asks; no request can change it."""

    blocked: tuple[ReleaseRule, ...] = ()
    allowed: tuple[ReleaseRule, ...] | None = None
    """None: everything; else nothing but these. What is blocked stays blocked."""
    cool_down: timedelta | None = None
    """How old a file must be before it is offered, by its upload time, else since it was first seen."""
    cool_down_exempt: tuple[str, ...] = ()
    """Patterns of names that do not wait."""

    def __bool__(self) -> bool:
        return bool(self.blocked) or self.allowed is not None or self.cool_down is not None

    @cached_property
    def _blocking(self) -> _ByName:
        return _ByName(self.blocked)

    @cached_property
    def _allowing(self) -> _ByName:
        return _ByName(self.allowed or ())

    @cached_property
    def identity(self) -> str:
        """Names the policy: with another one, equal requests have other answers."""
        said = [[rule.pattern, rule.specifier, rule.reason] for rule in self.blocked]
        allowed = None if self.allowed is None else [[rule.pattern, rule.specifier] for rule in self.allowed]
        seconds = None if self.cool_down is None else self.cool_down.total_seconds()
        return sha256(canonical_json([said, allowed, seconds, list(self.cool_down_exempt)]))

    def names(self) -> tuple[str, ...]:
        """Say what is ruled, each as `name=value`; the rules themselves are not for everybody's eyes."""
        said = [f"blocked={len(self.blocked)} rules"] if self.blocked else []
        said += [] if self.allowed is None else [f"allowed={len(self.allowed)} rules"]
        said += [] if self.cool_down is None else [f"cool-down={show_span(self.cool_down)}"]
        return tuple(said)

    def of(self, project: NormalizedName) -> ProjectPolicy:
        """Give what is said of a project."""
        if not self:
            return _NOTHING
        allowed = None if self.allowed is None else tuple(rule.specifier for rule in self._allowing(project))
        waits = self.cool_down and not any(covers(pattern, project) for pattern in self.cool_down_exempt)
        return ProjectPolicy(
            blocked=tuple(self._blocking(project)),
            allowed=allowed,
            cool_down=self.cool_down if waits else None,
        )


NO_POLICY = ReleasePolicy()


def covers(pattern: str, project: str) -> bool:
    """Tell whether a pattern names a project; both are normalised."""
    return fnmatchcase(project, pattern) if "*" in pattern else project == pattern


def parse_pattern(text: str) -> str:
    """Read a project name in which `*` stands for anything. Raises `BadInput`."""
    if not is_valid_name(text.replace("*", "x")):
        raise BadInput(f"{text[:80]!r} is not a project name", hint="as in 'acme-tools' or 'acme-*'")
    return re.sub(r"[-_.]+", "-", text).lower()


def parse_rule(said: str | Mapping[str, Any]) -> ReleaseRule:
    """Read `evil`, `requests==2.31.0`, `acme-*`, or `{release = "…", reason = "…"}`. Raises `BadInput`."""
    if isinstance(said, Mapping):
        release, reason = said.get("release"), said.get("reason", "")
        if not isinstance(release, str) or not isinstance(reason, str) or set(said) - {"release", "reason"}:
            raise BadInput("a rule has a release and perhaps a reason", hint='{release = "evil", reason = "…"}')
        rule = parse_rule(release)
        return ReleaseRule(rule.pattern, rule.specifier, " ".join(reason.split()))
    match = _RULE.match(said)
    if match is None:
        raise BadInput(f"{said[:80]!r} names no release", hint=_EXAMPLES)
    try:
        return ReleaseRule(parse_pattern(match[1]), str(SpecifierSet(match[2])))
    except InvalidSpecifier:
        raise BadInput(
            f"{said[:80]!r} names no release: {match[2][:80]!r} is not a version specifier",
            hint=_EXAMPLES,
        ) from None


def parse_span(text: str) -> timedelta:
    """Read a span of time such as `7 days`, `36 hours`, `2 weeks`. Raises `BadInput`."""
    match = _SPAN.match(text.lower())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise BadInput(f"{text[:80]!r} is not a span of time", hint="as in '7 days', '36 hours' or '2 weeks'")
    span = timedelta(**{unit: float(match[1])}) if len(match[1]) < 9 else _LONGEST * 2
    if span > _LONGEST:
        raise BadInput(f"{text[:80]!r} is longer than ten years")
    return span


def show_span(span: timedelta) -> str:
    """Write a span of time for a person."""
    hours = span.total_seconds() / 3600
    number, unit = (hours / 24, "day") if hours >= 48 or hours == 24 else (hours, "hour")
    return f"{number:.4g} {unit}" + ("" if number == 1 else "s")
