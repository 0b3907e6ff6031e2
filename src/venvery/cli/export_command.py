"""`venvery export`: writes what a view has into one file, for a network that this one does not reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.lock_input import read_file
from venvery.cli.settings import configuration_of
from venvery.model.sizes import show_size

if TYPE_CHECKING:
    import argparse

    from venvery.services.carrying import Carried

__all__ = ["run", "tell"]


def run(arguments: argparse.Namespace) -> int:
    """Export. Raises `VenveryError`."""
    from venvery.cli.embedded import in_house
    from venvery.services.carrying import read_inventory
    from venvery.services.house import House

    have = read_inventory(read_file(arguments.have)) if arguments.have else frozenset()

    async def export(house: House) -> Carried:
        return await house.export(Path(arguments.file), view=arguments.view, have=have)

    tell(in_house(configuration_of(arguments), export), "exported", as_json=arguments.json)
    return 0


def tell(done: Carried, verb: str, *, as_json: bool) -> None:
    """Say what was carried."""
    if as_json:
        print(json.dumps(done.to_json(), indent=2))
        return
    new = f", {done.new} of them new here" if verb == "imported" else ""
    carried = f"the bytes of {done.carried} are in the file ({show_size(done.bytes)})"
    say(f"{verb} {done.files} files of {done.projects} projects{new}; {carried}")
