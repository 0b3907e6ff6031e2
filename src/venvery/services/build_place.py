"""Where builds happen: a folder of this process in the data folder, with the build environments it has made.

A folder whose process is dead is removed by the next one that starts; the kernel drops a dead owner's lock.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from venvery.storage.blobs import storage_errors

if sys.platform != "win32":
    import fcntl

__all__ = ["BuildPlace"]

_MOST_ENVIRONMENTS = 16
"""Build environments that are kept while nobody uses them."""


class BuildPlace:
    """The folder. Safe to use from several threads."""

    def __init__(self, builds: Path) -> None:
        """Make a folder within `builds`. Raises `StorageFailed`."""
        with storage_errors("make"):
            builds.mkdir(parents=True, exist_ok=True)
            _clear(builds)
            self._folder = builds / f"{os.getpid()}-{secrets.token_hex(4)}"
            self._folder.mkdir(mode=0o700)
            self._lock_file = (self._folder / "lock").open("wb")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._users: OrderedDict[str, int] = OrderedDict()
        self._making: dict[str, Lock] = {}
        self._lock = Lock()

    @contextlib.contextmanager
    def environment(self, key: str, make: Callable[[Path], None]) -> Iterator[Path]:
        """Give the folder of a build environment, made by `make` when it is not there; it stays meanwhile."""
        folder = self._folder / key.removeprefix("sha256:")
        with self._lock:
            self._users[key] = self._users.get(key, 0) + 1
            self._users.move_to_end(key)
            making = self._making.setdefault(key, Lock())
        try:
            with making:
                if not folder.exists():
                    make(folder)
                    _open_up(folder)
            yield folder
        finally:
            with self._lock:
                self._users[key] -= 1
                self._forget_some()

    def _forget_some(self) -> None:
        idle = [key for key, users in self._users.items() if not users]
        for key in idle[: max(0, len(self._users) - _MOST_ENVIRONMENTS)]:
            del self._users[key], self._making[key]
            shutil.rmtree(self._folder / key.removeprefix("sha256:"), ignore_errors=True)

    @contextlib.contextmanager
    def output(self) -> Iterator[BinaryIO]:
        """Give a file for what a build hands out."""
        path = self._folder / f"output-{secrets.token_hex(8)}"
        with storage_errors("write"):
            file = path.open("w+b")
        try:
            with file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock_file.close()


def _clear(builds: Path) -> None:
    """Remove what dead processes left."""
    for folder in builds.iterdir():
        with contextlib.suppress(OSError), (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Let the user who builds read it, whatever this process's umask is; the folder above is closed to others."""
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        wanted = mode | 0o444 | (0o111 if mode & 0o100 else 0)
        if not path.is_symlink() and mode != wanted:
            path.chmod(stat.S_IMODE(wanted))
