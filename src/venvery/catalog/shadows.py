"""Names that more than one source has: who wins, and who is not heard.

Only what is known here is looked at. To ask an index whether it has a name of ours would tell it the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from venvery.catalog.ownership import Ownership, Standing
from venvery.catalog.parts import Numbered
from venvery.model.names import NormalizedName

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Shadowed", "find_shadowed"]


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A name that a hosted source has, and another source too."""

    project: NormalizedName
    standing: Standing
    """`owned`: only hosted sources answer for it. `shared`: they and the others together."""
    hosted: tuple[str, ...]
    """The hosted sources that have it, in the order of their priority: with `priority` the first of them wins."""
    others: tuple[str, ...]
    """Sources that are known to have it, too; for an owned name they are not asked any more."""

    def __str__(self) -> str:
        winners, losers = ", ".join(self.hosted), ", ".join(self.others)
        if self.standing == "shared":
            return f"{self.project} comes from {winners} and {losers} together"
        if not self.others:
            return f"{self.project} comes from {self.hosted[0]}, before {', '.join(self.hosted[1:])}"
        return f"{self.project} comes from {winners}, and never from {losers}"

    def to_json(self) -> dict[str, Any]:
        """Write as programs read it."""
        return {
            "project": self.project,
            "standing": self.standing,
            "hosted": list(self.hosted),
            "others": list(self.others),
        }


def find_shadowed(sources: Sequence[Numbered], ownership: Ownership, database: Database) -> list[Shadowed]:
    """Find the names that a hosted source has and another source has as well, sorted. Slow: reads folders."""
    hosted: dict[str, set[str]] = {}
    for source, project in database.hosted.names():
        hosted.setdefault(project, set()).add(source)
    order = {one.source.spec.name: place for place, one in enumerate(sources)}
    elsewhere = _elsewhere(sources, database)
    found = []
    for project, holders in sorted(hosted.items()):
        others = tuple(name for name, names in elsewhere.items() if project in names)
        if others or len(holders) > 1:
            name = NormalizedName(project)
            in_order = tuple(sorted(holders, key=lambda holder: (order.get(holder, len(order)), holder)))
            found.append(Shadowed(name, ownership.standing(name), in_order, others))
    return found


def _elsewhere(sources: Sequence[Numbered], database: Database) -> Mapping[str, set[str]]:
    """Give the names that each source which is not hosted is known to have."""
    found: dict[str, set[str]] = {}
    for one in sources:
        if not one.source.told:
            names = set() if one.source.local else set(database.listings.known([one.number]))
            found[one.source.spec.name] = names | {str(name) for name in one.source.names()}
    return found
