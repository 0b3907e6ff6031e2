"""The local layer store: layers seen before, shared by hard links between environments and projects.

    layers/<hex digest>/index.json    what is in it: folder → names (joined by slashes) and sizes of its files; its
                                      time stamp says when it was sealed
    layers/<hex digest>/files/N       the files, numbered as the index lists them: no folders to make or to enter
    tmp/…                             what is being added or removed

A layer is filled under `tmp` and renamed into place, so it is there whole or not at all. Its use is held by
a shared lock on its folder, its removal by an exclusive one, and the folder's time stamp is the last use.

Files are shared with the environments that use them (the same inode, unless another link mode is chosen), so an
edit in place inside an environment would reach every other one. It cannot be prevented without taking away write
permission, which would change the modes that wheels state; so it is noticed: a file changed after its layer was
sealed makes the layer damaged, and a damaged layer is dropped and fetched anew. Replacing a file (as pip and
editors do) is no edit in place.

The store is never needed: where it cannot be read or written, everything goes on without it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys

from venvery.client.errors import ClientError, UsageError
from venvery.client.locks import try_lock
from venvery.client.tree import HAS_FOLDER_DESCRIPTORS, Tree, open_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

    from venvery.client.archive import Layer
    from venvery.client.tree import Listing

    Contents = Dict[bytes, List[Tuple[bytes, int]]]
    """Folder → (name, size) of each file in it, in the order in which the files are numbered."""

__all__ = ["DEFAULT_LIMIT", "LINK_MODES", "Damaged", "LinkMode", "Store", "default_folder", "open_store"]

DEFAULT_LIMIT = 10 << 30
"""Bytes on disk that the store may hold."""
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}
_ABANDONED = 60.0
"""Seconds after which an unlocked folder under `tmp` belongs to a run that died."""

_NO_NAMES = frozenset((b"", b".", b".."))

LINK_MODES = ("hardlink", "reflink", "copy")
"""How files get from the store into an environment and back. `hardlink` and `reflink` fall back to the next."""
LinkMode = str
"""One of `LINK_MODES`."""
_FICLONE = 0x40049409
"""Linux: make a file share the blocks of another, each with its own content from then on (ioctl_ficlone(2))."""


class Damaged(ClientError):
    """A layer of the store is not as it was sealed, or no longer there."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the layer {digest} in the local store is damaged")
        self.digest = digest


class Entry:
    """One layer as the eviction sees it."""

    __slots__ = ("path", "size", "used")

    def __init__(self, path: str, used: float, size: int) -> None:
        self.path = path
        self.used = used
        self.size = size


def default_folder(environ: Optional[Dict[str, str]] = None) -> str:
    """Give the folder of the store: `VENVERY_CACHE_DIR`, else the platform's cache folder."""
    env: Any = os.environ if environ is None else environ
    if env.get("VENVERY_CACHE_DIR"):
        return os.path.abspath(str(env["VENVERY_CACHE_DIR"]))
    if sys.platform == "win32":
        base = env.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")
        return os.path.join(base, "venvery", "cache")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches/venvery")
    return os.path.join(env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "venvery")


def open_store(folder: str, limit: int = DEFAULT_LIMIT, mode: LinkMode = "hardlink") -> Optional[Store]:
    """Open the store in a folder, making it if need be. None where there is none and none can be made."""
    if mode not in LINK_MODES:
        raise UsageError(f"{mode!r} is no link mode; it is {', '.join(LINK_MODES[:-1])} or {LINK_MODES[-1]}")
    root = os.path.join(folder, "store-2")
    try:
        os.makedirs(os.path.join(root, "layers"), exist_ok=True)
        os.makedirs(os.path.join(root, "tmp"), exist_ok=True)
    except OSError:
        if not os.path.isdir(os.path.join(root, "layers")):
            return None
        return Store(root, limit, mode, writable=False)
    _tag_as_cache(folder)
    return Store(root, limit, mode, writable=os.access(os.path.join(root, "tmp"), os.W_OK))


def _tag_as_cache(folder: str) -> None:
    """Tell backup programs that this need not be kept (the Cache Directory Tagging Specification)."""
    path = os.path.join(folder, "CACHEDIR.TAG")
    if not os.path.exists(path):
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write("Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of venvery.\n")
        except OSError:
            pass


