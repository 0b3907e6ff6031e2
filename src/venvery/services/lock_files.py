"""Locks that come as text: pylock.toml, our own JSON, or a requirements.txt whose every line is a pin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from venvery.errors import BadLock
from venvery.model.lock import Lock, Pin
from venvery.model.requirements import Requirement
from venvery.model.requirements_text import parse_requirements_text
from venvery.model.targets import Target
from venvery.model.versions import parse_version
from venvery.resolve.readers import read_json, read_pylock

__all__ = ["read_lock", "read_pins"]


def read_lock(text: str, *, origin: str, targets: Sequence[Target]) -> Lock:
    """Read a lock in any of its forms; `targets` are what it is for, where it does not say so itself.

    Raises `BadLock`, or `BadRequirement` for a line that does not parse.
    """
    start = text.removeprefix("\ufeff").lstrip()
    if start.startswith("{"):
        return read_json(text, origin=origin)
    if origin.endswith(".toml") or any(line.startswith("lock-version") for line in start.splitlines()):
        return read_pylock(text, origin=origin, targets=targets)
    return read_pins(text, origin=origin, targets=targets)


def read_pins(text: str, *, origin: str, targets: Sequence[Target]) -> Lock:
    """Read a requirements.txt of pins. It has no edges, and does not tell what was asked for.

    Raises `BadLock` for a line that is not `name==version`.
    """
    found = parse_requirements_text(text, origin=origin).requirements
    pins = sorted(_pins(found, targets), key=lambda pin: (pin.project, pin.version))
    if not pins:
        raise BadLock(f"{origin} has no pins for these targets")
    return Lock(tuple(targets), tuple(pins), ())


def _pins(requirements: Iterable[Requirement], targets: Sequence[Target]) -> Iterable[Pin]:
    for one in requirements:
        specifiers = list(one.specifier)
        if len(specifiers) != 1 or specifiers[0].operator not in ("==", "===") or "*" in str(one.specifier):
            raise BadLock(
                f"{one.origin or one.text}: {one.text[:200]} is not a pin",
                hint="a lock names one version of each project, as in django==5.2; venvery resolve makes one",
            )
        places = tuple(
            index
            for index, target in enumerate(targets)
            if one.marker is None or one.marker.evaluate({"extra": "", **target.marker_environment})
        )
        if places:
            version = parse_version(specifiers[0].version)
            yield Pin(one.project, version, (), places, tuple(sorted(one.extras)), hashes=one.hashes)
