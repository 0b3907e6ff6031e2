"""What is newer than a lock: which updates exist, which would be taken, and who holds back the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from venvery.errors import AnswerIsNo, LimitExceeded, NotFound, Unsatisfiable
from venvery.model.files import Listing
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requests import EVERY, ResolveRequest
from venvery.model.requirements import Requirement, parse_requirement
from venvery.model.versions import Version
from venvery.resolve.question import Question, Wishes
from venvery.resolve.universe import Universe

__all__ = ["Holder", "Outdated", "Update", "compare", "request_for"]

MOST_TRIALS = 20
"""How many held-back updates are tried out, at most, to find who holds them."""

MOST_FACTS = 6

Resolve = Callable[[ResolveRequest], Awaitable[Lock]]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an update back: a requirement, and the pin that states it or the place where it is written."""

    requirement: str
    project: NormalizedName | None = None
    version: str | None = None
    origin: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain values; fields that say nothing are left out."""
        fields = {"project": self.project, "version": self.version, "origin": self.origin}
        return {"requirement": self.requirement} | {name: said for name, said in fields.items() if said}

    def __str__(self) -> str:
        if self.project is None:
            return f"{self.origin or 'the request'} ({self.requirement})"
        return f"{self.project} {self.version} ({self.requirement})"


@dataclass(frozen=True, slots=True)
class Update:
    """One pin of which there is something newer, or that would become another."""

    project: NormalizedName
    version: str
    """As the lock has it."""
    taken: str | None
    """What resolving anew gives; None: the project is needed no more."""
    newest: str
    """The newest release that its targets could use, were it alone."""
    held_by: tuple[Holder, ...] = ()
    """Who forbids the newest."""
    reason: str | None = None
    """Why the newest is not taken, where no single requirement forbids it."""

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "project": self.project,
            "version": self.version,
            "taken": self.taken,
            "newest": self.newest,
            "held_by": [holder.to_json() for holder in self.held_by],
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True, slots=True)
class Outdated:
    """All that is newer than a lock."""

    updates: tuple[Update, ...]
    added: tuple[tuple[NormalizedName, str], ...] = ()
    """What resolving anew would bring in."""

    @property
    def would_change(self) -> bool:
        """True when resolving anew would give another lock."""
        return bool(self.added) or any(update.taken != update.version for update in self.updates)

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {
            "outdated": self.would_change,
            "updates": [update.to_json() for update in self.updates],
            "added": [{"project": project, "version": version} for project, version in self.added],
        }


def request_for(lock: Lock, request: ResolveRequest) -> ResolveRequest:
    """Give the request that the lock was the answer to, without anything held.

    What the request itself names goes first; then what the lock tells of its own request; and of a lock that
    tells nothing, every project is asked for, in any version.
    """
    requirements = request.requirements or lock.requirements
    if not requirements:
        names = {pin.project: sorted(pin.extras) for pin in lock.pins}
        requirements = tuple(
            parse_requirement(f"{name}[{','.join(extras)}]" if extras else name) for name, extras in names.items()
        )
    options = replace(request.options, preferences=(), upgrade=EVERY)
    return replace(request, requirements=requirements, targets=lock.targets, options=options)


async def compare(
    lock: Lock, request: ResolveRequest, resolve: Resolve, listings: Mapping[NormalizedName, Listing]
) -> Outdated:
    """Compare a lock with what resolving its request anew gives. Raises as resolving does.

    `listings` has the listing of each project of the lock.
    """
    new = await resolve(request)
    trials = _Trials(request, new, resolve)
    updates = []
    all_newest = await asyncio.to_thread(_all_newest, lock, request, listings)
    for pin, newest in zip(lock.pins, all_newest, strict=True):
        taken = _successor(pin, new)
        newest = max(newest, pin.version, taken.version if taken else newest)  # what is pinned may be yanked
        if taken is not None and taken.version == pin.version == newest:
            continue
        held_by: tuple[Holder, ...] = ()
        reason = None
        if taken is not None and taken.version < newest:
            held_by = tuple(_holders(pin.project, newest, request, new))
            reason = None if held_by else await trials.reason(pin.project, newest)
        shown = str(taken.version) if taken else None
        updates.append(Update(pin.project, str(pin.version), shown, str(newest), held_by, reason))
    known = {pin.project for pin in lock.pins}
    added = tuple((pin.project, str(pin.version)) for pin in new.pins if pin.project not in known)
    return Outdated(tuple(updates), added)


def _successor(pin: Pin, new: Lock) -> Pin | None:
    """Give what a pin becomes: the new pin of its project that serves a target of it."""
    same = [one for one in new.pins if one.project == pin.project]
    return next((one for one in same if set(one.targets) & set(pin.targets)), same[0] if same else None)


def _all_newest(lock: Lock, request: ResolveRequest, listings: Mapping[NormalizedName, Listing]) -> list[Version]:
    return [_newest(pin, request, listings[pin.project]) or pin.version for pin in lock.pins]


def _newest(pin: Pin, request: ResolveRequest, listing: Listing) -> Version | None:
    """Give the newest release of a project that a target of the pin could use, were there nobody else."""
    universe = Universe(listing)
    found = []
    for index in pin.targets:
        question = Question(request, request.targets[index], Wishes())
        view = question.view(universe)
        early = pin.version.is_prerelease or question.opens_prereleases(pin.project)
        left = view.plain if early else view.stable
        if left > 1:
            found.append(universe.versions[left.bit_length() - 2])
    return max(found, default=None)


def _holders(project: NormalizedName, newest: Version, request: ResolveRequest, new: Lock) -> Iterator[Holder]:
    """Find the requirements on a project that do not allow its newest release."""
    for stated in (*request.requirements, *request.constraints):
        if stated.project == project and not _allows(stated, newest):
            yield Holder(stated.text, origin=stated.origin)
    for pin in new.pins:
        for edge in pin.edges:
            if edge.project == project and not _allows(parse_requirement(edge.requirement), newest):
                yield Holder(edge.requirement, pin.project, str(pin.version))


def _allows(requirement: Requirement, version: Version) -> bool:
    return requirement.specifier.contains(version, prereleases=True)


class _Trials:
    """Resolves once more with a release forced, to see what stands against it."""

    def __init__(self, request: ResolveRequest, new: Lock, resolve: Resolve) -> None:
        self._request, self._new, self._resolve = request, new, resolve
        self._left = MOST_TRIALS

    async def reason(self, project: NormalizedName, version: Version) -> str | None:
        """Tell why a release is not taken."""
        if self._left <= 0:
            return None
        self._left -= 1
        forced = parse_requirement(f"{project}=={version}", origin="the update")
        request = replace(self._request, constraints=(*self._request.constraints, forced))
        try:
            lock = await self._resolve(request)
        except Unsatisfiable as error:
            facts = list(dict.fromkeys(_facts(error.explanation)))
            return "; ".join(facts[:MOST_FACTS]) or str(error)
        except (AnswerIsNo, LimitExceeded, NotFound) as error:
            return str(error)
        return _price(self._new, lock)


def _facts(explanation: Any) -> Iterator[str]:
    """List what an explanation rests on, but for what was asked for."""
    if not isinstance(explanation, Mapping):
        return
    for part in explanation.get("because") or ():
        yield from _facts(part)
    fact = explanation.get("fact")
    if isinstance(fact, Mapping) and fact.get("kind") not in ("requested", "constraint"):
        yield str(explanation.get("says"))


def _price(new: Lock, forced: Lock) -> str | None:
    """Tell what would be older if a release were taken."""
    lower = list(_lower(new.pins, {pin.project: pin for pin in forced.pins}))
    return f"it would take {', '.join(lower)}" if lower else None


def _lower(pins: Iterable[Pin], forced: Mapping[NormalizedName, Pin]) -> Iterator[str]:
    for pin in pins:
        other = forced.get(pin.project)
        if other is not None and other.version < pin.version:
            yield f"{pin.project} {other.version} instead of {pin.version}"
