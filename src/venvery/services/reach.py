"""Who may have which environment: one that was made through a view is for those who may see that view.

Keys and digests are no secrets: they stand in logs and lock files. So where there are private views, an
environment, and each of its layers, is given only to who may see a view through which it was had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock

from venvery.errors import NotFound, VenveryError
from venvery.model.access import Visitor
from venvery.model.sources import ViewSpec
from venvery.storage.database import Database

__all__ = ["Reach"]

AGAIN = 3600.0
"""Seconds for which it is not written down again that the same visitor had the same environment."""
_MOST_NOTED = 200_000


class Reach:
    """Remembers through which views environments were had. Safe to use from any thread."""

    def __init__(self, database: Database, views: Iterable[ViewSpec], clock: Callable[[], float]) -> None:
        self._database = database
        self._views = {view.name: view for view in views}
        self._private = any(view.private for view in self._views.values())
        self._clock = clock
        self._noted: dict[tuple[str, str | None, str], float] = {}
        self._layers: dict[str, set[str]] = {}
        """The views through which environments with a layer were had."""
        self._read: set[tuple[str, str]] = set()
        """The (environment, view) that are in `_layers`."""
        self._lock = Lock()

    @property
    def guards(self) -> bool:
        """Whether there is anything that not everyone may see."""
        return self._private

    def is_noted(self, key: str, view: str | None, who: str) -> bool:
        """Tell whether it is written down already, an hour ago at most, that somebody had an environment."""
        return self._clock() - self._noted.get((key, view, who), float("-inf")) < AGAIN

    def note(self, key: str, view: str | None, who: str) -> None:
        """Note that somebody had an environment; None: through a view that is noted for it."""
        if len(self._noted) > _MOST_NOTED:
            self._noted.clear()
        self._noted[key, view, who] = self._clock()
        if view is None:
            had = self._database.environment_views.of(key)
            if not had:
                return
            view = had[0].view
        self._database.environment_views.note(key, view, who)

    def view_of(self, key: str, visitor: Visitor) -> str | None:
        """Give a view through which a visitor may have an environment; None for one who may have any.

        Raises `NotKnown` or `NotAllowed` when there is none, and `NotFound` when nobody knows of one.
        """
        had = [one.view for one in self._database.environment_views.of(key)]
        seen = [self._views[name] for name in had if name in self._views]
        allowed = next((view.name for view in seen if visitor.sees(view)), None)
        if allowed is None and not visitor.may("admin"):
            if seen:
                visitor.enter(seen[0])
            raise NotFound(f"no environment is known under {key}", hint="ask for it with POST /v1/environments")
        return allowed

    def admit_layer(self, digest: str, visitor: Visitor) -> None:
        """Insist that a layer is in an environment that a visitor may have. Raises as `view_of` does."""
        if not self._private or visitor.may("admin"):
            return
        views = self._views_of_layer(digest)
        if any(visitor.sees(self._views[name]) for name in views):
            return
        for name in sorted(views):
            visitor.enter(self._views[name])
        raise NotFound(f"no layer {digest} is known here", digest=digest)

    def _views_of_layer(self, digest: str) -> set[str]:
        with self._lock:
            if digest not in self._layers:
                self._read_new()
            return {name for name in self._layers.get(digest, ()) if name in self._views}

    def _read_new(self) -> None:
        for one in self._database.environment_views.all():
            if (one.key, one.view) in self._read:
                continue
            self._read.add((one.key, one.view))
            stored = self._database.environments.get(one.key)
            if stored is None:
                continue
            try:
                from venvery.environments import Manifest  # here, because who resolves needs no archives

                manifest = Manifest.from_json(stored.manifest)
            except (VenveryError, KeyError, TypeError, ValueError):
                continue
            for layer in manifest.layers:
                self._layers.setdefault(layer.digest, set()).add(one.view)
