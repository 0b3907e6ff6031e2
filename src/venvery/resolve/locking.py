"""Answers of all targets, put together into one lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from venvery.model.files import DistFile
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requests import ResolveRequest
from venvery.model.versions import Version
from venvery.resolve.dependencies import facts_of, from_requirement
from venvery.resolve.solver import Pick
from venvery.resolve.views import Dependencies

__all__ = ["Answer", "make_lock"]

Answer = dict[NormalizedName, Pick]
"""What one target gets."""

_NOWHERE: frozenset[int] = frozenset()


def make_lock(request: ResolveRequest, answers: Sequence[Answer]) -> Lock:
    """Merge one answer per target into one lock: one pin per project and version."""
    places: dict[tuple[NormalizedName, Version], dict[int, Pick]] = {}
    for index, answer in enumerate(answers):
        for project, pick in answer.items():
            version = pick.view.universe.versions[pick.version]
            places.setdefault((project, version), {})[index] = pick
    asked = _asked(request)
    pins = tuple(
        _pin(project, version, picks, not asked.get(project, _NOWHERE).isdisjoint(picks))
        for (project, version), picks in sorted(places.items())
    )
    return Lock(
        targets=request.targets, pins=pins, requirements=request.requirements, warnings=_warnings(pins, places)
    )


def _asked(request: ResolveRequest) -> dict[NormalizedName, set[int]]:
    """Give the projects that the request names, with the targets on which it does."""
    asked: dict[NormalizedName, set[int]] = {}
    for requirement in request.requirements:
        dependency = from_requirement(requirement)
        for index, target in enumerate(request.targets):
            if facts_of(target).holds(dependency):
                asked.setdefault(requirement.project, set()).add(index)
    return asked


def _pin(project: NormalizedName, version: Version, picks: dict[int, Pick], requested: bool) -> Pin:
    first = next(iter(picks.values()))
    files = _files(list(picks.values()))
    digests = first.view.rules.hashes
    return Pin(
        project=project,
        version=version,
        files=files,
        targets=tuple(sorted(picks)),
        extras=tuple(sorted({extra for pick in picks.values() for extra in pick.extras})),
        requires_python=_requires_python(first),
        edges=_edges(project, picks),
        requested=requested,
        hashes=tuple(sorted(digests)) if digests is not None else (),
    )


def _requires_python(pick: Pick) -> str | None:
    file = pick.view.metadata_file(pick.version)
    if file.requires_python is not None:
        return file.requires_python
    metadata = pick.view.universe.metadata(file)
    return getattr(metadata, "requires_python", None)


def _files(picks: Sequence[Pick]) -> tuple[DistFile, ...]:
    """Give all files that serve one of the targets: wheels in the order of the targets' choice, then sdists."""
    if len(picks) == 1:
        return picks[0].view.files(picks[0].version)
    wheels: dict[str, DistFile] = {}
    sdists: dict[str, DistFile] = {}
    for pick in picks:
        for file in pick.view.files(pick.version):
            (wheels if file.kind == "wheel" else sdists).setdefault(file.filename, file)
    return (*wheels.values(), *sdists.values())


def _edges(project: NormalizedName, picks: dict[int, Pick]) -> tuple[Edge, ...]:
    targets: dict[tuple[NormalizedName, str], list[int]] = {}
    for index, pick in picks.items():
        for dependency in pick.dependencies:
            if dependency.project != project:
                targets.setdefault((dependency.project, dependency.text), []).append(index)
    return tuple(Edge(wanted, text, tuple(sorted(indexes))) for (wanted, text), indexes in sorted(targets.items()))


def _warnings(
    pins: Sequence[Pin], places: dict[tuple[NormalizedName, Version], dict[int, Pick]]
) -> tuple[str, ...]:
    """Tell of extras that do not exist and of yanked releases."""
    told = []
    for pin in pins:
        if pin.extras:
            pick = next(iter(places[pin.project, pin.version].values()))
            known = pick.view.dependencies(pick.version)
            provides = known.provides if isinstance(known, Dependencies) else frozenset()
            told += [
                f"{pin.project} {pin.version} does not provide the extra {extra!r}"
                for extra in pin.extras
                if extra not in provides
            ]
        told += _passed_over(pin, places[pin.project, pin.version].values())
        if pin.files and pin.files[0].yanked is not None:  # yanked files only stand alone
            reason = next((f": {file.yanked}" for file in pin.files if file.yanked), "")
            told.append(f"{pin.project} {pin.version} is yanked{reason}")
    return tuple(told)


def _passed_over(pin: Pin, picks: Iterable[Pick]) -> Iterable[str]:
    """Tell of better versions that could not be looked at."""
    said: dict[str, None] = {}
    for pick in picks:
        if pick.passed_over is not None:
            rank, reason = pick.passed_over
            said[f"{pin.project} {pick.view.universe.versions[rank]} was passed over: {reason}"] = None
    return said
