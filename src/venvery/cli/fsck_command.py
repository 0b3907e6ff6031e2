"""`venvery fsck`: proves that every row of the data folder has its bytes, and every byte its row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.model.sizes import show_size

if TYPE_CHECKING:
    import argparse

    from venvery.services.fsck import Report

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Check, and give 0 when all is well or was repaired, else 1. Raises `BadConfiguration`, `StorageFailed`."""
    from venvery.services.fsck import check
    from venvery.services.keeping import open_folder

    configuration = configuration_of(arguments)
    with open_folder(configuration) as (database, blobs):
        report = check(configuration.data, database, blobs, deep=arguments.deep, repair=arguments.repair)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _tell(report)
    return 0 if report.fine else 1


def _tell(report: Report) -> None:
    for problem in report.problems:
        print(f"{'repaired' if problem.repaired else problem.kind}: {problem.what}: {problem.detail}")
    say(f"{report.rows} rows, {report.blobs} blobs ({show_size(report.size)}), {report.environments} environments")
    if report.removed_environments:
        say(f"{report.removed_environments} of the environments will be made anew when they are next asked for")
    if report.leftovers:
        say(f"cleared {report.leftovers} files that killed writers left")
    left = sum(not problem.repaired for problem in report.problems)
    if left:
        say(f"{left} problem{'' if left == 1 else 's'}")
        if any(problem.kind not in ("stranger", "database") for problem in report.problems):
            say("hint: --repair removes what is wrong; it is fetched or made again when it is needed")
    else:
        say("every byte was read: all is well" if report.deep else "all is well")
