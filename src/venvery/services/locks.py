"""A lock in the form that somebody asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from venvery.errors import BadInput
from venvery.model.lock import Lock
from venvery.resolve import writers

__all__ = ["FORMATS", "HASHED", "LockFormat", "render_lock"]

LockFormat = Literal["requirements", "pylock", "json", "yaml"]
FORMATS = get_args(LockFormat)
HASHED: frozenset[str] = frozenset({"requirements", "pylock"})
"""The forms that installers take, which need a hash of each file."""


def render_lock(lock: Lock, form: str) -> str:
    """Write a lock as `requirements`, `pylock`, `json` or `yaml`. Raises `BadInput` for any other form."""
    if form not in FORMATS:
        raise BadInput(f"there is no lock format {form!r}", hint="formats: " + ", ".join(FORMATS))
    write: Callable[[Lock], str] = getattr(writers, f"write_{form}")
    return write(lock)