class Store:
    """A layer store. Its methods may be called by several threads and processes at once."""

    def __init__(self, root: str, limit: int, mode: LinkMode, writable: bool) -> None:
        self.root = root
        self.limit = limit
        self.writable = writable
        self._links = mode == "hardlink"
        self._clones = mode != "copy" and sys.platform.startswith("linux")
        self._stores_links = True
        self._distrusted: Set[str] = set()

    def digests(self) -> List[str]:
        """List the layers that are there."""
        try:
            names = os.listdir(os.path.join(self.root, "layers"))
        except OSError:
            return []
        return sorted(d for d in ("sha256:" + n for n in names if len(n) == 64) if d not in self._distrusted)

    def has(self, digest: str) -> bool:
        """Tell whether a layer is there."""
        return digest not in self._distrusted and os.path.exists(os.path.join(self._at(digest), "index.json"))

    def add(self, layer: Layer, tree: Tree, listing: Listing, aside: List[Tuple[bytes, bytes]]) -> bool:
        """Keep a layer that was just unpacked and verified in `tree`; tell whether the store has it now."""
        if not self.writable or layer.digest in self._distrusted:
            return False
        if self.has(layer.digest):
            return True
        workplace = os.path.join(self.root, "tmp", f"{layer.digest[7:]}-{os.urandom(6).hex()}")
        lock = -1
        try:
            os.makedirs(os.path.join(workplace, "files"))
            lock = _hold(workplace)
            contents = _arrange(tree, listing, aside)
            self._fill(os.path.join(workplace, "files"), tree, contents, dict(aside))
            _write_index(workplace, layer, contents)
            self._enter(workplace, layer.digest)
            return True
        except (OSError, ClientError):
            # A full or read-only store; the environment does not need it.
            self.writable = False
            _discard(workplace)
            return False
        finally:
            if lock >= 0:
                os.close(lock)

    def _fill(self, root: str, tree: Tree, contents: Contents, aside: Dict[bytes, bytes]) -> None:
        kept = open_tree(root)
        number = 0
        try:
            for folder, files in contents.items():
                prefix = folder + b"/" if folder else b""
                for name, _ in files:
                    path = prefix + name
                    self._share(tree, aside.get(path, path), kept, b"%d" % number, storing=True)
                    number += 1
        finally:
            kept.close()

    def _enter(self, workplace: str, digest: str) -> None:
        try:
            os.rename(workplace, self._at(digest))
        except OSError:
            if not self.has(digest):
                raise
            _discard(workplace)  # another process was first

    def place(
        self,
        layer: Layer,
        tree: Tree,
        listing: Listing,
        conflicts: List[Tuple[bytes, bytes]],
        aside: bytes,
        part: Tuple[int, int] = (0, 1),
    ) -> None:
        """Put a layer into `tree`; files whose place is taken go to names that begin with `aside`.

        `part` (which, of how many): only that share of its folders. Raises `Damaged`.
        """
        at = self._at(layer.digest)
        lock = -1
        source: Optional[Tree] = None
        try:
            lock = _hold(at, exclusive=False)
            sealed, contents = _read_index(at, layer)
            source = open_tree(os.path.join(at, "files"))
            _mark_used(at)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if lock >= 0:
                os.close(lock)
            raise Damaged(layer.digest) from error
        try:
            for first, folder, files in _share_of(contents, *part):
                tree.folder(folder)
                placed = listing.setdefault(folder, [])
                prefix = folder + b"/" if folder else b""
                for number, (name, size) in enumerate(files, first):
                    kept = b"%d" % number
                    if not _as_sealed(source, kept, size, sealed):
                        raise Damaged(layer.digest)
                    try:
                        self._share(source, kept, tree, prefix + name)
                        placed.append((name, size))
                    except FileExistsError:
                        other = b"%s%d" % (aside, len(conflicts))
                        tree.folder(other.rpartition(b"/")[0])
                        self._share(source, kept, tree, other)
                        conflicts.append((prefix + name, other))
        finally:
            source.close()
            os.close(lock)

    def _share(self, source: Tree, path: bytes, tree: Tree, to: bytes, storing: bool = False) -> None:
        """Link one file, or copy it where links are not possible or not wanted."""
        if self._links and (self._stores_links or not storing):
            try:
                tree.link_from(source, path, to)
                return
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if error.errno != errno.EMLINK:
                    self._links = False
        self._clones = _copy(source, path, tree, to, self._clones)

    def distrust(self, digest: str) -> None:
        """Drop a layer that is damaged; where it cannot be removed, do not use it again."""
        if not (self.writable and self._remove(self._at(digest))):
            self._distrusted.add(digest)

    def tidy(self, now: Optional[float] = None) -> int:
        """Keep within the limit, the longest unused going first, and clear what dead runs left.

        Gives the bytes on disk that the store holds afterwards.
        """
        if not self.writable:
            return 0
        import time

        self._clear_abandoned(time.time() if now is None else now)
        entries = sorted(self._entries(), key=lambda entry: entry.used)
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= self.limit:
                break
            if self._remove(entry.path):
                total -= entry.size
        return total

    def _entries(self) -> List[Entry]:
        entries = []
        for item in os.scandir(os.path.join(self.root, "layers")):
            try:
                with open(os.path.join(item.path, "index.json"), "rb") as file:
                    size = json.loads(file.readline())["bytes"]
                entries.append(Entry(item.path, item.stat().st_mtime, int(size)))
            except (OSError, ValueError, KeyError, TypeError):
                entries.append(Entry(item.path, 0.0, 0))
        return entries

    def _remove(self, path: str) -> bool:
        """Remove a layer unless someone is using it."""
        lock = -1
        try:
            lock = _hold(path, wait=False)
            trash = os.path.join(self.root, "tmp", f"{os.path.basename(path)}-{os.urandom(6).hex()}")
            os.rename(path, trash)
        except OSError:
            return False
        finally:
            if lock >= 0:
                os.close(lock)
        _discard(trash)
        return True

    def _clear_abandoned(self, now: float) -> None:
        for item in os.scandir(os.path.join(self.root, "tmp")):
            lock = -1
            try:
                patience = _ABANDONED if HAS_FOLDER_DESCRIPTORS else 86400.0
                if now - item.stat().st_mtime < patience:
                    continue
                lock = _hold(item.path, wait=False)
                _discard(item.path)
            except OSError:
                continue  # in use, or gone
            finally:
                if lock >= 0:
                    os.close(lock)

    def _at(self, digest: str) -> str:
        return os.path.join(self.root, "layers", digest[7:])


