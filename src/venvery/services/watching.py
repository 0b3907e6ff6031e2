"""Who waits for jobs hears which: a variable of the context, as what waits may be deep below what asked."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venvery.model.jobs import Job

__all__ = ["watching"]

watching: ContextVar[Callable[[Job], None] | None] = ContextVar("watching", default=None)
"""Hears of each job that this task waits for, when it begins to."""
