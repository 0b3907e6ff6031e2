"""Runs inside the sandbox: unpacks the source, asks the build back end, hands out what came of it.

Standard library and pyproject_hooks only, and Python 3.7 or later: it is the target's interpreter that runs this.
What goes out is not believed by anybody: the code that is built here could write the same.

Frames on the descriptor `$VENVERY_RESULT`: a line of JSON, then as many bytes as its `size` says.
"""

import json
import os
import sys
import tarfile
import zipfile
from typing import Any, Dict, Mapping, Optional, Sequence

RESULT = int(os.environ.get("VENVERY_RESULT", "-1"))
ROOM = "/build"
SOURCE = ROOM + "/src"
OUT = ROOM + "/out"
PYTHON = ROOM + "/env/bin/python"


def tell(kind: str, **fields: Any) -> None:
    """Hand out one frame."""
    write((json.dumps({"kind": kind, "size": 0, **fields}) + "\n").encode())


def tell_file(kind: str, path: str) -> None:
    """Hand out a file."""
    with open(path, "rb") as file:
        tell(kind, name=os.path.basename(path), size=os.fstat(file.fileno()).st_size)
        while True:
            piece = file.read(1 << 20)
            if not piece:
                return
            write(piece)


def write(data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(RESULT, view) :]


def unpack(archive: str) -> str:
    """Unpack the source, and give its top folder. The walls are those of the sandbox, not of this function."""
    os.makedirs(SOURCE)
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(SOURCE)
    else:
        with tarfile.open(archive) as opened:
            if hasattr(tarfile, "data_filter"):
                opened.extractall(SOURCE, filter="tar")
            else:
                opened.extractall(SOURCE)
    tops = [name for name in sorted(os.listdir(SOURCE)) if os.path.isdir(os.path.join(SOURCE, name))]
    for name in tops:
        folder = os.path.join(SOURCE, name)
        if os.path.exists(os.path.join(folder, "pyproject.toml")) or os.path.exists(
            os.path.join(folder, "setup.py")
        ):
            return folder
    raise Failed("it has neither a pyproject.toml nor a setup.py")


class Failed(Exception):
    """The build failed, and this is why."""


def say(text: str) -> None:
    """Write a line of the log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(order: Dict[str, Any]) -> None:
    """Do what is asked."""
    import subprocess

    import pyproject_hooks

    tell("phase", phase="unpack")
    top = unpack(order["archive"])

    def runner(
        cmd: Sequence[str], cwd: Optional[str] = None, extra_environ: Optional[Mapping[str, str]] = None
    ) -> None:
        environment = dict(os.environ)
        environment.pop("VENVERY_RESULT", None)
        environment.update(extra_environ or {})
        code = subprocess.call(cmd, cwd=cwd, env=environment)
        if code:
            raise Failed(f"the build back end failed (exit code {code})")

    backend = pyproject_hooks.BuildBackendHookCaller(
        top, order["backend"], order["backend_path"] or None, runner=runner, python_executable=PYTHON
    )
    settings = order["config_settings"] or None
    os.makedirs(OUT)
    try:
        if not order["satisfied"]:
            tell("phase", phase="requirements")
            say("== what the back end requires to build a wheel")
            further = backend.get_requires_for_build_wheel(settings)
            if further:
                tell("requires", requires=[str(item) for item in further])
                return
        if order["do"] == "metadata" and prepare(backend, settings):
            return
        tell("phase", phase="build")
        say("== build the wheel")
        name = backend.build_wheel(OUT, settings)
        tell_file("wheel", os.path.join(OUT, os.path.basename(name)))
    except pyproject_hooks.BackendUnavailable as error:
        say(error.traceback or "")
        raise Failed(f"its build back end {order['backend']} cannot be imported") from None
    except pyproject_hooks.BackendInvalid as error:
        raise Failed(f"its build back end is not usable: {error}") from None
    except pyproject_hooks.HookMissing as error:
        raise Failed(f"its build back end cannot {error.hook_name}") from None
    except pyproject_hooks.UnsupportedOperation as error:
        raise Failed(f"its build back end refuses: {error}") from None


def prepare(backend: Any, settings: Any) -> bool:
    """Ask for the metadata alone; a back end that cannot tell it builds the whole wheel."""
    import pyproject_hooks

    tell("phase", phase="metadata")
    say("== metadata")
    folder = OUT + "/metadata"
    os.makedirs(folder)
    try:
        name = backend.prepare_metadata_for_build_wheel(folder, settings, _allow_fallback=False)
    except pyproject_hooks.HookMissing:
        return False
    tell_file("metadata", os.path.join(folder, os.path.basename(name), "METADATA"))
    return True


if __name__ == "__main__":
    sys.path.insert(0, ROOM + "/tools")
    try:
        run(json.loads(sys.argv[1]))
    except Failed as failed:
        say(f"error: {failed}")
        tell("failed", why=str(failed))
        sys.exit(1)
    except Exception as error:
        import traceback

        traceback.print_exc(file=sys.stdout)
        tell("failed", why=f"{type(error).__name__}: {error}")
        sys.exit(1)
