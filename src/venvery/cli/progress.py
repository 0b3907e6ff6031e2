"""How far the catalog is: one line that moves on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from venvery.catalog.reporter import Reporter
from venvery.model.files import DistFile
from venvery.model.names import NormalizedName

__all__ = ["CatalogProgress", "watching"]

QUIET_FOR = 1.0
"""Seconds until anything is shown: what is quick needs no telling."""


class CatalogProgress(Reporter):
    """Counts what was looked at and fetched, and shows it."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._every = 0.1 if self._terminal else 5.0
        self._next = time.monotonic() + QUIET_FOR
        self._shown = False
        self._projects: set[NormalizedName] = set()
        self._releases = self._files = self._bytes = 0

    def listing_read(self, project: NormalizedName, source: str, how: str) -> None:
        self._projects.add(project)
        self._show()

    def metadata_read(self, file: DistFile, how: str) -> None:
        self._releases += 1
        self._show()

    def fetch_started(self, file: DistFile, size: int | None) -> None:
        self._show()

    def fetch_advanced(self, file: DistFile, count: int) -> None:
        self._bytes += count
        self._show()

    def fetch_done(self, file: DistFile) -> None:
        self._files += 1
        self._show()

    def retrying(self, url: str, reason: str, wait: float) -> None:
        self.close()
        when = f" in {wait:.0f} s" if wait >= 1 else ""
        self._out.write(f"{url}: {reason}; trying again{when}\n")

    def close(self) -> None:
        """Leave a clean line behind."""
        if self._shown and self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()
        self._shown = False

    def _show(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every
        text = f"looked at {len(self._projects)} projects and {self._releases} releases"
        if self._bytes:
            text += f", fetched {self._files} files ({self._bytes / 1e6:.1f} MB)"
        self._out.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._out.flush()
        self._shown = True


@contextmanager
def watching() -> Iterator[CatalogProgress]:
    """Show progress until the end of the context."""
    progress = CatalogProgress()
    try:
        yield progress
    finally:
        progress.close()
