"""How the solver asks for what it does not know: the one door between `resolve/` and whoever drives it.

`solve(request, shelf)` is a generator. It looks on the shelf first; only when something is missing does it
yield a `Need`, and the driver puts what was asked for on the shelf before it resumes the generator with
`send(None)`. With everything at hand it never yields. It returns a `Resolution` or raises
`venvery.errors.Unsatisfiable`.

    steps = solve(request, shelf)
    try:
        need = next(steps)
        while True:
            fetch(need, shelf)
            need = steps.send(None)
    except StopIteration as done:
        resolution = done.value
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from venvery.model.files import DistFile, NoMetadata
from venvery.model.lock import Lock
from venvery.model.names import NormalizedName
from venvery.model.targets import Target

if TYPE_CHECKING:
    from venvery.resolve.universe import Universe

__all__ = ["Need", "Resolution", "Shelf", "WhyNotBuilt"]

WhyNotBuilt = Callable[[DistFile, Target], NoMetadata | None]
"""Tells why a build gave no metadata; None when nobody has tried."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the solver cannot go on without, and what it will probably ask for next."""

    listings: tuple[NormalizedName, ...] = ()
    metadata: tuple[DistFile, ...] = ()
    likely_listings: tuple[NormalizedName, ...] = ()
    """The driver may fetch these in the same breath; nothing breaks when it does not."""
    likely_metadata: tuple[DistFile, ...] = ()
    builds: tuple[DistFile, ...] = ()
    """Source distributions whose metadata only a build tells, to be built for `target`; see `Shelf`."""
    target: Target | None = None


class Shelf(Protocol):
    """The catalog in memory as one request sees it: every universe on it is fresh enough for the request."""

    # A shelf may also have `pause() -> bool`. The solver asks it before each step of the search: True makes it
    # yield an empty `Need`, so that others can go first; what it raises ends the search.
    #
    # A shelf whose driver can have metadata built has `why_not_built`, a `WhyNotBuilt`. The
    # solver asks for a build only of a version that it would take, one at a time, and takes another version when
    # the shelf then tells why there is nothing.

    def universe(self, project: NormalizedName) -> Universe | None:
        """Give the project's universe; None when the driver has to fetch the listing first.

        A project that no source knows has a universe too, whose listing says `known=False`.
        The core metadata that is known lies inside the universe: `universe.metadata(file)` gives
        `CoreMetadata`, `NoMetadata`, or None when the driver has to fetch it first.
        """
        ...


@dataclass(frozen=True, slots=True)
class Resolution:
    """A lock, and what it rests on."""

    lock: Lock
    footprint: Mapping[NormalizedName, str]
    """The revision of every listing that was looked at; the lock is the answer as long as none changes."""
    decisions: int = 0
    """How many versions were tried; the same for the same world and request."""
    conflicts: int = 0
    ends_at: datetime | None = None
    """When the next release that was too new is old enough, so that the answer may be another; None: never."""
