"""The environment's folder: staged beside it, then put in its place in one step.

Beside a folder `NAME` there may be, each hidden and gone when all went well:

    .venvery-NAME.lock          held by the run that may change the folder
    .venvery-NAME.new-HEX       what is being staged, or what was just replaced
    .venvery-NAME.swap          which folder was moved out of the way, where a system cannot exchange two

Whoever holds the lock may remove the others: nobody else can be using them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys

from venvery.client.errors import ClientError, LocalError, UsageError
from venvery.client.locks import FolderLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional

__all__ = ["Place", "exchange"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


class Place:
    """Where an environment is to be. Raises `UsageError` for a place that cannot be used."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.abspath(directory)
        """As the person names it; scripts and settings carry this path."""
        if any(ord(char) < 32 for char in self.path):
            raise UsageError("the path of the environment has a control character in it")
        self._check_links()
        self.real = os.path.realpath(self.path)
        self.parent, self.name = os.path.split(self.real)
        if not self.name:
            raise UsageError(f"{self.path} cannot be an environment")
        self._check_contents()

    def _check_links(self) -> None:
        try:
            os.stat(self.path)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise UsageError(f"{self.path} cannot be made: what should be a folder above it is a file") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UsageError(f"{self.path} is a link that leads back to itself") from None
            raise UsageError(f"{self.path} cannot be used: {error.strerror}") from None

    def _check_contents(self) -> None:
        try:
            found = os.lstat(self.real)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{self.path} cannot be used: {error.strerror}") from None
        if not stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{self.path} is a file, not a folder", hint="name a folder that is not there yet")
        try:
            contents = os.listdir(self.real)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from None
        if contents and "pyvenv.cfg" not in contents:
            raise UsageError(
                f"{self.path} is not empty and is no virtualenv (it has no pyvenv.cfg); it is left alone",
                hint="name another folder, or empty this one first",
            )
        if os.path.ismount(self.real):
            raise UsageError(
                f"{self.path} is the root of a mounted file system, which cannot be replaced in one step",
                hint="name a folder inside it",
            )

    def lock(self, on_wait: Optional[Callable[[], None]] = None) -> FolderLock:
        """Give the lock of this place, having made the folder above it. Raises `LocalError`."""
        try:
            os.makedirs(self.parent, exist_ok=True)
            if not os.access(self.parent, os.W_OK):
                raise PermissionError(errno.EACCES, "Permission denied")
        except OSError as error:
            raise LocalError(f"{self.parent} cannot be written to: {error.strerror}") from None
        return FolderLock(self._beside("lock"), on_wait)

    def repair(self) -> None:
        """Undo what a run that died left half done. Needs the lock."""
        note = self._beside("swap")
        try:
            with open(note, encoding="utf-8") as file:
                moved = file.read().strip()
        except OSError:
            moved = ""
        if moved and _LEFTOVER.match(moved) and not os.path.lexists(self.real):
            path = os.path.join(self.parent, f".venvery-{self.name}.{moved}")
            if os.path.isdir(path):
                os.rename(path, self.real)
        _discard_file(note)
        for leftover in self.leftovers():
            remove_tree(leftover)

    def leftovers(self) -> List[str]:
        """List the folders that earlier runs staged here or moved away."""
        start = f".venvery-{self.name}."
        return [
            os.path.join(self.parent, name)
            for name in os.listdir(self.parent)
            if name.startswith(start) and _LEFTOVER.match(name[len(start) :])
        ]

    def stage(self) -> str:
        """Make an empty folder to fill, on the same file system. Needs the lock."""
        path = self._beside(f"new-{os.urandom(8).hex()}")
        os.mkdir(path, 0o755)
        return path

    def switch(self, staged: str, exchange_folders: Optional[Callable[[str, str], bool]] = None) -> Optional[str]:
        """Put the staged folder in place; give what was there before, to be removed. Needs the lock."""
        if not os.path.lexists(self.real):
            os.rename(staged, self.real)
            return None
        if (exchange_folders or exchange)(staged, self.real):
            return staged
        moved = f"new-{os.urandom(8).hex()}"
        old = self._beside(moved)
        with open(self._beside("swap"), "w", encoding="utf-8") as note:
            note.write(moved)
            note.flush()
            os.fsync(note.fileno())
        os.rename(self.real, old)
        try:
            os.rename(staged, self.real)
        except OSError:
            os.rename(old, self.real)
            raise
        _discard_file(self._beside("swap"))
        return old

    def _beside(self, what: str) -> str:
        return os.path.join(self.parent, f".venvery-{self.name}.{what}")


_LEFTOVER = re.compile(r"new-[0-9a-f]{16}\Z")


_PLATFORM: str = sys.platform


def exchange(one: str, other: str) -> bool:
    """Exchange two folders atomically. False where the system cannot; raises `OSError` where it failed."""
    if _PLATFORM.startswith("linux"):
        return _call("renameat2", _AT_FDCWD, one, other, _RENAME_EXCHANGE)
    if _PLATFORM == "darwin":
        return _call("renamex_np", None, one, other, _RENAME_SWAP)
    return False


def _call(function: str, folder: Optional[int], one: str, other: str, flags: int) -> bool:
    import ctypes

    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), function)
    except (OSError, AttributeError):
        return False
    first, second = os.fsencode(one), os.fsencode(other)
    if folder is None:
        result = call(ctypes.c_char_p(first), ctypes.c_char_p(second), ctypes.c_uint(flags))
    else:
        result = call(folder, ctypes.c_char_p(first), folder, ctypes.c_char_p(second), ctypes.c_uint(flags))
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), other)


def remove_tree(path: str) -> None:
    """Remove a folder of ours, as far as it goes; what resists is left for the next run."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        for folder, _, _ in os.walk(path):
            try:
                os.chmod(folder, 0o700)
            except OSError:
                pass
        shutil.rmtree(path, ignore_errors=True)


def _discard_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ClientError(f"{path} cannot be removed: {error.strerror}") from None
