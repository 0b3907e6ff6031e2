"""`venvery audit`: shows who changed what, and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.settings import configuration_of

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print the last changes, newest first."""
    from venvery.model.names import parse_name
    from venvery.services.auditing import change_to_json
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    project = parse_name(arguments.project) if arguments.project else None
    with Database.open(configuration.database_at) as database:
        found = database.journal.entries(who=arguments.who, project=project, most=max(1, arguments.most))
    changes = [change_to_json(change) for change in found]
    if arguments.json:
        print(json.dumps(changes, indent=2))
        return 0
    for one in changes:
        what = " ".join(
            str(one[name]) for name in ("source", "project", "version", "filename", "detail") if one[name]
        )
        print(f"{one['at']}  {one['who']:24}  {one['action']:12}  {what}")
    return 0
