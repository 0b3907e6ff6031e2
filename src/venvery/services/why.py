"""Why a project is in a lock: the chains that lead from what was asked for to it, the shortest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from venvery.errors import NotFound
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requirements import Requirement

__all__ = ["Link", "Why", "explain_pin"]

MOST_CHAINS = 20
MOST_STEPS = 50_000
"""Steps of the search for further chains, for a lock may have more of them than anyone can count."""


@dataclass(frozen=True, slots=True)
class Link:
    """A requirement, and the pin that it leads to."""

    requirement: str
    project: NormalizedName
    version: str
    origin: str | None = None
    """Where it was written, for a requirement of the request itself."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        origin = {"origin": self.origin} if self.origin else {}
        return {"requirement": self.requirement, **origin, "project": self.project, "version": self.version}


Chain = tuple[Link, ...]
"""From a requirement of the request to the project; each link's requirement is stated by the pin before it."""


@dataclass(frozen=True, slots=True)
class Why:
    """All that leads to one project."""

    project: NormalizedName
    versions: tuple[str, ...]
    chains: tuple[Chain, ...]
    more: bool = False
    """True when there are further chains that are not told."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "project": self.project,
            "versions": list(self.versions),
            "chains": [[link.to_json() for link in chain] for chain in self.chains],
            "more": self.more,
        }

    def __str__(self) -> str:
        lines = [f"{self.project} {', '.join(self.versions)}"]
        lines += [f"  {' → '.join(map(_told, chain))}" for chain in self.chains]
        return "\n".join([*lines, *(["  …"] if self.more else [])])


def explain_pin(lock: Lock, project: NormalizedName, *, most: int = MOST_CHAINS) -> Why:
    """Find the chains to a project, at most so many. Raises `NotFound` when it is not in the lock."""
    paths = _Paths(lock)
    goals = [index for index, pin in enumerate(lock.pins) if pin.project == project]
    if not goals:
        raise NotFound(f"{project} is not part of the lock", hint="nothing that was asked for leads to it")
    chains: list[Chain] = []
    more = False
    for chain in paths.to(goals):
        if len(chains) == most:
            more = True
            break
        if chain is not None:
            chains.append(chain)
        else:
            more = True
    return Why(project, tuple(str(lock.pins[goal].version) for goal in goals), tuple(chains), more)


class _Paths:
    """The lock as a graph, walked from a pin back to the request."""

    def __init__(self, lock: Lock) -> None:
        self._pins = lock.pins
        self._asked = {index: links for index, pin in enumerate(lock.pins) if (links := _asked(lock, pin))}
        if not self._asked:  # a lock that does not tell what was asked for: what nobody needs was
            needed = {edge.project for pin in lock.pins for edge in pin.edges}
            roots = ((i, p) for i, p in enumerate(lock.pins) if p.requested or p.project not in needed)
            self._asked = {index: [Link(pin.project, pin.project, str(pin.version))] for index, pin in roots}
        self._needed_by = self._reverse()
        self._distance = self._distances()

    def to(self, goals: list[int]) -> Iterator[Chain | None]:
        """Give the chains to some pins, the shortest first; None at the end when the search was cut short."""
        # An entry is a way to a goal: its least full length, its links so far, the pins on it, and the targets
        # on which all of it holds. A way that has reached the request stands as pins=().
        waiting: list[tuple[int, int, tuple[tuple[str, str], ...], Chain, tuple[int, ...], frozenset[int]]] = []
        for goal in goals:
            if goal in self._distance:
                targets = frozenset(self._pins[goal].targets)
                heapq.heappush(waiting, (self._distance[goal], 1, (), (), (goal,), targets))
        for _step in range(MOST_STEPS):
            if not waiting:
                return
            _length, _open, names, chain, pins, targets = heapq.heappop(waiting)
            if not pins:
                yield chain
                continue
            first = pins[0]
            for link in self._asked.get(first, ()):
                whole = (link, *chain)
                heapq.heappush(waiting, (len(whole), 0, _names(link, names), whole, (), targets))
            for before, requirement, shared in self._needed_by.get(first, ()):
                together = targets & shared
                if together and before not in pins and before in self._distance:
                    pin = self._pins[first]
                    link = Link(requirement, pin.project, str(pin.version))
                    length = self._distance[before] + len(chain) + 1
                    entry = (link, *chain), (before, *pins), together
                    heapq.heappush(waiting, (length, 1, _names(link, names), *entry))
        yield None

    def _reverse(self) -> dict[int, list[tuple[int, str, frozenset[int]]]]:
        """Give, for each pin, the pins that need it, with what they say and where that holds."""
        places: dict[NormalizedName, list[int]] = {}
        for index, pin in enumerate(self._pins):
            places.setdefault(pin.project, []).append(index)
        needed_by: dict[int, list[tuple[int, str, frozenset[int]]]] = {}
        for index, pin in enumerate(self._pins):
            for edge in pin.edges:
                for place in places.get(edge.project, ()):
                    shared = frozenset(edge.targets) & frozenset(self._pins[place].targets)
                    if shared and place != index:
                        needed_by.setdefault(place, []).append((index, edge.requirement, shared))
        return needed_by

    def _distances(self) -> dict[int, int]:
        """Give the length of the shortest chain to each pin that the request leads to."""
        needs: dict[int, list[int]] = {}
        for place, by in self._needed_by.items():
            for index, _requirement, _shared in by:
                needs.setdefault(index, []).append(place)
        distance = dict.fromkeys(self._asked, 1)
        waiting = list(self._asked)
        for index in waiting:  # grows while it is walked
            for place in needs.get(index, ()):
                if place not in distance:
                    distance[place] = distance[index] + 1
                    waiting.append(place)
        return distance


def _names(link: Link, names: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Write a way so that of equally long ones the order is always the same."""
    return ((link.project, link.requirement), *names)


def _asked(lock: Lock, pin: Pin) -> list[Link]:
    """Give the requirements of the request that lead to a pin by themselves."""
    return [
        Link(one.text, pin.project, str(pin.version), one.origin)
        for one in lock.requirements
        if one.project == pin.project and _counts(lock, pin, one)
    ]


def _counts(lock: Lock, pin: Pin, requirement: Requirement) -> bool:
    marker = requirement.marker
    environments = (lock.targets[target].marker_environment for target in pin.targets)
    return marker is None or any(marker.evaluate({"extra": "", **one}) for one in environments)


def _told(link: Link) -> str:
    said = f"{link.requirement}, {link.origin}" if link.origin else link.requirement
    return f"{link.project} {link.version} ({said})"
