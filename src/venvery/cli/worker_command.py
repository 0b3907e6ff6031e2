"""`venvery worker`: works off build jobs on a data folder, for whatever this machine can build."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Work until interrupted; jobs under way go back into the queue. Raises `BuildRefused` without a sandbox."""
    return asyncio.run(_work(arguments))


async def _work(arguments: argparse.Namespace) -> int:
    from venvery.builds.probing import probe
    from venvery.errors import BuildRefused
    from venvery.server.logs import set_up_logs
    from venvery.services.build_work import local_scopes
    from venvery.services.house import open_house

    configuration = configuration_of(arguments)
    if (why_not := probe().why_not) is not None:
        raise BuildRefused(f"source distributions cannot be built safely here: {why_not}", hint=probe().hint)
    set_up_logs()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with open_house(configuration) as house:
        house.builds.work_for_all()
        scopes = await asyncio.to_thread(local_scopes)
        say(f"venvery worker {house.builds.runner.name} on {configuration.data} builds for {', '.join(scopes)}")
        await ended.wait()
        say("stopping; jobs under way go back into the queue")
    return 0
