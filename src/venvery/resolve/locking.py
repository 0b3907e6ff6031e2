"""Answers of all targets, put together into one lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from venvery.model.files import DistFile
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requests import ResolveRequest
from venvery.resolve.question import Question
from venvery.resolve.solver import Pick
from venvery.resolve.views import Dependencies

__all__ = ["Answer", "make_lock"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one target gets."""

    question: Question
    picks: Mapping[NormalizedName, Pick]


def make_lock(request: ResolveRequest, answers: Sequence[Answer]) -> Lock:
    """Merge one answer per target into one lock: one pin per project and version."""
    pins: list[Pin] = []
    warnings: list[str] = []
    for pin, picks in _pins_of_one(answers[0]) if len(answers) == 1 else _pins_of_several(answers):
        pins.append(pin)
        warnings += _warnings(pin, picks)
    return Lock(
        targets=request.targets, pins=tuple(pins), requirements=request.requirements, warnings=tuple(warnings)
    )


def _pins_of_one(answer: Answer) -> Iterator[tuple[Pin, Sequence[Pick]]]:
    """Give the pins of the only target; one that says nothing but what the catalog does is made only once."""
    question, picks = answer.question, answer.picks
    for project in sorted(picks):
        pick = picks[project]
        requested = question.names(project)
        if question.rewrites:
            yield _pin(project, {0: pick}, [answer], requested=requested), (pick,)
            continue
        key = pick.version, pick.extras, requested
        pin = pick.view.find_pin(key)
        if pin is None:
            pin = _pin(project, {0: pick}, [answer], requested=requested)
            pick.view.keep_pin(key, pin)
        yield pin, (pick,)


def _pins_of_several(answers: Sequence[Answer]) -> Iterator[tuple[Pin, Sequence[Pick]]]:
    """Give the pins of all targets, by project and then version."""
    places: dict[tuple[NormalizedName, int], dict[int, Pick]] = {}
    for index, answer in enumerate(answers):
        for project, pick in answer.picks.items():
            places.setdefault((project, pick.version), {})[index] = pick
    for (project, _version), picks in sorted(places.items(), key=lambda place: place[0]):
        requested = any(answers[index].question.names(project) for index in picks)
        yield _pin(project, picks, answers, requested=requested), tuple(picks.values())


def _pin(project: NormalizedName, picks: dict[int, Pick], answers: Sequence[Answer], *, requested: bool) -> Pin:
    first = next(iter(picks.values()))
    digests = first.view.rules.hashes
    return Pin(
        project=project,
        version=first.view.universe.versions[first.version],
        files=_files(list(picks.values())),
        targets=tuple(sorted(picks)),
        extras=tuple(sorted({extra for pick in picks.values() for extra in pick.extras})),
        requires_python=_requires_python(first),
        edges=_edges(project, picks, answers),
        requested=requested,
        hashes=tuple(sorted(digests)) if digests is not None else (),
    )


def _requires_python(pick: Pick) -> str | None:
    file = pick.view.metadata_file(pick.version)
    if file.requires_python is not None:
        return file.requires_python
    metadata = pick.view.metadata(file)
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


def _edges(project: NormalizedName, picks: dict[int, Pick], answers: Sequence[Answer]) -> tuple[Edge, ...]:
    targets: dict[tuple[NormalizedName, str], list[int]] = {}
    for index, pick in picks.items():
        for dependency in dict.fromkeys(answers[index].question.effective_all(pick.stated())):
            if dependency.project != project:
                targets.setdefault((dependency.project, dependency.text), []).append(index)
    return tuple(Edge(wanted, text, tuple(sorted(indexes))) for (wanted, text), indexes in sorted(targets.items()))


def _warnings(pin: Pin, picks: Sequence[Pick]) -> Iterator[str]:
    """Tell of extras that do not exist, of yanked releases and of better versions that were passed over."""
    if pin.extras:
        known = picks[0].view.dependencies(picks[0].version)
        provides = known.provides if isinstance(known, Dependencies) else frozenset()
        for extra in pin.extras:
            if extra not in provides:
                yield f"{pin.project} {pin.version} does not provide the extra {extra!r}"
    yield from _passed_over(pin, picks)
    if pin.files and pin.files[0].yanked is not None:  # yanked files only stand alone
        reason = next((f": {file.yanked}" for file in pin.files if file.yanked), "")
        yield f"{pin.project} {pin.version} is yanked{reason}"


def _passed_over(pin: Pin, picks: Iterable[Pick]) -> Iterable[str]:
    """Tell of better versions that could not be looked at."""
    said: dict[str, None] = {}
    for pick in picks:
        if pick.passed_over is not None:
            rank, reason = pick.passed_over
            said[f"{pin.project} {pick.view.universe.versions[rank]} was passed over: {reason}"] = None
    return said
