"""`venvery block`: has a release reach nobody any more, wherever it comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.errors import BadInput

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Block releases, block them no longer, or list what is blocked; a running server takes notice at once."""
    from venvery.model.policy import parse_rule
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    if bool(arguments.release) == arguments.list:
        raise BadInput("which releases?", hint="as in venvery block requests==2.31.0, or venvery block --list")
    with Database.open(configuration.database_at) as database:
        if arguments.release:
            rule = parse_rule(arguments.release)
            if arguments.undo:
                database.blocks.remove(rule.pattern, rule.specifier, who="this machine")
            else:
                database.blocks.add(rule.pattern, rule.specifier, arguments.reason, who="this machine")
            say(f"{rule} is {'blocked no longer' if arguments.undo else 'blocked'}")
            return 0
        blocks = database.blocks.all()
    if arguments.json:
        print(
            json.dumps(
                [{"release": one.pattern + one.specifier, "reason": one.reason} for one in blocks], indent=2
            )
        )
        return 0
    for one in blocks:
        print(f"{one.pattern}{one.specifier}  {one.reason}  (by {one.by})")
    return 0
