"""Blobs: immutable bytes under their digest, in a folder of plain files.

    root/
      sha256/ab/cdef…      a blob; once there, it is whole and it is what its name says
      incoming/…           being written; never read, cleared when old
      leases/…             who uses what right now; see `leases.py`

The time of change of a blob's file says when it was last used: it is what is removed first when space is short,
and so whoever uses a blob says so (`use`, `hold`).

Why plain files and not an object-store client on a local disk: a committed blob has to survive a power cut
(`fsync` of the file and of its folder before the name appears), and readers want the file itself — `zipfile`
seeks in it, `sendfile` streams it, a hash runs over it — without a copy through a client. `BlobStore` is all
that the rest of the house sees, so an object store fits behind the same door.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from venvery.errors import NotFound, StorageFailed, WrongHash
from venvery.model.digests import is_digest
from venvery.storage.leases import Lease, Leases

if sys.platform != "win32":
    import fcntl

__all__ = ["BlobFile", "BlobStore", "Blobs", "Incoming", "Stored", "storage_errors"]

CHUNK = 1 << 20
STALE_AFTER = 24 * 3600.0
"""Seconds after which a file in `incoming` that nobody has written to is taken for dead."""
JUST_OPENED = 60.0
"""Seconds for which a new file is left alone: its writer may not have locked it yet."""
USED_EVERY = 10.0
"""Seconds; when a blob was last used is known no finer than this."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that is safely there."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A blob as it lies in the folder."""

    digest: str
    size: int
    used_at: float
    """Seconds since the epoch when it was last used, or written; may lag by `USED_EVERY`."""


class IncomingBlob(Protocol):
    """A blob on its way in: write, then commit; leaving the `with` block without a commit drops it."""

    size: int

    def __enter__(self) -> IncomingBlob: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes, hashing them. Raises `StorageFailed`."""
        ...

    def commit(self) -> Stored:
        """Make the blob visible under its digest. Raises `WrongHash`, `StorageFailed`."""
        ...


class BlobStore(Protocol):
    """What the house needs of a store of blobs. Every method may be called from any thread."""

    def put(self, data: bytes | Path | BinaryIO | Iterable[bytes], *, expect: str | None = None) -> Stored:
        """Store bytes. Raises `WrongHash` when they are not `expect`; then nothing is kept."""
        ...

    def incoming(self, *, expect: str | None = None) -> IncomingBlob:
        """Start a blob whose bytes come piece by piece."""
        ...

    def has(self, digest: str) -> bool: ...

    def size(self, digest: str) -> int: ...

    def read(self, digest: str, start: int = 0, end: int | None = None) -> bytes: ...

    def stream(
        self, digest: str, start: int = 0, end: int | None = None, chunk: int = CHUNK
    ) -> Iterator[bytes]: ...

    def open(self, digest: str) -> BinaryIO: ...

    def path(self, digest: str) -> Path | None: ...

    def delete(self, digest: str) -> None: ...

    def digests(self) -> Iterator[str]: ...

    def use(self, digest: str) -> bool: ...

    def hold(self, digests: Iterable[str] = ()) -> Lease: ...


