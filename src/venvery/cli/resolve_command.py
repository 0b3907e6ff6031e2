"""`venvery resolve`: prints a lock."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.cli.asking import body_of, read_asked
from venvery.cli.console import say
from venvery.cli.output import write_out
from venvery.cli.settings import configuration_of, server_of
from venvery.client.interpreter import this_interpreter
from venvery.errors import BadInput

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
    form = "json" if arguments.json else arguments.format
    if arguments.world:
        write_out(_replay(arguments, form), arguments.output)
        return 0
    asked = read_asked(arguments, arguments.requirements)
    body = body_of(asked, arguments) | {"targets": targets_of(arguments.python, arguments.platform)}
    server = server_of(arguments)
    if server is None:
        text = _resolve_embedded(body, form, arguments, asked)
    else:
        from venvery.client.transport import HttpTransport

        text = HttpTransport(server, on_retry=say).post("/v1/resolve", body, _MEDIA_TYPES[form]).decode()
    write_out(text, arguments.output)
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
    from venvery.services.locks import HASHED, render_lock

    async def resolve(house: House) -> str:
        lock = (await house.resolve(house.read(body), hashes=form in HASHED)).lock
        for warning in lock.warnings:
            say(f"warning: {warning}")
        return render_lock(lock, form)

    with watching() as report:
        return in_house(configuration_of(arguments, asked.index_options), resolve, report)


def _replay(arguments: argparse.Namespace, form: str) -> str:
    """Resolve in a recorded world: what is asked for here, else what was asked for when it was recorded."""
    from venvery.model.lock import Lock
    from venvery.services.documents import Defaults, read_body
    from venvery.services.locks import render_lock
    from venvery.services.worlds import World, replay

    try:
        world = World.unpack(Path(arguments.world).read_bytes())
    except OSError as error:
        raise BadInput(f"{arguments.world} cannot be read: {error.strerror}") from None
    bodies = world.requests
    if arguments.requirements or arguments.requirement:
        asked = read_asked(arguments, arguments.requirements)
        bodies = [body_of(asked, arguments) | {"targets": targets_of(arguments.python, arguments.platform)}]
    if len(bodies) != 1:
        raise BadInput(f"{arguments.world} holds {len(bodies)} requests", hint="say which requirements to resolve")
    here = this_interpreter()
    request = read_body(bodies[0], Defaults(here.version, here.platform)).resolve
    lock: Lock = replay(request, world.shelf()).lock
    for warning in lock.warnings:
        say(f"warning: {warning}")
    if form == "requirements":  # a world holds no hashes: what is shown is to be looked at, not to be installed
        from venvery.resolve.writers import write_requirements

        return write_requirements(lock, hashes=False)
    return render_lock(lock, form)
