"""`venvery target`: prints the exact target that an interpreter is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.client.interpreter import find_python, identify, this_interpreter
from venvery.model.targets import exact_target, short_target

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print the target as JSON, as a request takes it. Raises `ClientError` or `BadTarget`."""
    if arguments.python is None:
        found = this_interpreter()
    elif "/" in arguments.python or "\\" in arguments.python:
        found = identify(arguments.python)
    else:
        found = find_python(arguments.python)
    tags = short_target(**found.target).tags
    print(json.dumps(exact_target(found.markers, tags).to_json(), indent=2))
    return 0