class Blobs:
    """Blobs in a local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.leases = Leases(root / "leases")
        self.written = 0
        """Bytes that were added through this object."""
        self._incoming = root / "incoming"
        self._folder = root / "sha256"
        self._files = str(self._folder)

    @classmethod
    def open_folder(cls, path: str | os.PathLike[str], *, now: float | None = None) -> Blobs:
        """Open a folder of blobs, making it when it is not there, and clear what dead writers left.

        Raises `StorageFailed` when the folder cannot be used.
        """
        blobs = cls(Path(path))
        with storage_errors("open"):
            blobs._incoming.mkdir(parents=True, exist_ok=True)
            blobs._folder.mkdir(exist_ok=True)
            (blobs.root / "leases").mkdir(exist_ok=True)
            blobs.clear_incoming(now=now)
        return blobs

    def clear_incoming(self, *, now: float | None = None) -> int:
        """Remove what killed writers left; say how many files.

        Other processes may be writing, so what a living writer holds must stay; and they may be clearing
        too, so a file that is gone already is no error. The kernel drops a killed writer's lock; the age
        limit is for folders where locks do not work.
        """
        now = time.time() if now is None else now
        removed = 0
        with os.scandir(self._incoming) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    age = now - entry.stat(follow_symlinks=False).st_mtime
                    if age > STALE_AFTER or (age > JUST_OPENED and _writer_is_dead(entry.path)):
                        Path(entry.path).unlink()
                        removed += 1
        return removed

    def put(
        self,
        data: bytes | Path | BinaryIO | Iterable[bytes],
        *,
        expect: str | None = None,
        keep: Lease | None = None,
    ) -> Stored:
        """Store bytes. Raises `WrongHash` when they are not `expect` (nothing is kept), `StorageFailed`.

        With `keep` the blob is in that lease from the moment that it is there.
        """
        with self.incoming(expect=expect) as writer:
            for piece in _pieces(data):
                writer.write(piece)
            return writer.commit(keep=keep)

    def incoming(self, *, expect: str | None = None) -> Incoming:
        """Start a blob whose bytes come piece by piece."""
        return Incoming(self, self._incoming / f"{os.getpid()}-{secrets.token_hex(8)}", expect)

    def has(self, digest: str) -> bool:
        """Tell whether the blob is there."""
        return self._place(digest).exists()

    def use(self, digest: str) -> bool:
        """Tell whether the blob is there, and note that it was used now."""
        place = self._name(digest)
        now = time.time()
        try:
            if abs(now - os.stat(place).st_mtime) > USED_EVERY:  # noqa: PTH116
                with contextlib.suppress(PermissionError):  # a folder that is only read: the order suffers
                    os.utime(place, (now, now))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failed("read", error) from error
        return True

    def used_at(self, digest: str) -> float | None:
        """Tell when the blob was last used (seconds since the epoch); None when it is not there."""
        try:
            return self._place(digest).stat().st_mtime
        except FileNotFoundError:
            return None

    def hold(self, digests: Iterable[str] = ()) -> Lease:
        """Take a lease on blobs: they stay until it is released. Raises `NotFound` when one is not there."""
        wanted = list(digests)
        with self.leases.begin():
            self.expect(wanted)
            return self.leases.take(wanted)

    def expect(self, digests: Iterable[str]) -> None:
        """Note that blobs are used now. Raises `NotFound` when one is not there."""
        for digest in digests:
            if not self.use(digest):
                raise NotFound(f"no blob {digest}", digest=digest)

    def size(self, digest: str) -> int:
        """Give the number of bytes. Raises `NotFound`."""
        with self._found(digest):
            return self._place(digest).stat().st_size

    def read(self, digest: str, start: int = 0, end: int | None = None) -> bytes:
        """Read the bytes from `start` up to `end`. Raises `NotFound`."""
        with self.open(digest) as file:
            file.seek(start)
            return file.read() if end is None else file.read(max(0, end - start))

    def stream(self, digest: str, start: int = 0, end: int | None = None, chunk: int = CHUNK) -> Iterator[bytes]:
        """Give the bytes from `start` up to `end` in pieces of at most `chunk`. Raises `NotFound` at once."""
        return _stream(self.open(digest), start, end, chunk)

    def open(self, digest: str) -> BinaryIO:
        """Open the blob for reading and seeking. Raises `NotFound`."""
        with self._found(digest):
            return self._place(digest).open("rb")

    def path(self, digest: str) -> Path | None:
        """Give the file that holds the blob; None when it is not there."""
        path = self._place(digest)
        return path if path.exists() else None

    def delete(self, digest: str) -> None:
        """Remove the blob; nothing happens when it is not there."""
        with storage_errors("delete"), contextlib.suppress(FileNotFoundError):
            self._place(digest).unlink()

    def digests(self) -> Iterator[str]:
        """List all blobs, sorted."""
        for folder in sorted(self._folder.iterdir()):
            for file in sorted(folder.iterdir()):
                digest = f"sha256:{folder.name}{file.name}"
                if is_digest(digest):
                    yield digest

    def files(self) -> Iterator[BlobFile]:
        """List all blobs with size and last use, in no order."""
        with storage_errors("list"):
            for folder in os.scandir(self._folder):
                for entry in os.scandir(folder.path) if folder.is_dir() else ():
                    digest = f"sha256:{folder.name}{entry.name}"
                    with contextlib.suppress(FileNotFoundError):  # removed by another process
                        if is_digest(digest):
                            about = entry.stat(follow_symlinks=False)
                            yield BlobFile(digest, about.st_size, about.st_mtime)

    def strangers(self) -> Iterator[Path]:
        """List what lies among the blobs and is none."""
        with storage_errors("list"):
            for folder in self._folder.iterdir():
                for path in folder.iterdir() if folder.is_dir() else (folder,):
                    if not is_digest(f"sha256:{folder.name}{path.name}") or not path.is_file():
                        yield path

    def coming(self) -> int:
        """Count the bytes that are on their way in, or were left there."""
        total = 0
        with storage_errors("list"):
            for entry in os.scandir(self._incoming):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def _place(self, digest: str) -> Path:
        return Path(self._name(digest))

    def _name(self, digest: str) -> str:
        """Name the file of a blob; as text, for this is asked hundreds of times for each environment."""
        if not is_digest(digest):  # a digest becomes a path: nothing else may
            raise NotFound(f"{digest[:80]!r} is not a digest")
        return f"{self._files}/{digest[7:9]}/{digest[9:]}"

    @contextlib.contextmanager
    def _found(self, digest: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(f"no blob {digest}", digest=digest) from None
        except OSError as error:
            raise _failed("read", error) from error


class Incoming:
    """A blob on its way into a folder: write, then commit; without a commit nothing of it stays."""

    def __init__(self, blobs: Blobs, temporary: Path, expect: str | None) -> None:
        self._blobs = blobs
        self._temporary = temporary
        self._expect = expect
        self._hash = hashlib.sha256()
        self.size = 0
        with storage_errors("write"):
            self._file: io.FileIO | None = io.FileIO(temporary, "xb")
            if sys.platform != "win32":
                with contextlib.suppress(OSError):  # no locks on this file system: the age limit remains
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes, hashing them. Raises `StorageFailed`."""
        assert self._file is not None, "write() after commit()"
        self._hash.update(data)
        rest = memoryview(data)
        with storage_errors("write"):
            while rest:
                rest = rest[self._file.write(rest) :]
        self.size += len(data)

    def commit(self, *, keep: Lease | None = None) -> Stored:
        """Make the blob visible under its digest, and in the lease `keep` from then on.

        Raises `WrongHash` (nothing is kept), `StorageFailed`.
        """
        assert self._file is not None, "commit() twice"
        digest = "sha256:" + self._hash.hexdigest()
        if self._expect is not None and digest != self._expect:
            raise WrongHash(
                f"the bytes are {digest}, not {self._expect} as promised", expected=self._expect, found=digest
            )
        place = self._blobs._place(digest)
        with storage_errors("write"):
            if not self._blobs.has(digest):
                os.fsync(self._file.fileno())
                os.fchmod(self._file.fileno(), 0o444)
                place.parent.mkdir(exist_ok=True)
            with self._blobs.leases.begin():  # else it could be removed before it is in the lease
                if not self._blobs.use(digest):
                    self._place_at(place)
                if keep is not None:
                    keep.add([digest])
            _sync_folder(place.parent)
        self.abandon()
        return Stored(digest, self.size)

    def _place_at(self, place: Path) -> None:
        assert self._file is not None
        os.fsync(self._file.fileno())  # again costs nothing; when the blob was there a moment ago, it is the first
        os.fchmod(self._file.fileno(), 0o444)
        self._temporary.rename(place)
        self._blobs.written += self.size

    def read_along(self) -> int:
        """Open what is being written for reading; it stays readable wherever it goes.

        Raises `FileNotFoundError` when it is not on its way any more.
        """
        return os.open(self._temporary, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def abandon(self) -> None:
        """Drop what was written so far; nothing happens after a commit."""
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                self._temporary.unlink()


def _pieces(data: bytes | Path | BinaryIO | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(data, bytes):
        return [data]
    if isinstance(data, Path):
        return _stream(data.open("rb"), 0, None, CHUNK)
    read = getattr(data, "read", None)
    return data if read is None else iter(lambda: read(CHUNK), b"")


def _stream(file: BinaryIO, start: int, end: int | None, chunk: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = None if end is None else max(0, end - start)
        while left is None or left:
            piece = file.read(chunk if left is None else min(chunk, left))
            if not piece:
                return
            if left is not None:
                left -= len(piece)
            yield piece


def _sync_folder(folder: Path) -> None:
    """Make a new name in the folder last through a power cut; Windows cannot, and need not."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _writer_is_dead(path: str) -> bool:
    """Tell whether nobody holds the lock that a living writer has on its file."""
    if sys.platform == "win32":
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _failed(doing: str, error: OSError) -> StorageFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFailed(
            "the disk of the data folder is full",
            hint="free some space, or choose another folder with --data",
        )
    return StorageFailed(f"cannot {doing} a blob in the data folder: {error.strerror or error}")


@contextlib.contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn what the system says into `StorageFailed`."""
    try:
        yield
    except OSError as error:
        raise _failed(doing, error) from error
