"""What is being built, told as it goes: one line for each package and phase; the end of the log when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from venvery.cli.console import say

if TYPE_CHECKING:
    from venvery.model.jobs import Job
    from venvery.services.house import House

__all__ = ["follow", "tell_log"]

_LOOK_EVERY = 0.2
_LAST_LINES = 25


def follow(house: House) -> Callable[[Job], None]:
    """Give what hears of a job that is waited for, and tells of its phases until it has ended."""
    tasks: set[asyncio.Task[None]] = set()
    followed: set[str] = set()

    def watch(job: Job) -> None:
        if job.id not in followed:
            followed.add(job.id)
            task = asyncio.get_running_loop().create_task(_follow(house, job))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return watch


async def _follow(house: House, job: Job) -> None:
    after = 0
    while True:
        active = (await asyncio.to_thread(house.jobs.get, job.id)).active
        for event in await asyncio.to_thread(house.jobs.events, job.id, after):
            after = event.number
            if event.kind == "phase" or (event.kind == "state" and event.data != "running"):
                say(f"{job.title}: {event.data}")
        if not active:
            return
        await asyncio.sleep(_LOOK_EVERY)


def tell_log(evidence: Mapping[str, object]) -> None:
    """Show the end of a failed build's log, and say where all of it is."""
    log, job = evidence.get("log"), evidence.get("job")
    if log:
        for line in str(log).rstrip().splitlines()[-_LAST_LINES:]:
            say(f"| {line}")
    if job:
        say(f"the whole log: {evidence.get('log_url') or f'venvery jobs log {job}'}")
