"""Keeps the data folder within its size while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from venvery.errors import StorageFailed
from venvery.services.house import House

__all__ = ["kept_small"]

EVERY = 5.0
"""Seconds between two looks, which are free while nothing was written."""


@asynccontextmanager
async def kept_small(house: House, every: float = EVERY) -> AsyncIterator[None]:
    """Look after the size until the end of the context."""
    task = asyncio.create_task(_look_after(house, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _look_after(house: House, every: float) -> None:
    log = structlog.get_logger()
    while True:
        try:
            done = await house.evict()
        except StorageFailed as error:
            log.warning("eviction failed", error=str(error))
        else:
            if done is not None:
                log.info("evicted", removed=len(done.removed), before=done.before, after=done.after)
        await asyncio.sleep(every)
