"""`venvery record`: writes the part of the catalog that a request touches into one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvery.cli.asking import body_of, read_asked
from venvery.cli.console import say
from venvery.cli.resolve_command import targets_of
from venvery.cli.settings import configuration_of
from venvery.client.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from venvery.services.house import House

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Record, and write the file. Raises `VenveryError`."""
    from venvery.cli.embedded import in_house
    from venvery.cli.output import write_out
    from venvery.cli.progress import watching

    if arguments.server:
        raise UsageError("a world is recorded by this process itself", hint="leave --server out")
    asked = read_asked(arguments, arguments.requirements)
    body = body_of(asked, arguments) | {"targets": targets_of(arguments.python, arguments.platform)}

    async def record(house: House) -> tuple[bytes, int]:
        world = await house.record(body)
        return world.pack(), len(world.projects)

    with watching() as report:
        data, projects = in_house(configuration_of(arguments, asked.index_options), record, report)
    write_out(data, arguments.output)
    say(f"{arguments.output} holds {projects} projects ({len(data) / 1e3:.0f} kB)")
    return 0
