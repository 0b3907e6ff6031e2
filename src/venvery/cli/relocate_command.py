"""`venvery relocate`: mends an environment that was moved, or gives it another interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.services.relocating import relocate

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Mend it, and say what was done. Raises `VenveryError` or `ClientError`."""
    done = relocate(Path(arguments.directory), arguments.python)
    if arguments.json:
        print(json.dumps({"directory": done.directory, "python": done.python, "changed": list(done.changed)}))
    elif done.changed:
        count = len(done.changed)
        say(f"{arguments.directory} is right for its place: {count} file{'s' * (count > 1)} mended")
    else:
        say(f"{arguments.directory} was right for its place already")
    return 0
