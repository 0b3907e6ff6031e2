"""`venvery why`: tells what leads to a project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.lock_input import lock_of
from venvery.model.names import parse_name
from venvery.services.why import explain_pin

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print every chain from the request to a project. Raises `NotFound` when there is none."""
    project = parse_name(arguments.project)
    found = explain_pin(lock_of(arguments), project, most=arguments.most)
    print(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if arguments.json else found)
    return 0
