"""Markers (PEP 508) that are true on some targets of a lock and false on its others.

Every candidate term is evaluated by `packaging` on every target, and gives a mask: bit i is target i. A
marker is then a cover of the wanted mask by conjunctions whose masks lie inside it, so whatever is written
here is true where it has to be by construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product

from packaging.markers import Marker

from venvery.errors import BadLock
from venvery.model.targets import Target
from venvery.model.versions import parse_version

__all__ = ["environment_marker", "environments", "marker_for"]

_AXES = ("sys_platform", "platform_machine", "platform_python_implementation")
_WRITABLE = re.compile(r"[A-Za-z0-9._+-]+\Z")
"""Values that may stand between the quotes of a marker; a target may come from outside."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A conjunction: its text, how many comparisons it has, and the targets on which it is true."""

    text: str
    cost: int
    mask: int


def marker_for(targets: tuple[Target, ...], inside: Iterable[int]) -> str | None:
    """Give the shortest marker that is true on the targets `inside` and on no other target of the lock.

    None when it would be true on all of them. Raises `BadLock` when no marker can tell the two sets apart:
    markers do not know the C library, nor free-threaded builds.
    """
    wanted = sum(1 << index for index in set(inside))
    return None if wanted == (1 << len(targets)) - 1 else _marker_for(targets, wanted)


def environment_marker(target: Target) -> str:
    """Give the marker of the environments that a target stands for: Python minor version and platform."""
    values = target.marker_environment
    names = ("python_version", "sys_platform", "platform_machine", "implementation_name")
    for name in names:
        _check_writable(name, values[name])
    return " and ".join(f'{name} == "{values[name]}"' for name in names)


def environments(targets: Sequence[Target]) -> tuple[str, ...]:
    """Give the markers of all targets, each once, in the order of the targets."""
    return tuple(dict.fromkeys(map(environment_marker, targets)))


@lru_cache(maxsize=1024)
def _marker_for(targets: tuple[Target, ...], wanted: int) -> str:
    if not wanted:
        raise BadLock("the lock has a pin that is on none of its targets")
    fitting = [term for term in _terms(targets) if term.mask and not term.mask & ~wanted]
    chosen: list[_Term] = []
    left = wanted
    while left:
        rest = left
        whole = (term for term in fitting if not rest & ~term.mask)
        best = min(whole, key=lambda term: term.cost, default=None) or max(
            (term for term in fitting if term.mask & rest),
            key=lambda term: ((term.mask & rest).bit_count() / term.cost, -term.cost),
            default=None,
        )
        if best is None:
            raise _indistinguishable(targets, wanted, left)
        chosen.append(best)
        left &= ~best.mask
    return _join(_without_needless(chosen, wanted))


def _without_needless(terms: list[_Term], wanted: int) -> list[_Term]:
    """Leave out what the other terms cover already: greedy choices can make an earlier one needless."""
    kept = list(terms)
    for term in terms:
        others = 0
        for other in kept:
            others |= other.mask if other is not term else 0
        if not wanted & ~others:
            kept.remove(term)
    return kept


def _join(terms: list[_Term]) -> str:
    texts = [f"({term.text})" if term.cost > 1 and len(terms) > 1 else term.text for term in terms]
    return " or ".join(texts)


@lru_cache(maxsize=64)
def _terms(targets: tuple[Target, ...]) -> tuple[_Term, ...]:
    """List the cheapest conjunction of at most one condition an axis for every mask that there is.

    Among equals the first wins, and `product` varies its last axis fastest: so Python comes last, to be
    preferred, and first in the text.
    """
    everywhere = (1 << len(targets)) - 1
    anywhere = _Term("", 0, everywhere)
    axes = [[anywhere, *_value_conditions(targets, name)] for name in reversed(_AXES)]
    axes.append([anywhere, *_python_conditions(targets)])
    found: dict[int, _Term] = {}
    for parts in product(*axes):
        mask = everywhere
        for part in parts:
            mask &= part.mask
        cost = sum(part.cost for part in parts)
        known = found.get(mask)
        if cost and mask and (known is None or cost < known.cost):
            found[mask] = _Term(" and ".join(part.text for part in reversed(parts) if part.text), cost, mask)
    return tuple(found.values())


def _python_conditions(targets: tuple[Target, ...]) -> Iterator[_Term]:
    """Give the conditions on the Python version: a half line, one version, not that version, a stretch."""
    points = sorted({_python_of(target) for target in targets}, key=lambda point: parse_version(point[1]))
    if len(points) < 2:
        return
    bounds = [
        ("python_version", right[0]) if left[0] != right[0] else ("python_full_version", right[1])
        for left, right in pairwise(points)
    ]
    exact = dict.fromkeys(("python_version", minor) for minor, _full in points)
    exact.update(dict.fromkeys(("python_full_version", full) for _minor, full in points))
    for name, value in bounds:
        yield _comparison(targets, name, "<", value)
        yield _comparison(targets, name, ">=", value)
    for operator in ("==", "!="):
        for name, value in exact:
            yield _comparison(targets, name, operator, value)
    for index, low in enumerate(bounds):
        for high in bounds[index + 1 :]:
            above, below = (
                _comparison(targets, low[0], ">=", low[1]),
                _comparison(targets, high[0], "<", high[1]),
            )
            yield _Term(f"{above.text} and {below.text}", 2, above.mask & below.mask)


def _value_conditions(targets: tuple[Target, ...], name: str) -> Iterator[_Term]:
    values = dict.fromkeys(target.marker_environment[name] for target in targets)
    if len(values) < 2:
        return
    for operator in ("==", "!="):
        for value in values:
            yield _comparison(targets, name, operator, value)


def _python_of(target: Target) -> tuple[str, str]:
    return target.marker_environment["python_version"], target.marker_environment["python_full_version"]


def _comparison(targets: tuple[Target, ...], name: str, operator: str, value: str) -> _Term:
    _check_writable(name, value)
    text = f'{name} {operator} "{value}"'
    marker = Marker(text)
    mask = sum(1 << index for index, target in enumerate(targets) if marker.evaluate(target.marker_environment))
    return _Term(text, 1, mask)


def _check_writable(name: str, value: str) -> None:
    if not _WRITABLE.match(value):
        raise BadLock(f"the target's {name}, {value[:80]!r}, cannot be written into a marker")


def _indistinguishable(targets: tuple[Target, ...], wanted: int, left: int) -> BadLock:
    inside = targets[(left & -left).bit_length() - 1]
    twins = (
        target
        for index, target in enumerate(targets)
        if not wanted >> index & 1 and _visible(target) == _visible(inside)
    )
    outside = next(twins, None)
    against = f"{outside}" if outside is not None else "the lock's other targets"
    return BadLock(
        f"no environment marker tells {inside} from {against}, where this lock differs",
        hint="ask for one lock per target, or take the lock as json",
    )


def _visible(target: Target) -> tuple[str, ...]:
    return (*_python_of(target), *(target.marker_environment[name] for name in _AXES))
