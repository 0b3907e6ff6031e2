"""A user id of its own for each run that root starts: nobody else's files, processes or limits."""

from __future__ import annotations

import os
import random
from pathlib import Path

from venvery.errors import StorageFailed

__all__ = ["spare_user"]

_WIDE = range(1_879_048_192, 2_147_352_576)
"""Ids that no distribution gives to anybody (systemd, "Users, Groups, UIDs and GIDs", marks them as unused)."""
_NARROW = range(61_184, 65_520)
"""For containers that have 65536 ids only: those that are given to services for as long as they run."""
_TRIES = 100


def spare_user() -> int:
    """Give an id that no account and no process has. Raises `StorageFailed` when none is found."""
    ids = _WIDE if _mapped() > _WIDE.stop else _NARROW
    taken = _running()
    for _ in range(_TRIES):
        uid = random.choice(ids)
        if uid not in taken and not _has_account(uid):
            return uid
    raise StorageFailed("there is no free user id for a build", hint="too many builds run on this machine")


def _mapped() -> int:
    """Count the ids that this user namespace has."""
    lines = Path("/proc/self/uid_map").read_text("ascii").splitlines()
    return max(int(line.split()[0]) + int(line.split()[2]) for line in lines)


def _running() -> set[int]:
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.add(entry.stat().st_uid)
            except OSError:
                continue  # it ended
    return found


def _has_account(uid: int) -> bool:
    import pwd  # not there on Windows, where this module is imported too

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
