"""`venvery environments`: tells which environments contain a release, and who had them last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print them, the one that was used last first."""
    from venvery.services.finding import find_environments
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    with Database.open(configuration.database_at) as database:
        found = find_environments(database, arguments.contains, shows=lambda _key: True, tells_who=True)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    for one in found:
        fetched = one["fetched"][0] if one["fetched"] else {"who": "this machine", "at": one["last_used"]}
        print(f"{one['key']}  {', '.join(one['contains'])}  had by {fetched['who']} at {fetched['at']}")
    if not found:
        say(f"no environment here contains {arguments.contains}")
    return 0
