"""A lock that a command is to look at: a file, or the answer to requirements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.cli.asking import body_of, read_asked
from venvery.cli.console import say
from venvery.cli.resolve_command import targets_of
from venvery.cli.settings import configuration_of, server_of
from venvery.errors import BadInput
from venvery.model.lock import Lock
from venvery.model.targets import Target, target_from_json

if TYPE_CHECKING:
    import argparse

__all__ = ["DEFAULT_LOCK", "lock_of", "read_file", "targets_here"]

DEFAULT_LOCK = "pylock.toml"
"""Taken where it stands in the current folder and nothing else is named."""


def lock_of(arguments: argparse.Namespace) -> Lock:
    """Read the lock that is named, or resolve the requirements. Raises `VenveryError` or `ClientError`."""
    from venvery.services.lock_files import read_lock

    path: str | None = arguments.lock
    if path is None and not (arguments.requirements or arguments.requirement):
        path = DEFAULT_LOCK if Path(DEFAULT_LOCK).is_file() else None
    if path is None:
        return _resolved(arguments)
    if arguments.requirements or arguments.requirement:
        raise BadInput("a lock says everything by itself", hint="name either a lock or requirements")
    return read_lock(read_file(path), origin=path, targets=targets_here(arguments.python, arguments.platform))


def targets_here(pythons: list[str] | str | None, platforms: list[str] | str | None) -> list[Target]:
    """Give the targets that the command line means; the path of an interpreter stands for this one."""
    pythons = [pythons] if isinstance(pythons, str) else pythons
    platforms = [platforms] if isinstance(platforms, str) else platforms
    pythons = [python for python in pythons or () if "/" not in python and "\\" not in python] or None
    here = targets_of(None, None)[0]
    return [
        target_from_json(target, default_platform=here["platform"], default_python=here["python"])
        for target in targets_of(pythons, platforms)
    ]


def read_file(path: str) -> str:
    """Read a text file. Raises `BadInput`."""
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text") from None


def _resolved(arguments: argparse.Namespace) -> Lock:
    asked = read_asked(arguments, arguments.requirements)
    body: dict[str, Any] = body_of(asked, arguments)
    body["targets"] = targets_of(arguments.python, arguments.platform)
    server = server_of(arguments)
    if server is not None:
        from venvery.client.transport import HttpTransport
        from venvery.resolve.readers import read_json

        answer = HttpTransport(server, on_retry=say).post("/v1/resolve", body, "application/json")
        return read_json(answer, origin="the server's answer")
    from venvery.cli.embedded import in_house
    from venvery.cli.progress import watching
    from venvery.services.house import House

    async def resolve(house: House) -> Lock:
        return (await house.resolve(house.read(body))).lock

    with watching() as report:
        return in_house(configuration_of(arguments, asked.index_options), resolve, report)
