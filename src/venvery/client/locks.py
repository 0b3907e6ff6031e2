"""Locks between processes, on open files; the system drops them when a process dies."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

__all__ = ["FolderLock", "try_lock"]

if sys.platform == "win32":
    import msvcrt
    import time

    def _lock(descriptor: int, exclusive: bool, wait: bool) -> bool:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.05)
else:
    import fcntl

    def _lock(descriptor: int, exclusive: bool, wait: bool) -> bool:
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks: it is used as if alone, as everything else there is
        return True


def try_lock(descriptor: int, exclusive: bool) -> bool:
    """Lock an open file if nobody is in the way. A shared lock waits, as those who exclude are quick."""
    return _lock(descriptor, exclusive, wait=not exclusive and sys.platform != "win32")


class FolderLock:
    """The right to change one environment folder: a lock file beside it, gone when nobody needs it."""

    def __init__(self, path: str, on_wait: Optional[Callable[[], None]] = None) -> None:
        self.path = path
        self._on_wait = on_wait
        self._descriptor = -1

    def __enter__(self) -> FolderLock:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        waited = False
        while True:
            descriptor = os.open(self.path, flags, 0o666)
            if not _lock(descriptor, True, wait=False):
                if not waited and self._on_wait is not None:
                    self._on_wait()
                waited = True
                _lock(descriptor, True, wait=True)
            if self._is_current(descriptor):
                self._descriptor = descriptor
                return self
            os.close(descriptor)  # its last holder has removed the file meanwhile

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def __exit__(self, *_: object) -> None:
        if sys.platform == "win32":
            os.close(self._descriptor)  # an open file cannot be removed there
        try:
            os.unlink(self.path)
        except OSError:
            pass  # someone waits for it there, or the folder is read-only now
        if sys.platform != "win32":
            os.close(self._descriptor)
        self._descriptor = -1
