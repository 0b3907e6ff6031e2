"""Who owns a name: what was uploaded here, or is reserved for it, is looked up nowhere else.

Otherwise whoever publishes the name of an internal project on a public index, with a higher version, would have
his code run in here. The rule holds for every view, also for one without the owner: such a view does not have
the name at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from venvery.model.names import NormalizedName
from venvery.model.policy import covers
from venvery.model.sources import SourceSpec

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Ownership", "Standing"]

Standing = Literal["free", "owned", "shared"]
"""Of a name: nobody here has it; hosted sources alone answer for it; they and all others do together."""


@dataclass(frozen=True, slots=True)
class _Claims:
    """What the configuration says of the names of one hosted source."""

    source: str
    projects: tuple[str, ...]
    """Patterns of names that are its own before they are uploaded."""
    shared: tuple[str, ...]

    def shares(self, project: str) -> bool:
        return any(covers(pattern, project) for pattern in self.shared)


class Ownership:
    """Which names hosted sources own, as it is now, whichever process uploaded last."""

    def __init__(self, specs: Iterable[SourceSpec], database: Database) -> None:
        self._database = database
        hosted = [spec for spec in specs if spec.kind == "hosted"]
        self._claims = [_Claims(one.name, one.projects, one.shared) for one in hosted]
        self._reserves = any(claims.projects for claims in self._claims)
        self._listeners: list[Callable[[NormalizedName], None]] = []
        self._everywhere: list[Callable[[], None]] = []
        self._watch = database.watch()
        self._watch.changed()
        self._serial = database.journal.last_serial()
        self._holders: dict[str, set[str]] = {}
        for source, project in database.hosted.names():
            self._holders.setdefault(project, set()).add(source)

    def tell(self, listener: Callable[[NormalizedName], None]) -> None:
        """Have a listener told of every project that changes."""
        self._listeners.append(listener)

    def tell_of_blocks(self, listener: Callable[[], None]) -> None:
        """Have a listener told when releases are blocked, or no longer, wherever they come from."""
        self._everywhere.append(listener)

    def notice(self) -> None:
        """Notice what was uploaded, yanked or deleted since the last time, here or in another process.

        Costs a few microseconds when nothing was. Raises `StorageFailed`.
        """
        if not self._watch.changed():
            return
        self._serial, changed = self._database.journal.changed_since(self._serial)
        if any(source is None for source, _project in changed):
            for told in self._everywhere:
                told()
        for source, project in changed:
            if source is not None:
                self._holders.setdefault(project, set()).add(source)
            for listener in self._listeners:
                listener(NormalizedName(project))

    def standing(self, project: NormalizedName) -> Standing:
        """Tell who answers for a name."""
        holders = self._holders.get(project)
        if holders is None and not self._reserves:
            return "free"
        claimed = [one for one in self._claims if self._has(one, project, holders)]
        strangers = (holders or set()) - {one.source for one in self._claims}
        if not claimed and not strangers:
            return "free"
        shares = not strangers and all(one.shares(project) for one in claimed)
        return "shared" if shares else "owned"

    def owners(self, project: NormalizedName) -> Sequence[str]:
        """Name the hosted sources that have or reserve a name, and do not share it."""
        holders = self._holders.get(project)
        claimed = [one for one in self._claims if self._has(one, project, holders)]
        strangers = (holders or set()) - {one.source for one in self._claims}
        unshared = (one.source for one in claimed if not one.shares(project))
        return [*unshared, *sorted(strangers)]

    def names(self) -> list[NormalizedName]:
        """List all names that were ever uploaded, sorted."""
        return [NormalizedName(project) for project in sorted(self._holders)]

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    @staticmethod
    def _has(claims: _Claims, project: str, holders: set[str] | None) -> bool:
        if holders is not None and claims.source in holders:
            return True
        return any(covers(pattern, project) for pattern in claims.projects)
