"""What hosts of files can do beyond giving whole files: found out once, remembered, asked again after a week."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

__all__ = ["Ability", "Hosts"]

Ability = Literal["sidecar", "ranges"]
"""`sidecar`: serves `FILE.metadata` though its listings do not say so. `ranges`: answers range requests."""

RECHECK_AFTER = 7 * 24 * 3600.0
MISSES = 2
"""How many files must lack an ability before their host is taken to lack it."""


class Hosts:
    """Abilities by origin."""

    def __init__(
        self,
        known: dict[tuple[str, str], bool],
        note: Callable[[str, str, bool], None],
    ) -> None:
        self._known = known
        self._note = note
        self._misses: dict[tuple[str, str], int] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def lock(self, origin: str, ability: Ability) -> asyncio.Lock:
        """Give the lock under which a first attempt is made, so that a crowd does not find out all at once."""
        return self._locks.setdefault((origin, ability), asyncio.Lock())

    def has(self, origin: str, ability: Ability) -> bool | None:
        """Tell whether the host is known to have or to lack the ability."""
        return self._known.get((origin, ability))

    def saw(self, origin: str, ability: Ability, works: bool) -> None:
        """Take in one attempt. What worked once is not given up for a file that lacks it."""
        key = (origin, ability)
        if self._known.get(key) is not None:
            return
        if not works:
            self._misses[key] = self._misses.get(key, 0) + 1
            if self._misses[key] < MISSES:
                return
        self._known[key] = works
        self._note(origin, ability, works)


def since(now: float | None = None) -> float:
    """Give the instant before which what was found out counts no longer."""
    return (time.time() if now is None else now) - RECHECK_AFTER
