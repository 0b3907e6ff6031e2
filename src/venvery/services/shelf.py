"""The catalog in memory: universes of hot projects, and the view of them that one request has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock

from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata
from venvery.model.names import NormalizedName
from venvery.model.targets import Target
from venvery.resolve import Universe

__all__ = ["BuildingShelf", "HotShelf", "RequestShelf"]

MAX_FILES = 2_000_000
"""How many listed files the hot universes may hold together, about 1 GiB, before the coldest is let go."""


class HotShelf:
    """Universes shared by all requests and threads; a universe lives as long as its listing's revision."""

    def __init__(self, max_files: int = MAX_FILES) -> None:
        self._universes: OrderedDict[NormalizedName, Universe] = OrderedDict()
        self._files = 0
        self._max_files = max_files
        self._lock = Lock()

    def put(self, listing: Listing) -> Universe:
        """Give the universe of a listing, a new one only when the listing has changed."""
        held = self._hold(listing)
        if held is not None:
            return held
        universe = Universe(listing)  # without the lock, for it takes a while
        with self._lock:
            held = self._hold(listing)
            if held is not None:  # another thread was quicker; there is one universe for all
                return held
            self._replace(universe)
            return universe

    def _hold(self, listing: Listing) -> Universe | None:
        held = self._universes.get(listing.project)
        if held is None or held.listing.revision != listing.revision:
            return None
        try:  # noqa: SIM105 - every search comes here for every project, and `suppress` takes longer than all else
            self._universes.move_to_end(listing.project)
        except KeyError:  # another thread let it go just now
            pass
        return held

    def _replace(self, universe: Universe) -> None:
        held = self._universes.get(universe.project)
        if held is not None:
            self._files -= len(held.listing.files)
            universe.inherit(held)
        self._universes[universe.project] = universe
        self._files += len(universe.listing.files)
        self._evict()

    def _evict(self) -> None:
        while self._files > self._max_files and len(self._universes) > 1:
            _project, universe = self._universes.popitem(last=False)
            self._files -= len(universe.listing.files)


class RequestShelf:
    """What one request sees: once looked at, a universe stays the same until the request is answered.

    The search looks at it in a thread while the event loop puts on it what was fetched: whoever is first decides
    which universe all see.
    """

    def __init__(
        self,
        hot: HotShelf,
        peek: Callable[[NormalizedName], Listing | None],
        direct: Mapping[NormalizedName, Universe] | None = None,
        *,
        pause: Callable[[], bool] | None = None,
    ) -> None:
        self.pause = pause
        self._hot = hot
        self._peek = peek
        self._seen: dict[NormalizedName, Universe] = dict(direct or {})
        self.failures: dict[tuple[str, str], NoMetadata] = {}
        """What could not be built, by file and scope; the same is not tried twice for one request."""

    def universe(self, project: NormalizedName) -> Universe | None:
        """Give the project's universe when its listing is at hand and fresh."""
        seen = self._seen.get(project)
        if seen is None:
            listing = self._peek(project)
            if listing is None:
                return None
            seen = self._seen.setdefault(project, self._hot.put(listing))
        return seen

    def put(self, listing: Listing) -> None:
        """Take a listing that was just fetched; what the request has already looked at stays as it was."""
        if listing.project not in self._seen:
            self._seen.setdefault(listing.project, self._hot.put(listing))


class BuildingShelf(RequestShelf):
    """One whose driver can have metadata built."""

    def why_not_built(self, file: DistFile, target: Target) -> NoMetadata | None:
        """Tell why a build gave no metadata; None when nobody has tried."""
        return self.failures.get((file.key, target.scope))

    def put_built(self, file: DistFile, target: Target, metadata: CoreMetadata | NoMetadata) -> None:
        """Take what a build told."""
        universe = self.universe(file.project)
        if isinstance(metadata, NoMetadata):
            self.failures[file.key, target.scope] = metadata
        elif universe is not None:
            universe.set_built_metadata(file, target.scope, metadata)
