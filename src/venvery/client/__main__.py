"""The command of `venvery.pyz`: `python venvery.pyz sync -r requirements.txt .venv --server URL`."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Dict, List, Optional, Sequence

    from venvery.client.inputs import Inputs

__all__ = ["main"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command; give its exit code (0 done, 1 the answer is no, 2 bad input, 3 something failed)."""
    gc.disable()  # nothing here lives long enough for it to pay
    from venvery.client.errors import ClientError

    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    try:
        return _sync(arguments) if arguments.command == "sync" else _target(arguments)
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; nothing was changed", file=sys.stderr)
        return 130


def _parse(argv: List[str]) -> argparse.Namespace:
    import argparse

    parser = argparse.ArgumentParser(
        prog="venvery.pyz", description="Ready virtualenvs from a venvery server.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sync = commands.add_parser("sync", help="make a folder exactly the environment that is asked for")
    sync.add_argument("items", nargs="+", metavar="[REQ ...] DIR", help="requirements, then the folder")
    sync.add_argument("-r", "--requirement", action="append", default=[], metavar="FILE")
    sync.add_argument("-c", "--constraint", action="append", default=[], metavar="FILE")
    sync.add_argument("--server", default=os.environ.get("VENVERY_SERVER"), metavar="URL")
    sync.add_argument("--python", metavar="PATH|X.Y", help="the interpreter (default: the one that runs this)")
    sync.add_argument("--platform", metavar="P", help="make it for another platform")
    sync.add_argument("--prefix", metavar="DIR", help="where it will live, if not where it is made")
    sync.add_argument("--no-bytecode", dest="bytecode", action="store_false", help="leave out .pyc files")
    sync.add_argument("--relocatable", action="store_true", help="make one that may be moved")
    sync.add_argument("--no-store", dest="store", action="store_false", help="do without the local layer store")
    sync.add_argument(
        "--link-mode",
        choices=["hardlink", "reflink", "copy"],
        default="hardlink",
        help="how files leave the store",
    )
    sync.add_argument("--upgrade", action="store_true", help="ask the server although nothing changed here")
    sync.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    target = commands.add_parser("target", help="print what an interpreter is, as the server is told")
    target.add_argument("--python", metavar="PATH|X.Y")
    if argv and argv[0] == "sync":
        # Intermixed: `sync django -r more.txt .venv` is what people type, and plain parsing would refuse it.
        return sync.parse_intermixed_args(argv[1:], argparse.Namespace(command="sync"))
    return parser.parse_args(argv)


def _sync(arguments: argparse.Namespace) -> int:
    from venvery.client.errors import UsageError
    from venvery.client.inputs import digest_of, gather, gather_lock
    from venvery.client.state import interpreter_identity, up_to_date

    *given, directory = arguments.items
    lock = given[0] if len(given) == 1 and given[0].endswith(".toml") else None
    if not (given or arguments.requirement):
        raise UsageError("no requirements are given", hint="name some, or a file with -r")
    inputs = gather_lock(lock) if lock else gather(given, arguments.requirement, arguments.constraint)
    server = (arguments.server or "").rstrip("/")
    chosen = arguments.python or getattr(sys, "_base_executable", None) or sys.executable
    by_path = os.sep in chosen or bool(os.altsep and os.altsep in chosen)
    digest = digest_of(
        inputs,
        [server, arguments.platform, arguments.bytecode, arguments.prefix, arguments.relocatable],
        interpreter_identity(chosen) if by_path else chosen,
    )
    if not arguments.upgrade and up_to_date(directory, digest):
        if not arguments.quiet:
            print(f"{directory} is up to date", file=sys.stderr)
        return 0
    if not server:
        raise UsageError("no server is named", hint="use --server URL or set VENVERY_SERVER")
    return _sync_with_server(arguments, directory, inputs, lock, digest, server, chosen, by_path)


def _sync_with_server(
    arguments: argparse.Namespace,
    directory: str,
    inputs: Inputs,
    lock: Optional[str],
    digest: str,
    server: str,
    chosen: str,
    by_path: bool,
) -> int:
    from venvery.client.inputs import options_of
    from venvery.client.interpreter import find_python, identify
    from venvery.client.progress import Progress, TerminalProgress
    from venvery.client.store import default_folder, open_store
    from venvery.client.sync import SyncRequest, sync
    from venvery.client.transport import HttpTransport

    cache = default_folder()
    python: Optional[str] = None
    target: Dict[str, Any]
    if arguments.platform:
        target = {"python": chosen if not by_path else identify(chosen, cache).version}
        target["platform"] = arguments.platform
    else:
        found = identify(chosen, cache) if by_path else find_python(chosen, cache=cache)
        python, target = found.base, found.target
    body: Dict[str, Any] = {"target": target, "bytecode": arguments.bytecode}
    if lock:
        body["pylock"] = inputs.files[lock]
    else:
        body.update(requirements=inputs.requirements, constraints=inputs.constraints)
        options, ignored = options_of(inputs)
        if ignored:
            print(f"warning: {ignored}", file=sys.stderr)
        if options:
            body["options"] = options
    if python:
        body["python"] = python
    if arguments.relocatable:
        body["relocatable"] = True
    if arguments.prefix:
        body["prefix"] = os.path.abspath(arguments.prefix)
    progress = Progress() if arguments.quiet else TerminalProgress()
    store = open_store(cache, mode=arguments.link_mode) if arguments.store else None
    done = sync(
        directory,
        SyncRequest(body, digest, python, server),
        HttpTransport(server, on_retry=progress.waiting, meanwhile=_load_the_rest),
        store=store,
        progress=progress,
        force=arguments.upgrade,
    )
    if not arguments.quiet:
        print(
            f"{directory}: {done.layers} layers, {done.linked} of them from the local store, "
            f"{done.received / 1e6:.1f} MB received",
            file=sys.stderr,
        )
    return 0


def _load_the_rest() -> None:
    """Load what is needed when the answer is there, while the server prepares it."""
    import venvery.client.conflicts
    import venvery.client.lanes  # noqa: F401


def _target(arguments: argparse.Namespace) -> int:
    import json

    from venvery.client.interpreter import find_python, identify, this_interpreter

    chosen = arguments.python
    if not chosen:
        found = this_interpreter()
    else:
        found = identify(chosen) if os.sep in chosen else find_python(chosen)
    print(json.dumps({**found.target, "marker_environment": found.markers}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
