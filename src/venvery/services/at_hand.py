"""Environments that were asked for a moment ago, in memory: a CI asks for the same ones all day."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock as Mutex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venvery.model.lock import Lock
    from venvery.services.assembling import Assembled

__all__ = ["AtHand"]

MOST = 256
"""Environments; each takes some hundreds of kilobytes."""

_Asked = tuple[int, int, bool]
"""The lock by its identity, which of its targets, with bytecode."""


class AtHand:
    """What was assembled, by its key and by the very lock that it was assembled from.

    What is here may have lost its layers since: whoever sends it finds out, and forgets it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._mutex = Mutex()
        self._by_key: OrderedDict[str, Assembled] = OrderedDict()
        self._by_lock: OrderedDict[_Asked, tuple[Lock, Assembled]] = OrderedDict()

    def of_key(self, key: str) -> Assembled | None:
        """Give an environment by its key; None when it is not at hand."""
        with self._mutex:
            found = self._by_key.get(key)
            if found is not None:
                self._by_key.move_to_end(key)
            return found

    def of_lock(self, lock: Lock, target: int, *, bytecode: bool) -> Assembled | None:
        """Give the environment of a lock that is this very object; None when it is not at hand."""
        with self._mutex:
            held = self._by_lock.get((id(lock), target, bytecode))
            return held[1] if held is not None and held[0] is lock else None

    def put_key(self, made: Assembled) -> None:
        """Keep an environment under its key."""
        with self._mutex:
            self._by_key[made.manifest.key] = made
            self._by_key.move_to_end(made.manifest.key)
            if len(self._by_key) > self._most:
                self._by_key.popitem(last=False)

    def put_lock(self, lock: Lock, target: int, made: Assembled, *, bytecode: bool) -> None:
        """Keep the environment of a lock; the lock lives as long, so that no other gets its identity."""
        with self._mutex:
            self._by_lock[(id(lock), target, bytecode)] = lock, made
            self._by_lock.move_to_end((id(lock), target, bytecode))
            if len(self._by_lock) > self._most:
                self._by_lock.popitem(last=False)

    def forget(self, key: str) -> None:
        """Drop an environment, as when its layers are gone."""
        with self._mutex:
            self._by_key.pop(key, None)
            for asked, (_lock, made) in list(self._by_lock.items()):
                if made.manifest.key == key:
                    del self._by_lock[asked]
