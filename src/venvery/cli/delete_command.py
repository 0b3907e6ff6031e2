"""`venvery delete`: deletes a release for good; the names of its files are never used again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.releases import change_release

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Delete a release, or one file of it."""
    done = change_release(arguments, "delete", **({"filename": arguments.file} if arguments.file else {}))
    if arguments.json:
        print(json.dumps(done, indent=2))
    for filename in done["deleted"]:
        say(f"deleted {filename} from {done['source']}")
    return 0
