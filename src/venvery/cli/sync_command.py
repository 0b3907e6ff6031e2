"""`venvery sync`: makes a folder exactly the environment that is asked for.

The way of an unchanged environment comes first and imports nothing but the client: CI calls it all the time.
"""

from __future__ import annotations

import json
import os
import sys

from venvery.cli.console import say
from venvery.cli.settings import server_of
from venvery.client.errors import UsageError
from venvery.client.inputs import Inputs, digest_of, gather, gather_lock
from venvery.client.state import interpreter_identity, read_state, up_to_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from venvery.client.sync import OpenArchive, SyncRequest, SyncResult
    from venvery.model.requirements_text import IndexOptions

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Sync, and say what was done. Raises `VenveryError` or `ClientError`; the folder is then as it was."""
    *given, directory = arguments.arguments
    lock = _lock_of(given)
    if not (given or arguments.requirement):
        raise UsageError(
            "nothing is asked for",
            hint="venvery sync REQUIREMENT… DIR, venvery sync -r FILE DIR or venvery sync pylock.toml DIR",
        )
    chosen = arguments.python or getattr(sys, "_base_executable", None) or sys.executable
    read_too = [*arguments.constraint, *(arguments.override or ()), *([arguments.keep] if arguments.keep else ())]
    inputs = gather_lock(lock) if lock else gather(given, arguments.requirement, read_too)
    digest = digest_of(inputs, _identity(arguments, chosen))
    if not arguments.upgrade and up_to_date(directory, digest):
        return _tell(arguments, directory, changed=False, key=str((read_state(directory) or {}).get("key")))
    request, open_archive = _prepare(arguments, given, lock, inputs, chosen, digest)
    done = _sync(arguments, directory, request, open_archive)
    return _tell(arguments, directory, changed=done.changed, key=done.key, done=done)


def _sync(
    arguments: argparse.Namespace, directory: str, request: SyncRequest, open_archive: OpenArchive
) -> SyncResult:
    from venvery.client.progress import TerminalProgress
    from venvery.client.store import default_folder, open_store
    from venvery.client.sync import sync

    progress = TerminalProgress()
    try:
        return sync(
            directory,
            request,
            open_archive,
            store=open_store(default_folder(), mode=arguments.link_mode) if arguments.store else None,
            progress=progress,
            force=arguments.upgrade,
            approve=_approval(arguments),
        )
    finally:
        progress.close()


def _approval(arguments: argparse.Namespace) -> Callable[[str], None] | None:
    """Choose how an environment's signature is looked at; one that is made on this machine needs no look."""
    server = server_of(arguments)
    if server is None:
        return None
    pinned = arguments.key or os.environ.get("VENVERY_SERVER_KEY", "").split()
    if pinned:
        from venvery.model.keys import parse_key

        pinned = [parse_key(key) for key in pinned]

    def approve(folder: str) -> None:
        from pathlib import Path

        from venvery.services.approving import approver
        from venvery.services.known_keys import default_known_keys

        approver(server, pinned, default_known_keys(os.environ, Path.home()))(folder)

    return approve


def _load_the_rest() -> None:
    """Load what is needed when the answer is there, while the server prepares it."""
    import venvery.client.conflicts
    import venvery.client.lanes
    import venvery.services.approving  # noqa: F401


