"""Answers by trying everything: slow, short, and written without any of the solver's machinery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from packaging.requirements import Requirement as _Requirement
from packaging.version import Version

Requirement = cache(_Requirement)

World = Mapping[str, Mapping[str, "Entry"]]
Answer = dict[str, tuple[str, frozenset[str]]]
"""Project → version and the extras that are asked for."""


@dataclass(frozen=True)
class Entry:
    """One release of a small world."""

    requires: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    yanked: bool = False


def answers(world: World, roots: Sequence[str], *, preset: str = "pip") -> Iterator[Answer]:
    """Give every valid answer: all that is required and nothing else."""
    wanted = sorted({Requirement(root).name for root in roots})
    yield from _extend(world, roots, {}, wanted, preset)


@cache
def _contains(requirement: _Requirement, version: str, prereleases: bool) -> bool:
    return requirement.specifier.contains(version, prereleases=prereleases or None)


def _extend(
    world: World, roots: Sequence[str], chosen: dict[str, str], wanted: list[str], preset: str
) -> Iterator[Answer]:
    missing = [name for name in wanted if name not in chosen]
    if not missing:
        active = _active(world, roots, chosen)
        needed = {requirement.name for requirement in active}
        if needed - set(chosen):
            yield from _extend(world, roots, chosen, sorted(needed | set(chosen)), preset)
        elif needed == set(chosen) and _valid(world, roots, active, chosen, preset):
            yield {
                name: (version, frozenset(e for r in active if r.name == name for e in r.extras))
                for name, version in chosen.items()
            }
        return
    for version in world.get(missing[0], {}):
        more = {**chosen, missing[0]: version}
        if _fits(_active(world, roots, more), more):  # a requirement once broken stays broken
            yield from _extend(world, roots, more, wanted, preset)


def _active(world: World, roots: Sequence[str], chosen: Mapping[str, str]) -> list[_Requirement]:
    """Collect the requirements that count, extras followed until nothing new turns up."""
    active = [Requirement(root) for root in roots]
    active += [Requirement(text) for name, version in chosen.items() for text in world[name][version].requires]
    done: set[tuple[str, str]] = set()
    for requirement in active:
        for extra in sorted(requirement.extras):
            if requirement.name in chosen and (requirement.name, extra) not in done:
                done.add((requirement.name, extra))
                entry = world[requirement.name][chosen[requirement.name]]
                active += [Requirement(text) for text in entry.extras.get(extra, ())]
    return active


def _fits(active: Sequence[_Requirement], chosen: Mapping[str, str]) -> bool:
    return all(
        _contains(requirement, chosen[requirement.name], True)
        for requirement in active
        if requirement.name in chosen
    )


def _valid(
    world: World,
    roots: Sequence[str],
    active: Sequence[_Requirement],
    chosen: Mapping[str, str],
    preset: str,
) -> bool:
    if not _fits(active, chosen):
        return False
    for name, version in chosen.items():
        on_it = [requirement for requirement in active if requirement.name == name]
        if world[name][version].yanked and not _pinned(name, version, on_it, roots, preset):
            return False
        if Version(version).is_prerelease and preset == "pip" and not world[name][version].yanked:
            named = any(requirement.specifier.prereleases for requirement in on_it)
            final_matches = any(
                all(_contains(requirement, other, True) for requirement in on_it)
                for other in world[name]
                if not Version(other).is_prerelease
            )
            if final_matches and not named:
                return False
    return True


def _pinned(name: str, version: str, on_it: Sequence[_Requirement], roots: Sequence[str], preset: str) -> bool:
    who = on_it if preset == "pip" else [r for r in map(Requirement, roots) if r.name == name]
    return any(
        specifier.operator == "==" and specifier.contains(version, prereleases=True)
        for requirement in who
        for specifier in requirement.specifier
        if not specifier.version.endswith(".*")
    )
