"""requirements.txt with exact pins and hashes, as `pip install --require-hashes -r` takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from venvery.errors import BadLock
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requirements import Requirement
from venvery.resolve.writers.files import direct_reference, files_of, hashes_of
from venvery.resolve.writers.markers import marker_for

__all__ = ["write_requirements"]

_PIP_HASHES = frozenset({"sha256", "sha384", "sha512"})
"""What pip takes in `--hash`."""
_LINE_OF_FILE = re.compile(r".+\.(?:txt|in|requirements):\d+\Z")


def write_requirements(lock: Lock, *, hashes: bool = True, via: bool = True, header: Sequence[str] = ()) -> str:
    """Write a lock as requirements.txt.

    Where the lock has several targets, a pin that is not on all of them has the marker of its own. `via` adds
    comments on who asked for a pin; `header` is written first, line by line, as comments or options. Raises
    `BadLock` for a file without a hash that pip takes, and where no marker can tell the targets apart.
    """
    needed_by = _needed_by(lock) if via else {}
    lines = list(header)
    for pin in lock.pins:
        lines += _continued([_head(lock, pin), *(_hash_options(pin) if hashes else ())])
        lines += _via(needed_by.get(pin.project, {}), pin, lock) if via else ()
    return "".join(f"{line}\n" for line in lines)


def _head(lock: Lock, pin: Pin) -> str:
    direct = direct_reference(lock, pin)
    if direct is None:
        text = f"{pin.project}=={pin.version}"
    else:
        text = f"{pin.project} @ {direct.url}"
    marker = marker_for(lock.targets, pin.targets)
    return f"{text} ; {marker}" if marker else text


def _hash_options(pin: Pin) -> list[str]:
    written = {
        f"--hash={algorithm}:{value}"
        for file in files_of(pin)
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
    marker = requirement.marker
    return requirement.project == pin.project and (
        marker is None
        or any(marker.evaluate({**lock.targets[i].marker_environment, "extra": ""}) for i in pin.targets)
    )


def _origin(requirement: Requirement) -> str:
    """Say where a requirement was written. It may come from outside: it must not end the comment."""
    origin = requirement.origin
    if origin is None:
        return "the request"
    shown = "".join(char if char.isprintable() else "?" for char in origin)[:200]
    return f"-r {shown}" if _LINE_OF_FILE.match(shown) else shown
