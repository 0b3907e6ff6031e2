"""`venvery yank`: has a release taken only by those who ask for exactly it (PEP 592)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.releases import change_release

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Yank a release, or take that back."""
    further = {} if arguments.undo or not arguments.reason else {"reason": arguments.reason}
    done = change_release(arguments, "unyank" if arguments.undo else "yank", **further)
    if arguments.json:
        print(json.dumps(done, indent=2))
    was = "yanked" if done["yanked"] is not None else "not yanked"
    say(
        f"{done['project']} {done['version']} is {was} in {done['source']}"
        + ("" if done["changed"] else ", as before")
    )
    return 0