def _hold(folder: str, exclusive: bool = True, wait: bool = True) -> int:
    """Lock a folder; where folders cannot be locked, hold its index open, which keeps it from removal."""
    if not HAS_FOLDER_DESCRIPTORS:
        if exclusive:
            return -1
        return os.open(os.path.join(folder, "index.json"), os.O_RDONLY)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    if not try_lock(descriptor, exclusive) and not wait:
        os.close(descriptor)
        raise BlockingIOError(errno.EWOULDBLOCK, "in use", folder)
    return descriptor


def _arrange(tree: Tree, listing: Listing, aside: List[Tuple[bytes, bytes]]) -> Contents:
    """List what a layer has, each file where it belongs and not where it was set aside."""
    contents = {folder: list(files) for folder, files in listing.items()}
    for path, lies in aside:
        parent, _, name = path.rpartition(b"/")
        contents.setdefault(parent, []).append((name, os.lstat(tree.path(lies)).st_size))
    return contents


def _write_index(folder: str, layer: Layer, contents: Contents) -> None:
    used = sum(-(-size // 4096) * 4096 for files in contents.values() for _, size in files)
    header = {"venvery_layer": 1, "digest": layer.digest, "size": layer.size, "bytes": used}
    written = {
        _text(path): [_text(b"/".join([name for name, _ in files])), [size for _, size in files]]
        for path, files in contents.items()
    }
    with open(os.path.join(folder, "index.json"), "x", encoding="utf-8") as file:
        file.write(json.dumps(header) + "\n" + json.dumps(written) + "\n")


def _read_index(folder: str, layer: Layer) -> Tuple[int, Contents]:
    """Give the time at which the layer was sealed (ns) and its contents."""
    with open(os.path.join(folder, "index.json"), "rb") as file:
        header = json.loads(file.readline())
        contents = json.loads(file.readline())
        sealed = os.fstat(file.fileno()).st_mtime_ns
    if header["digest"] != layer.digest or header["size"] != layer.size:
        raise ValueError("the index is that of another layer")
    return sealed, {_raw(path): _files(names, sizes) for path, (names, sizes) in contents.items()}


def _share_of(contents: Contents, which: int, parts: int) -> Iterator[Tuple[int, bytes, List[Tuple[bytes, int]]]]:
    """Give one of several nearly equal shares of a layer's folders, each with the number of its first file."""
    number = 0
    for at, (folder, files) in enumerate(contents.items()):
        if at * parts // len(contents) == which:
            yield number, folder, files
        number += len(files)


def _as_sealed(source: Tree, name: bytes, size: int, sealed: int) -> bool:
    try:
        found = source.stat(name)
    except OSError:
        return False
    return found.st_size == size and found.st_mtime_ns <= sealed and stat.S_ISREG(found.st_mode)


def _discard(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _mark_used(folder: str) -> None:
    try:
        os.utime(folder)
    except OSError:
        pass  # a read-only store is not evicted from here either


def _copy(source: Tree, path: bytes, tree: Tree, to: bytes, clone: bool) -> bool:
    """Copy a file, sharing its blocks if `clone` and the file system can; tell whether to try that again."""
    reading = source.open(path)
    try:
        writing = tree.create(to, stat.S_IMODE(os.fstat(reading).st_mode) & 0o777)
        try:
            if clone and _clone(reading, writing):
                return True
            while True:
                data = os.read(reading, 1 << 20)
                if not data:
                    return False
                view = memoryview(data)
                while view:
                    view = view[os.write(writing, view) :]
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _clone(reading: int, writing: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(writing, _FICLONE, reading)
    except OSError:
        return False  # another file system, or one that cannot; a full disk shows itself at once again
    return True


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _files(text: str, sizes: List[int]) -> List[Tuple[bytes, int]]:
    """Read the files of a folder: their names, joined by slashes, and their sizes."""
    names = _raw(text).split(b"/") if sizes else []
    if len(names) != len(sizes) or not _NO_NAMES.isdisjoint(names):
        raise ValueError(f"{text[:80]!r} are not {len(sizes)} names of files")
    return list(zip(names, sizes))
