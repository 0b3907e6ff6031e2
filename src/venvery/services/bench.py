"""The bench: where searches run, in threads of their own, a slice at a time and within stated limits.

What is answered in a moment never waits for what takes long: a search that uses up its first slice goes to the
patient threads, where all that are there take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

from venvery.config import Limits
from venvery.errors import LimitExceeded
from venvery.resolve import Need, Resolution

__all__ = ["Bench", "Budget"]

FIRST_SLICE = 0.1
"""Seconds that a search may take before it is counted as hard."""
SLICE = 0.05
"""Seconds that a hard search goes on before the next has its turn."""

Search = Generator[Need, None, Resolution]


class Budget:
    """What one search may use up. The solver asks it before each step whether to pause."""

    def __init__(self, limits: Limits) -> None:
        self.hard = False
        """True once the search has had its first slice."""
        self._limits = limits
        self._steps = 0
        self._seconds = 0.0
        self._began = 0.0
        self._pause_at = 0.0

    def __call__(self) -> bool:
        """Count a step; tell whether others should have their turn. Raises `LimitExceeded`."""
        self._steps += 1
        if self._steps > self._limits.solver_decisions:
            raise _exceeded("solver-decisions", self._limits.solver_decisions, "steps of the solver")
        if time.monotonic() < self._pause_at:
            return False
        # Time of this thread alone: that others are busy too is not the fault of this search. It is looked at
        # once in a turn, for that takes longer than all else here.
        if self._seconds + time.thread_time() - self._began > self._limits.solver_seconds:
            raise _exceeded("solver-seconds", self._limits.solver_seconds, "seconds of solving")
        return True

    def advance(self, search: Search) -> Need | Resolution:
        """Go on with a search until it needs something, pauses or ends. Raises what the search raises."""
        self._began = time.thread_time()
        self._pause_at = time.monotonic() + (SLICE if self.hard else FIRST_SLICE)
        try:
            return next(search)
        except StopIteration as done:
            resolution: Resolution = done.value
            return resolution
        finally:
            self._seconds += time.thread_time() - self._began


class Bench:
    """Threads in which searches run."""

    def __init__(self, limits: Limits, *, quick: int = 2, patient: int = 1) -> None:
        self.limits = limits
        self._quick = ThreadPoolExecutor(quick, "quick-search")
        self._patient = ThreadPoolExecutor(patient, "hard-search")

    def budget(self) -> Budget:
        """Give the budget of one search."""
        return Budget(self.limits)

    async def advance(self, search: Search, budget: Budget) -> Need | Resolution:
        """Run a search until it needs something or ends. Raises what the search raises."""
        while True:
            threads = self._patient if budget.hard else self._quick
            step = await asyncio.get_running_loop().run_in_executor(threads, budget.advance, search)
            if step != Need():
                return step
            budget.hard = True

    def close(self) -> None:
        """End the threads once they are done with their slices."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._patient.shutdown(wait=False, cancel_futures=True)


def _exceeded(limit: str, most: float, what: str) -> LimitExceeded:
    return LimitExceeded(
        f"no answer after {most:g} {what}",
        hint="pin some of the requirements more tightly, or split the request",
        limit=limit,
        most=most,
    )
