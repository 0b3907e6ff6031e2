"""`venvery doctor`: looks at everything that venvery needs here, and says what it uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of, server_of

if TYPE_CHECKING:
    import argparse

    from venvery.config import Configuration
    from venvery.services.doctor import Finding

__all__ = ["run"]

_MARKS = {"ok": "ok      ", "warning": "warning ", "problem": "PROBLEM "}


def run(arguments: argparse.Namespace) -> int:
    """Look, and give 0 when nothing is wrong, else 1."""
    from venvery.cli import loops
    from venvery.config import this_machine
    from venvery.errors import BadConfiguration, BadInput
    from venvery.services.doctor import Finding, examine

    configuration: Configuration | None = None
    broken: list[Finding] = []
    try:
        configuration = configuration_of(arguments)
    except (BadConfiguration, BadInput) as error:
        broken = [Finding("configuration", "problem", str(error), error.hint)]
    found = broken + loops.run(examine(configuration, this_machine(), server_of(arguments)))
    if arguments.json:
        print(json.dumps([finding.to_json() for finding in found], indent=2))
    else:
        _tell(found)
    return 1 if any(finding.state == "problem" for finding in found) else 0


def _tell(found: list[Finding]) -> None:
    for finding in found:
        print(f"{_MARKS[finding.state]} {finding.subject}: {finding.says}")
        if finding.hint:
            print(f"         hint: {finding.hint}")
    wrong = sum(finding.state == "problem" for finding in found)
    if wrong:
        say(f"{wrong} problem{'' if wrong == 1 else 's'}")
