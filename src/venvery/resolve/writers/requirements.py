"""requirements.txt with exact pins and hashes, as `pip install --require-hashes -r` takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as _Requirement

from venvery.errors import BadLock
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName, normalize
from venvery.model.requirements import Requirement
from venvery.resolve.writers.files import direct_references, files_of, hashes_of
from venvery.resolve.writers.markers import marker_for

__all__ = ["write_requirements"]

_PIP_HASHES = frozenset({"sha256", "sha384", "sha512"})
"""What pip takes in `--hash`."""
_LINE_OF_FILE = re.compile(r".+\.(?:txt|in|requirements):\d+\Z")


def write_requirements(lock: Lock, *, hashes: bool = True, via: bool = True, header: Sequence[str] = ()) -> str:
    """Write a lock as requirements.txt.

    Where the lock has several targets, a pin that is not on all of them has the marker of its own. A pin has
    the extras that it is asked for with: pip before 23.3 looks for `web[fast]` apart from `web`, does not find
    it pinned, and gives up. `via` adds comments on who asked for a pin; `header` is written first, line by
    line, as comments or options. Raises `BadLock` for a file without a hash that pip takes, and where no
    marker can tell the targets apart.
    """
    needed_by = _needed_by(lock) if via else {}
    asked_with = _extras(lock)
    direct = direct_references(lock)
    lines = list(header)
    for pin in lock.pins:
        options = _hash_options(pin) if hashes else []
        reference = direct.get((pin.project, pin.version)) if direct else None
        for head in _heads(lock, pin, asked_with.get(pin.project, {}), reference):
            lines += _continued([head, *options])
            lines += _via(needed_by.get(pin.project, {}), pin, lock) if via else ()
    return "".join(f"{line}\n" for line in lines)


def _heads(
    lock: Lock, pin: Pin, asked_with: Mapping[int, set[NormalizedName]], direct: Requirement | None
) -> list[str]:
    """Give the first line of a pin; several where it has not the same extras on all of its targets."""
    parts: dict[tuple[NormalizedName, ...], list[int]] = {}
    for target in pin.targets:
        parts.setdefault(tuple(sorted(asked_with.get(target, ()))), []).append(target)
    try:
        return [_head(lock, pin, extras, targets, direct) for extras, targets in parts.items()]
    except BadLock:
        if len(parts) == 1:
            raise
        return [_head(lock, pin, (), pin.targets, direct)]


def _head(
    lock: Lock, pin: Pin, extras: Sequence[NormalizedName], targets: Iterable[int], direct: Requirement | None
) -> str:
    name = f"{pin.project}[{','.join(extras)}]" if extras else pin.project
    text = f"{name}=={pin.version}" if direct is None else f"{name} @ {direct.url}"
    marker = marker_for(lock.targets, targets)
    return f"{text} ; {marker}" if marker else text


def _extras(lock: Lock) -> Mapping[NormalizedName, dict[int, set[NormalizedName]]]:
    """For each project and target, the extras that somebody asks for there."""
    found: dict[NormalizedName, dict[int, set[NormalizedName]]] = {}
    asked = [
        (requirement.project, requirement.extras, _targets_of(requirement, lock))
        for requirement in lock.requirements
    ]
    asked += [
        (edge.project, _extras_in(edge.requirement), edge.targets) for pin in lock.pins for edge in pin.edges
    ]
    for project, extras, targets in asked:
        for target in targets if extras else ():
            found.setdefault(project, {}).setdefault(target, set()).update(extras)
    return found


def _targets_of(requirement: Requirement, lock: Lock) -> tuple[int, ...]:
    marker = requirement.marker
    return tuple(
        index
        for index, target in enumerate(lock.targets)
        if marker is None or marker.evaluate({**target.marker_environment, "extra": ""})
    )


@lru_cache(maxsize=65536)
def _extras_in(requirement: str) -> frozenset[NormalizedName]:
    """Give the extras that a requirement of the core metadata names; none where it does not parse."""
    if "[" not in requirement:
        return frozenset()
    try:
        return frozenset(map(normalize, _Requirement(requirement).extras))
    except InvalidRequirement:
        return frozenset()


def _hash_options(pin: Pin) -> list[str]:
    written = {
        f"--hash={algorithm}:{value}"
        for file in files_of(pin, allowed=_PIP_HASHES)
        for algorithm, value in hashes_of(file, allowed=_PIP_HASHES).items()
    }
    if not written:
        raise BadLock(f"{pin.project} {pin.version} has no file with a hash that the request allows")
    return [f"    {option}" for option in sorted(written)]


def _continued(lines: Sequence[str]) -> list[str]:
    return [f"{line} \\" for line in lines[:-1]] + [lines[-1]]


def _needed_by(lock: Lock) -> Mapping[NormalizedName, dict[NormalizedName, set[int]]]:
    """For each project, who depends on it and on which targets."""
    found: dict[NormalizedName, dict[NormalizedName, set[int]]] = {}
    for pin in lock.pins:
        for edge in pin.edges:
            if edge.project != pin.project:
                found.setdefault(edge.project, {}).setdefault(pin.project, set()).update(edge.targets)
    return found


def _via(needed_by: Mapping[NormalizedName, set[int]], pin: Pin, lock: Lock) -> list[str]:
    """Give the comment that says who asked for a pin: the request first, then projects by name."""
    reasons = []
    if pin.requested:
        asked = [_origin(requirement) for requirement in lock.requirements if _asks_for(requirement, pin, lock)]
        reasons += list(dict.fromkeys(asked)) or ["the request"]
    reasons += sorted(project for project, where in needed_by.items() if where & set(pin.targets))
    if len(reasons) < 2:
        return [f"    # via {reason}" for reason in reasons]
    return ["    # via", *(f"    #   {reason}" for reason in reasons)]


def _asks_for(requirement: Requirement, pin: Pin, lock: Lock) -> bool:
    return requirement.project == pin.project and bool(set(_targets_of(requirement, lock)) & set(pin.targets))


def _origin(requirement: Requirement) -> str:
    """Say where a requirement was written. It may come from outside: it must not end the comment."""
    origin = requirement.origin
    if origin is None:
        return "the request"
    shown = "".join(char if char.isprintable() else "?" for char in origin)[:200]
    return f"-r {shown}" if _LINE_OF_FILE.match(shown) else shown
