"""The revisions of the database's schema."""

from __future__ import annotations

__all__ = ["REVISIONS"]

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions that this code knows, oldest first; the last is the one it needs."""
