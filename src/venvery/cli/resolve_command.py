"""`venvery resolve`: prints a lock."""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.cli.asking import body_of, read_asked
from venvery.cli.console import say
from venvery.cli.settings import configuration_of, server_of
from venvery.client.interpreter import this_interpreter
from venvery.errors import StorageFailed

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_MEDIA_TYPES = {
    "requirements": "text/plain",
    "pylock": "application/toml",
    "json": "application/json",
    "yaml": "application/yaml",
}


def run(arguments: argparse.Namespace) -> int:
    """Resolve, and print or write the lock. Raises `VenveryError` or `ClientError`."""
    asked = read_asked(arguments, arguments.requirements)
    body = body_of(asked, arguments) | {"targets": targets_of(arguments.python, arguments.platform)}
    form = "json" if arguments.json else arguments.format
    server = server_of(arguments)
    if server is None:
        text = _resolve_embedded(body, form, arguments, asked)
    else:
        from venvery.client.transport import HttpTransport

        text = HttpTransport(server, on_retry=say).post("/v1/resolve", body, _MEDIA_TYPES[form]).decode()
    _put_out(text, arguments.output)
    return 0


def targets_of(pythons: list[str] | None, platforms: list[str] | None) -> list[dict[str, Any]]:
    """Name the targets: every Python on every platform; what is not said is this machine's."""
    if not pythons and not platforms:
        return [this_interpreter().target]
    here = this_interpreter()
    # For another platform this machine's micro version says nothing; for this one the exact Python is known.
    ours = here.version if not platforms else ".".join(here.version.split(".")[:2])
    return [
        {"python": python, "platform": platform}
        for python, platform in product(pythons or [ours + here.threads], platforms or [here.platform])
    ]


def _resolve_embedded(body: dict[str, Any], form: str, arguments: argparse.Namespace, asked: Any) -> str:
    from venvery.cli.embedded import in_house
    from venvery.cli.progress import watching
    from venvery.services.house import House
    from venvery.services.locks import render_lock

    async def resolve(house: House) -> str:
        lock = (await house.resolve(house.read(body))).lock
        for warning in lock.warnings:
            say(f"warning: {warning}")
        return render_lock(lock, form)

    with watching() as report:
        return in_house(configuration_of(arguments, asked.index_options), resolve, report)


def _put_out(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(output)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)  # all of it or what was there before
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageFailed(f"{output} cannot be written: {error.strerror}") from None
