"""What a finished sync remembers in `DIR/.venvery/sync.json`, and the quick look at it.

This is all that an unchanged environment costs, so nothing here loads more than `json`.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

__all__ = [
    "STATE",
    "describe_packages",
    "interpreter_identity",
    "lock_of",
    "read_state",
    "up_to_date",
    "write_state",
]

STATE = os.path.join(".venvery", "sync.json")
VERSION = 1


def lock_of(directory: str) -> str:
    """Name the lock file beside `directory`; it is there while a sync runs, or after one that was killed."""
    real = os.path.realpath(directory)
    return os.path.join(os.path.dirname(real), f".venvery-{os.path.basename(real)}.lock")


def up_to_date(directory: str, digest: str, *, locked: bool = False) -> bool:
    """Tell whether `directory` is the environment that a sync of the request `digest` made.

    It is when the last sync finished for the same request, the interpreter is still the same file, the
    environment still leads to it, and no project was added or removed since. Without the lock (`locked`) the
    answer is no while there is a lock file: whoever has it may be about to change the folder, and a run that
    was killed has left something to clear away.
    """
    state = read_state(directory)
    if state is None or state.get("request") != digest:
        return False
    if not locked and os.path.lexists(lock_of(directory)):
        return False
    try:
        packages, python = state["packages"], state["python"]
        interpreter = state["interpreter"]
        return (
            os.path.isfile(os.path.join(directory, "pyvenv.cfg"))
            and state["directory"] == os.path.abspath(directory)
            and (python is None or os.path.isfile(os.path.join(directory, *python.split("/"))))
            and (interpreter is None or interpreter_identity(interpreter["path"]) == interpreter)
            and describe_packages(directory, packages["folder"]) == packages
        )
    except (KeyError, TypeError, AttributeError, OSError, ValueError):
        return False


def read_state(directory: str) -> Optional[Dict[str, Any]]:
    """Read what the last sync wrote; None when there is nothing that can be trusted."""
    try:
        with open(os.path.join(directory, STATE), "rb") as file:
            state = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) and state.get("venvery_sync") == VERSION else None


def write_state(directory: str, state: Dict[str, Any]) -> None:
    """Write the state in one step, so that a reader sees all of it or what was there before."""
    path = os.path.join(directory, STATE)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"venvery_sync": VERSION, **state}, file)
    os.replace(path + ".new", path)


def interpreter_identity(path: str) -> Optional[Dict[str, Any]]:
    """Name an interpreter by its file: real path, time of change, size. None when it is not there."""
    try:
        real = os.path.realpath(path)
        found = os.stat(real)
    except OSError:
        return None
    return {"path": real, "mtime_ns": found.st_mtime_ns, "size": found.st_size}


def describe_packages(directory: str, folder: str) -> Dict[str, Any]:
    """Say what lies in the packages folder, so that an installer's visit is noticed."""
    try:
        names = os.listdir(os.path.join(directory, *folder.split("/")))
    except OSError:
        return {"folder": folder, "names": None}
    # An import may make this folder at any time; it says nothing.
    return {"folder": folder, "names": sorted(name for name in names if name != "__pycache__")}
