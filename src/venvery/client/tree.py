"""The folder that files are written to, such that nothing a name says leads out of it.

Only folders are walked through that we made or have looked at: what is there already must be a folder, no link.
Where the system has it (`openat`), paths start at the descriptor of the folder to fill.
"""

from __future__ import annotations

import os
import stat
import sys

from venvery.client.errors import ArchiveError, ClientError, LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

    Listing = Dict[bytes, List[Tuple[bytes, int]]]
    """Folder → (name, size) of each file in it. Folders without files are there too, with an empty list."""

__all__ = ["FILE_FLAGS", "Tree", "check_path", "open_tree", "sentence_for"]

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
_NO_NAMES = (b"", b".", b"..")

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
        self._known = {b""}
        """Folders that are there, and are no links."""

    def folder(self, path: bytes) -> None:
        """Make a folder and those above it, where they are not there yet."""
        if path in self._known:
            return
        check_path(path)
        parent = path.rpartition(b"/")[0]
        if parent not in self._known:
            self.folder(parent)
        try:
            self._mkdir(path)
        except FileExistsError:
            mode = self._lstat(path).st_mode
            if stat.S_ISLNK(mode):
                raise ArchiveError(f"the archive would write through the link {_shown(path)}") from None
            if not stat.S_ISDIR(mode):
                raise ArchiveError(f"the archive would write through {_shown(path)}, which is no folder") from None
        self._known.add(path)

    def create(self, path: bytes, mode: int) -> int:
        """Make a new file and open it for writing. Raises `FileExistsError`."""
        parent, _, name = path.rpartition(b"/")
        if name in _NO_NAMES or b"\0" in name:
            raise ArchiveError(f"the archive has a member outside of its folder ({_shown(path)})")
        if parent not in self._known:
            self.folder(parent)
        return self._create(path, mode)

    def link_from(self, source: Tree, path: bytes, to: bytes) -> None:
        """Make `to`, whose folder is there, another name of the file `path` in `source`. Raises `OSError`."""
        raise NotImplementedError

    def open(self, path: bytes) -> int:
        """Open a file for reading, not following a link."""
        raise NotImplementedError

    def stat(self, path: bytes) -> os.stat_result:
        """Say what a file is, not following a link. Raises `OSError`."""
        return self._lstat(path)

    def unlink(self, path: bytes) -> None:
        """Remove a file."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open."""

    def path(self, path: bytes) -> str:
        """Give the full path of something below."""
        return os.path.join(self.root, *path.decode("utf-8", "surrogateescape").split("/"))

    def _mkdir(self, path: bytes) -> None:
        raise NotImplementedError

    def _create(self, path: bytes, mode: int) -> int:
        raise NotImplementedError

    def _lstat(self, path: bytes) -> os.stat_result:
        raise NotImplementedError


class FdTree(Tree):
    """A tree reached through the descriptor of its root."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.descriptor = os.open(root, FOLDER_FLAGS)

    def link_from(self, source: Tree, path: bytes, to: bytes) -> None:
        assert isinstance(source, FdTree)
        os.link(path, to, src_dir_fd=source.descriptor, dst_dir_fd=self.descriptor, follow_symlinks=False)

    def open(self, path: bytes) -> int:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)

    def unlink(self, path: bytes) -> None:
        os.unlink(path, dir_fd=self.descriptor)

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _mkdir(self, path: bytes) -> None:
        os.mkdir(path, 0o755, dir_fd=self.descriptor)

    def _create(self, path: bytes, mode: int) -> int:
        return os.open(path, FILE_FLAGS, mode, dir_fd=self.descriptor)

    def _lstat(self, path: bytes) -> os.stat_result:
        return os.stat(path, dir_fd=self.descriptor, follow_symlinks=False)


class PathTree(Tree):
    """A tree reached by full paths."""

    def create(self, path: bytes, mode: int) -> int:
        check_path(path)
        return super().create(path, mode)

    def link_from(self, source: Tree, path: bytes, to: bytes) -> None:
        os.link(source.path(path), self.path(to))

    def open(self, path: bytes) -> int:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        return os.open(self.path(path), flags)

    def unlink(self, path: bytes) -> None:
        os.unlink(self.path(path))

    def _mkdir(self, path: bytes) -> None:
        os.mkdir(self.path(path), 0o755)

    def _create(self, path: bytes, mode: int) -> int:
        return os.open(self.path(path), FILE_FLAGS, mode)

    def _lstat(self, path: bytes) -> os.stat_result:
        return os.lstat(self.path(path))


def open_tree(root: str) -> Tree:
    """Open a folder in the way that suits this system."""
    return FdTree(root) if HAS_FOLDER_DESCRIPTORS else PathTree(root)
