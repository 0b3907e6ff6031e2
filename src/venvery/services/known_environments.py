"""Environments that were made before, as people look at them."""

from __future__ import annotations

from dataclasses import dataclass

from venvery.environments import Manifest
from venvery.errors import NotFound
from venvery.storage.database import Database
from venvery.storage.environments import StoredEnvironment

__all__ = ["KnownEnvironment", "describe", "newest"]


@dataclass(frozen=True, slots=True)
class KnownEnvironment:
    """One environment, and since when it is known. Times are seconds since the epoch."""

    manifest: Manifest
    created: float
    last_used: float
    """May lag by an hour."""

    @property
    def requested(self) -> tuple[str, ...]:
        """What was asked for, as pins."""
        return tuple(f"{pin.project} {pin.version}" for pin in self.manifest.pins if pin.requested)


def describe(database: Database, key: str) -> KnownEnvironment:
    """Describe an environment. Raises `NotFound`."""
    stored = database.environments.get(key)
    if stored is None:
        raise NotFound(f"no environment is known under {key}", hint="resolve what you need, and make it anew")
    return _known(stored)


def newest(database: Database, most: int) -> list[KnownEnvironment]:
    """Describe the environments that were used last."""
    return [_known(stored) for stored in database.environments.newest(most)]


def _known(stored: StoredEnvironment) -> KnownEnvironment:
    return KnownEnvironment(Manifest.from_json(stored.manifest), stored.created, stored.last_used)
