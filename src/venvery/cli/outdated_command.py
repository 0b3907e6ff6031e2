"""`venvery outdated`: tells what is newer than a lock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.cli.asking import body_of, read_asked
from venvery.cli.choosing import option_fields
from venvery.cli.console import say
from venvery.cli.lock_input import DEFAULT_LOCK, read_file
from venvery.cli.resolve_command import targets_of
from venvery.cli.settings import configuration_of, server_of
from venvery.errors import BadInput
from venvery.model.requirements_text import IndexOptions

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_HEAD = ("project", "locked", "taken", "newest", "held by")


def run(arguments: argparse.Namespace) -> int:
    """Print each pin of which there is something newer, and who holds it back.

    Gives 0; with `--exit-code` 1 when resolving anew would give another lock. Raises `VenveryError`.
    """
    body, written = _body(arguments)
    found = _ask(arguments, body, written)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print_table([_row(update) for update in found["updates"]])
        for new in found["added"]:
            say(f"resolving anew would bring in {new['project']} {new['version']}")
        if not found["outdated"]:
            say("the lock is what resolving anew would give")
    return 1 if arguments.exit_code and found["outdated"] else 0


def _body(arguments: argparse.Namespace) -> tuple[dict[str, Any], IndexOptions]:
    path = arguments.lock or (DEFAULT_LOCK if Path(DEFAULT_LOCK).is_file() else None)
    if path is None:
        raise BadInput(f"no lock is named, and there is no {DEFAULT_LOCK} here", hint="venvery outdated LOCK")
    text = read_file(path)
    written = IndexOptions()
    body: dict[str, Any] = {"options": option_fields(arguments, written)}
    if arguments.requirement:
        asked = read_asked(arguments, [])
        written = asked.index_options
        body = body_of(asked, arguments)
    elif arguments.constraint:
        raise BadInput("constraints need the requirements they belong to", hint="name these with -r")
    if text.lstrip().startswith("{"):
        try:
            body["lock"] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} is not JSON: {error}") from None
    else:
        body["pylock" if path.endswith(".toml") else "pins"] = text
    return body | {"targets": targets_of(arguments.python, arguments.platform)}, written


def _ask(arguments: argparse.Namespace, body: dict[str, Any], written: IndexOptions) -> dict[str, Any]:
    server = server_of(arguments)
    if server is not None:
        from venvery.client.transport import HttpTransport

        answer = HttpTransport(server, on_retry=say).post("/v1/outdated", body, "application/json")
        found: dict[str, Any] = json.loads(answer)
        return found
    from venvery.cli.embedded import in_house
    from venvery.cli.progress import watching
    from venvery.services.house import House

    async def compare(house: House) -> dict[str, Any]:
        return (await house.outdated(body)).to_json()

    with watching() as report:
        return in_house(configuration_of(arguments, written), compare, report)


def _row(update: dict[str, Any]) -> tuple[str, ...]:
    holders = "; ".join(map(_holder, update["held_by"])) or update.get("reason", "")
    taken = update["taken"] or "(needed no more)"
    return update["project"], update["version"], taken, update["newest"], holders


def _holder(holder: dict[str, str]) -> str:
    who = (
        f"{holder['project']} {holder['version']}" if "project" in holder else holder.get("origin", "the request")
    )
    return f"{who} ({holder['requirement']})"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    rows = [_HEAD, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())
