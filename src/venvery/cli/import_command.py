"""`venvery import`: takes in what `venvery export` wrote on the other side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from venvery.cli.export_command import tell
from venvery.cli.output import write_out
from venvery.cli.settings import configuration_of
from venvery.errors import BadInput

if TYPE_CHECKING:
    import argparse

    from venvery.services.carrying import Carried

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Import, or print the inventory. Raises `VenveryError`."""
    from venvery.cli.embedded import in_house
    from venvery.services.house import House

    if (arguments.file is None) != arguments.inventory:
        raise BadInput("import takes either a file or --inventory")

    async def inventory(house: House) -> str:
        return house.inventory()

    async def take_in(house: House) -> Carried:
        return await house.take_in(Path(arguments.file), source=arguments.to, who="this machine")

    configuration = configuration_of(arguments)
    if arguments.inventory:
        write_out(in_house(configuration, inventory), None)
    else:
        tell(in_house(configuration, take_in), "imported", as_json=arguments.json)
    return 0
