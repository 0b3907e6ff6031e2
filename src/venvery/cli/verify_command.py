"""`venvery verify`: proves that an environment is what was signed, or what an index's wheels contain."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.environments.installed import open_installed
from venvery.errors import VerificationFailed
from venvery.model.keys import parse_key
from venvery.services.keys import ServerKeys
from venvery.services.known_keys import default_known_keys
from venvery.services.verifying import Verified, check_files, check_signature, server_of

if TYPE_CHECKING:
    import argparse

    from venvery.config import Configuration
    from venvery.environments.installed import Installed

__all__ = ["run"]

SHOWN = 20
"""Findings that are told one by one."""

_WHY = {
    "pinned": "the key that was given",
    "endorsed": "endorsed by a key that is known",
    "own": "this machine's own key",
    "known": "the key that is known of {server}",
    "first use": "seen for the first time, believed, and written down as the key of {server}",
}


def run(arguments: argparse.Namespace) -> int:
    """Verify, and say what was found. Raises `BadInput`, `SourceFailed` or `StorageFailed`."""
    pinned = [parse_key(key) for key in arguments.key]
    configuration = configuration_of(arguments)
    verified = Verified(arguments.directory, allow_compiled=arguments.allow_compiled)
    hint = None
    try:
        installed = open_installed(Path(arguments.directory))
        _check_signature(verified, installed, pinned, configuration, needed=not arguments.rebuild)
        if arguments.rebuild:
            _rebuild(verified, installed, configuration)
        if not verified.problems:
            checked = check_files(installed, arguments.prefix)
            checked.notes = [*verified.checked.notes, *checked.notes]
            verified.checked = checked
    except VerificationFailed as error:
        verified.problems.append(str(error))
        hint = error.hint
    if arguments.json:
        print(json.dumps(verified.to_json(), indent=2))
    else:
        _tell(verified, hint)
    return 0 if verified.fine else 1


def _check_signature(
    verified: Verified, installed: Installed, pinned: list[str], configuration: Configuration, *, needed: bool
) -> None:
    """Check who signed it; where the wheels themselves are looked at, that matters only if a key was given."""
    if not needed and not pinned:
        verified.checked.notes.append("its signature was not needed, and not looked at")
        return
    verified.signature = check_signature(
        server_of(installed.root),
        installed,
        pinned,
        default_known_keys(os.environ, Path.home()),
        ServerKeys(configuration.data / "keys"),
    )


def _rebuild(verified: Verified, installed: Installed, configuration: Configuration) -> None:
    from venvery.cli import loops
    from venvery.cli.progress import watching
    from venvery.services.rebuilding import rebuild

    with watching() as report:
        rebuilt = loops.run(rebuild(installed, configuration, report))
    verified.rebuilt = rebuilt.layers
    verified.problems += rebuilt.problems


def _tell(verified: Verified, hint: str | None) -> None:
    checked, signature = verified.checked, verified.signature
    if signature is not None:
        say(f"signed by {signature.key}: {_WHY[signature.trust].format(server=_printable(signature.server))}")
    if verified.rebuilt is not None:
        say(f"{verified.rebuilt} layers made again from wheels of the index are those of the manifest")
    for problem in verified.problems:
        say(f"error: {_printable(problem)}")
    for finding in verified.wrong[:SHOWN]:
        say(f"{finding.kind}: {_printable(finding.path) or '-'} ({_printable(finding.about)})")
    if len(verified.wrong) > SHOWN:
        say(f"… and {len(verified.wrong) - SHOWN} more")
    for note in checked.notes:
        say(f"note: {_printable(note)}")
    if verified.fine:
        print(f"{verified.directory} is as it was made: {checked.layers} layers, {checked.files} files")
    elif verified.problems:
        say(f"hint: {hint}" if hint else f"{verified.directory} could not be verified")
    else:
        say(f"error: {verified.directory} is not as it was made: {len(verified.wrong)} differences")
        say(f"hint: {_advice(verified)}")


def _advice(verified: Verified) -> str:
    kinds = {finding.kind for finding in verified.wrong}
    if kinds == {"compiled"}:
        return "imports have compiled modules here since; --allow-compiled passes over that"
    return "venvery sync --upgrade makes it anew"


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)
