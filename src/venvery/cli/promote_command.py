"""`venvery promote`: publishes a release of one hosted source in another, all its files at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.releases import change_release

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Promote a release."""
    done = change_release(arguments, "promote", to=arguments.to)
    if arguments.json:
        print(json.dumps(done, indent=2))
    for filename in done["promoted"]:
        say(f"{filename} is in {done['to']} now")
    if not done["promoted"]:
        say(f"{done['project']} {done['version']} was in {done['to']} already")
    return 0
