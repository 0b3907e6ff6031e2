"""The folder that files are written to, such that nothing a name says leads out of it.

Where the system has it (`openat`), every step goes through the descriptor of a folder that we opened
without following links; elsewhere by path, into folders that we made ourselves.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Dict, List, Tuple

from venvery.client.errors import ArchiveError, ClientError, LocalError

__all__ = ["FILE_FLAGS", "Listing", "Tree", "check_path", "open_tree", "sentence_for"]

Listing = Dict[bytes, List[Tuple[bytes, int]]]
"""Folder → (name, size) of each file in it. Folders without files are there too, with an empty list."""

HAS_FOLDER_DESCRIPTORS = os.open in os.supports_dir_fd and os.mkdir in os.supports_dir_fd

FILE_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
FOLDER_FLAGS = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
OPEN_FOLDERS = 64

_WINDOWS = sys.platform == "win32"
_RESERVED = {b"con", b"prn", b"aux", b"nul"} | {b"%s%d" % (n, i) for n in (b"com", b"lpt") for i in range(10)}


def check_path(path: bytes, windows: bool = _WINDOWS) -> None:
    """Refuse a path that is not plainly below the folder. Raises `ArchiveError`."""
    for part in path.split(b"/"):
        if part in (b"", b".", b"..") or b"\0" in part:
            raise ArchiveError(f"the archive has a member outside of its folder ({_shown(path)})")
        if windows and (
            any(byte in b'\\:*?"<>|' or byte < 32 for byte in part)
            or part[-1:] in (b".", b" ")
            or part.split(b".")[0].lower() in _RESERVED
        ):
            raise ArchiveError(f"the archive has a name that Windows cannot have ({_shown(path)})")


def sentence_for(error: OSError, what: str) -> ClientError:
    """Say an operating system's error to a person."""
    return LocalError(f"{what}: {error.strerror or error}")


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "replace"))[:120]


class Tree:
    """A folder to fill. Paths are bytes with slashes, relative to `root`."""

    def __init__(self, root: str) -> None:
        self.root = root

    def folder(self, path: bytes) -> None:
        """Make a folder and those above it, where they are not there yet."""
        raise NotImplementedError

    def create(self, path: bytes, mode: int) -> int:
        """Make a new file and open it for writing. Raises `FileExistsError`."""
        raise NotImplementedError

    def unlink(self, path: bytes) -> None:
        """Remove a file."""
        raise NotImplementedError

    def link_from(self, source: Tree, folder: bytes, name: bytes, to: bytes) -> None:
        """Make `to` another name of the file `folder/name` in `source`. Raises `OSError`."""
        raise NotImplementedError

    def open(self, path: bytes) -> int:
        """Open a file for reading, not following a link."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of open folders."""

    def path(self, path: bytes) -> str:
        """Give the full path of something below."""
        return os.path.join(self.root, *path.decode("utf-8", "surrogateescape").split("/"))


class FdTree(Tree):
    """A tree reached through descriptors of folders, some of which stay open."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.descriptor = os.open(root, FOLDER_FLAGS)
        self._open: Dict[bytes, int] = {b"": self.descriptor}
        self._last = b""
        self._last_descriptor = self.descriptor

    def create(self, path: bytes, mode: int) -> int:
        parent, _, name = path.rpartition(b"/")
        if name in (b"", b".", b"..") or b"\0" in name:
            raise ArchiveError(f"the archive has a member outside of its folder ({_shown(path)})")
        if parent != self._last:
            self.enter(parent)
        return os.open(name, FILE_FLAGS, mode, dir_fd=self._last_descriptor)

    def enter(self, path: bytes) -> int:
        """Make `path` the folder at hand and give its descriptor."""
        if path != self._last:
            self._last_descriptor = self._descriptor(path)
            self._last = path
        return self._last_descriptor

    def _descriptor(self, path: bytes, make: bool = True) -> int:
        found = self._open.get(path)
        if found is not None:
            return found
        check_path(path)
        parent, _, name = path.rpartition(b"/")
        above = self._descriptor(parent, make)
        try:
            descriptor = self._open_folder(above, name, make)
        except NotADirectoryError:
            raise ArchiveError(f"the archive would write through {_shown(path)}, which is no folder") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ArchiveError(f"the archive would write through the link {_shown(path)}") from None
            raise
        if len(self._open) > OPEN_FOLDERS:
            self._forget_some(keep=above)
        self._open[path] = descriptor
        return descriptor

    @staticmethod
    def _open_folder(above: int, name: bytes, make: bool) -> int:
        if make:
            try:
                os.mkdir(name, 0o755, dir_fd=above)
            except FileExistsError:
                pass
        return os.open(name, FOLDER_FLAGS, dir_fd=above)

    def _forget_some(self, keep: int) -> None:
        for path in list(self._open)[: OPEN_FOLDERS // 2]:
            descriptor = self._open[path]
            if descriptor not in (keep, self.descriptor):
                del self._open[path]
                if path == self._last:
                    self._last, self._last_descriptor = b"", self.descriptor
                os.close(descriptor)

    def folder(self, path: bytes) -> None:
        self._descriptor(path)

    def unlink(self, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        os.unlink(name, dir_fd=self._descriptor(parent, make=False))

    def open(self, path: bytes) -> int:
        parent, _, name = path.rpartition(b"/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self._descriptor(parent, make=False))

    def link_from(self, source: Tree, folder: bytes, name: bytes, to: bytes) -> None:
        assert isinstance(source, FdTree)
        parent, _, new = to.rpartition(b"/")
        above = self._last_descriptor if parent == self._last else self.enter(parent)
        below = source._last_descriptor if folder == source._last else source.enter_existing(folder)
        os.link(name, new, src_dir_fd=below, dst_dir_fd=above, follow_symlinks=False)

    def enter_existing(self, path: bytes) -> int:
        """As `enter`, for a folder that must be there. Raises `FileNotFoundError`."""
        self._last_descriptor = self._descriptor(path, make=False)
        self._last = path
        return self._last_descriptor

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open = {}


class PathTree(Tree):
    """A tree reached by paths. Only folders that a tree made, or that were there, are walked through."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._made = {b""}

    def create(self, path: bytes, mode: int) -> int:
        check_path(path)
        self.folder(path.rpartition(b"/")[0])
        return os.open(self.path(path), FILE_FLAGS, mode)

    def folder(self, path: bytes) -> None:
        if path in self._made:
            return
        check_path(path)
        self.folder(path.rpartition(b"/")[0])
        full = self.path(path)
        try:
            os.mkdir(full, 0o755)
        except FileExistsError:
            if os.path.islink(full):
                raise ArchiveError(f"the archive would write through the link {_shown(path)}") from None
            if not os.path.isdir(full):
                raise ArchiveError(f"the archive would write through {_shown(path)}, which is no folder") from None
        self._made.add(path)

    def unlink(self, path: bytes) -> None:
        os.unlink(self.path(path))

    def open(self, path: bytes) -> int:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.open(self.path(path), flags)

    def link_from(self, source: Tree, folder: bytes, name: bytes, to: bytes) -> None:
        self.folder(to.rpartition(b"/")[0])
        os.link(source.path(folder + b"/" + name if folder else name), self.path(to))


def open_tree(root: str) -> Tree:
    """Open a folder in the way that suits this system."""
    return FdTree(root) if HAS_FOLDER_DESCRIPTORS else PathTree(root)
