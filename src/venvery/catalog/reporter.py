"""What the catalog tells of its work: a reporter with empty methods, to be overridden where someone listens."""

from __future__ import annotations

from venvery.model.files import DistFile
from venvery.model.names import NormalizedName

__all__ = ["Reporter"]


class Reporter:
    """Hears nothing. Called on the event loop, so whatever overrides a method must be quick."""

    def listing_read(self, project: NormalizedName, source: str, how: str) -> None:
        """Tell that a source's listing is there; `how`: `stored`, `unchanged`, `read`, or `absent`."""

    def metadata_read(self, file: DistFile, how: str) -> None:
        """Tell that core metadata is there; `how`: `stored`, `sidecar`, `ranges`, `file`, `sdist` or `none`."""

    def fetch_started(self, file: DistFile, size: int | None) -> None:
        """Tell that a file is being fetched; `size` in bytes where known."""

    def fetch_advanced(self, file: DistFile, count: int) -> None:
        """Tell that further `count` bytes arrived."""

    def fetch_done(self, file: DistFile) -> None:
        """Tell that a file is safely stored."""

    def retrying(self, url: str, reason: str, wait: float) -> None:
        """Tell that a request will be sent again after `wait` seconds; `url` is fit to be shown."""
