"""`venvery key`: shows the keys that environments are signed with on a data folder, or makes a new one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.services.keys import ServerKeys

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Show or rotate. Raises `BadConfiguration` or `StorageFailed`."""
    keys = ServerKeys(configuration_of(arguments).data / "keys")
    if arguments.action == "rotate":
        before = keys.current.key
        key = keys.rotate()
        say(f"from now on {key} signs; it is endorsed by {before}, which is retired")
    if arguments.json:
        print(json.dumps(json.loads(keys.document)))
        return 0
    for known in keys.known:
        print(f"{known.key}  {known.created}{'  signs now' if known == keys.known[-1] else '  retired'}")
    return 0