def _prepare(
    arguments: argparse.Namespace, given: list[str], lock: str | None, inputs: Inputs, chosen: str, digest: str
) -> tuple[SyncRequest, OpenArchive]:
    """Write the request, and choose who answers it: a server, or the house on the local data folder."""
    from venvery.client.sync import SyncRequest

    target, base = _target(arguments, chosen)
    body: dict[str, Any] = {"target": target, "bytecode": arguments.bytecode}
    options: IndexOptions | None = None
    if lock is not None:
        from venvery.cli.choosing import option_fields

        body["pylock"] = inputs.files[lock]
        body["options"] = option_fields(arguments)
    elif server_of(arguments) is not None:
        # A server reads requirements anyway; whatever could read them here takes longer to load than it to answer.
        from venvery.cli.choosing import option_fields
        from venvery.client.inputs import options_of

        chosen_in_files, ignored = options_of(inputs)
        if ignored:
            say(f"warning: {ignored}")
        body |= {"requirements": inputs.requirements, "constraints": inputs.constraints}
        body["options"] = {**chosen_in_files, **option_fields(arguments)}
    else:
        from venvery.cli.asking import body_of, read_asked

        asked = read_asked(arguments, given)
        options = asked.index_options
        body |= body_of(asked, arguments)
    if arguments.view:
        body["view"] = arguments.view
    if base is not None:
        body["python"] = base
    if arguments.relocatable:
        body["relocatable"] = True
    if arguments.prefix:
        body["prefix"] = os.path.abspath(arguments.prefix)
    server = server_of(arguments)
    request = SyncRequest(body, digest, base, server or "this machine")
    return request, _answerer(arguments, server, options)


def _answerer(arguments: argparse.Namespace, server: str | None, options: IndexOptions | None) -> OpenArchive:
    if server is not None:
        from venvery.client.transport import HttpTransport

        return HttpTransport(server, on_retry=say, meanwhile=_load_the_rest)
    from venvery.cli.embedded import EmbeddedTransport
    from venvery.cli.progress import CatalogProgress
    from venvery.cli.settings import configuration_of

    return EmbeddedTransport(
        configuration_of(arguments, options),
        report=CatalogProgress(),
        on_warning=lambda text: say(f"warning: {text}"),
    )


def _target(arguments: argparse.Namespace, chosen: str) -> tuple[dict[str, str], str | None]:
    """Give the short target, and the base interpreter where the environment is for this machine."""
    from venvery.client.interpreter import find_python, identify
    from venvery.client.store import default_folder

    cache = default_folder()
    by_path = _is_path(chosen)
    if arguments.platform:
        python = ".".join(identify(chosen, cache).version.split(".")[:2]) if by_path else chosen
        return {"python": python, "platform": arguments.platform}, None
    found = identify(chosen, cache) if by_path else find_python(chosen, cache=cache)
    return found.target, found.base


def _identity(arguments: argparse.Namespace, chosen: str) -> list[Any]:
    """Name everything beside the requirements that decides what is made."""
    names = (
        "platform", "prefix", "bytecode", "relocatable", "key", "pre", "pre_of", "resolution", "preset",
        "exclude_newer", "only_binary", "no_binary", "keep", "upgrade_package", "override", "exclude", "source",
        "view", "config", "data", "index_url", "extra_index_url", "find_links", "no_index",
    )  # fmt: skip
    values: list[Any] = [getattr(arguments, name) for name in names]
    return [*values, server_of(arguments), interpreter_identity(chosen) if _is_path(chosen) else chosen]


def _is_path(python: str) -> bool:
    return os.sep in python or bool(os.altsep and os.altsep in python)


def _lock_of(given: list[str]) -> str | None:
    """Give the lock file among the arguments (PEP 751: pylock.toml or pylock.NAME.toml), if it is one."""
    locks = [path for path in given if path.endswith(".toml") and os.path.basename(path).startswith("pylock.")]
    if locks and len(given) > 1:
        raise UsageError("a lock says everything by itself", hint="name either one pylock.toml or requirements")
    return locks[0] if locks else None


def _tell(
    arguments: argparse.Namespace, directory: str, *, changed: bool, key: str, done: SyncResult | None = None
) -> int:
    if arguments.json:
        layers = {"layers": done.layers, "linked": done.linked, "received": done.received} if done else {}
        print(json.dumps({"directory": directory, "changed": changed, "environment": key, **layers}))
    elif changed and done is not None:
        say(
            f"{directory} is ready: {done.layers} layers, {done.linked} of them from the local store, "
            f"{done.received / 1e6:.1f} MB received"
        )
    else:
        say(f"{directory} is up to date")
    return 0
