"""Where listings come from: one class for each kind of source, all with the same interface."""

from __future__ import annotations

from venvery.catalog.sources.base import Absent, Found, Held, Source, Unchanged, identify, make_source

__all__ = ["Absent", "Found", "Held", "Source", "Unchanged", "identify", "make_source"]
