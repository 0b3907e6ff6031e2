"""One piece of work, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["Shared", "all_of"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Work under way, by key. It goes on as long as anyone waits for it, and is forgotten when done."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}
        self._waiting: dict[K, int] = {}

    async def get(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Wait for the work under this key, starting it when nobody did."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(start())
            task.add_done_callback(lambda _done: self._forget(key, task))
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] = self._waiting.get(key, 1) - 1
            if self._waiting[key] <= 0:
                del self._waiting[key]
                if not task.done():  # the last who waited was cancelled
                    task.cancel()
                    self._forget(key, task)

    def _forget(self, key: K, task: asyncio.Task[V] | None) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def stop(self) -> None:
        """Cancel everything and wait for it to end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_of(work: Iterable[Coroutine[Any, Any, V]]) -> list[V]:
    """Do everything at once; the first failure cancels the rest and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
