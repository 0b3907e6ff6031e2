"""`venvery prune`: makes room in the data folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.model.sizes import show_size

if TYPE_CHECKING:
    import argparse

    from venvery.services.keeping import Pruned

__all__ = ["run"]

DAY = 86400.0


def run(arguments: argparse.Namespace) -> int:
    """Prune, and say what went. Raises `BadInput`, `BadConfiguration` or `StorageFailed`."""
    from venvery.errors import BadInput
    from venvery.services.keeping import Goal, open_keeper

    configuration = configuration_of(arguments)
    days = arguments.unused_for
    if days is not None and not 0 <= days < float("inf"):
        raise BadInput(f"--unused-for {days}: a number of days is 0 or more")
    goal = Goal(configuration.max_size, None if days is None else days * DAY, dry_run=arguments.dry_run)
    with open_keeper(configuration) as keeper:
        done = keeper.prune(goal)
    if arguments.json:
        print(json.dumps(done.to_json(), indent=2))
    else:
        _tell(done)
    return 0


def _tell(done: Pruned) -> None:
    for one in done.removed if done.goal.dry_run else ():
        used = datetime.fromtimestamp(one.used_at, UTC).strftime("%Y-%m-%d %H:%M")
        print(f"{show_size(one.size):>9}  {used}  {one.name}")
    verb = "would remove" if done.goal.dry_run else "removed"
    layers = [one.size for one in done.removed if one.kind == "layer"]
    files = [one.size for one in done.removed if one.kind == "file"]
    say(f"{verb} {_count(layers, 'layer')} and {_count(files, 'file')}")
    if done.orphans[0]:
        say(f"{verb} {done.orphans[0]} blobs that no row names ({show_size(done.orphans[1])})")
    if done.in_use:
        say(f"kept {done.in_use} that are in use right now")
    if done.environments:
        say(f"forgot {done.environments} environments that were not used for longest")
    limit = "no limit" if done.goal.size is None else f"the limit is {show_size(done.goal.size)}"
    will = "would then hold" if done.goal.dry_run else "holds"
    say(f"the data folder {will} {show_size(done.after)}, {show_size(done.database)} of it the database; {limit}")
    if done.goal.size is None and done.goal.unused_for is None:
        say("hint: say --max-size or --unused-for, or set max-size in the configuration")
    elif done.goal.size is not None and done.after - done.database > done.goal.size and done.in_use:
        say("warning: what is in use right now is more than the limit")


def _count(sizes: list[int], what: str) -> str:
    return f"{len(sizes)} {what}{'' if len(sizes) == 1 else 's'} ({show_size(sum(sizes))})"
