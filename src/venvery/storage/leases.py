"""Leases: what several processes on one data folder are using right now, so that nobody removes it.

    leases/
      gate                 locked shared to begin to use something, exclusively to remove something
      <pid>-<random>       one lease: digests, one a line; locked by its owner for as long as it lives

Whoever needs more than one blob takes a lease: under the shared gate it looks whether all of them are there,
and writes them down. Whoever removes blobs holds the gate exclusively, reads the leases, and leaves alone what
they name. So a blob is either gone before anybody counts on it, or stays until nobody does. The kernel drops
the locks of a killed process, and with its lock a lease ends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from venvery.errors import StorageFailed

if sys.platform != "win32":
    import fcntl

__all__ = ["Lease", "Leases"]

WAIT = 30.0
"""Seconds that one who removes waits for those who are just beginning to use something."""
_STEP = 0.005
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


class Lease:
    """The right to find some blobs where they are, until it is released. To be used by one thread at a time."""

    def __init__(self, leases: Leases, descriptor: int, path: Path | None) -> None:
        self._leases = leases
        self._descriptor = descriptor
        self._path = path

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()  # one that was forgotten must not keep its blobs until the process ends

    def add(self, digests: Iterable[str]) -> None:
        """Take in further blobs; the caller holds the gate."""
        if self._path is not None:
            lines = memoryview("".join(f"{digest}\n" for digest in digests).encode())
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]

    def release(self) -> None:
        """Let go; again is no harm."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            if self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            os.close(descriptor)


class Leases:
    """The leases in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = folder / "gate"

    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        """Hold the gate while something is looked up and taken: nothing is removed meanwhile."""
        descriptor = self._open_gate()
        try:
            if descriptor is not None:
                _lock(descriptor, exclusive=False)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def take(self, digests: Iterable[str] = ()) -> Lease:
        """Give a new lease on blobs; the caller holds the gate.

        When it cannot be written, as on a full disk, the lease holds the gate itself: then nothing at all is
        removed until it is released.
        """
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        lease: Lease | None = None
        try:
            lease = Lease(self, os.open(path, _FLAGS | os.O_EXCL, 0o666), path)
            _lock(lease._descriptor, exclusive=True)
            lease.add(digests)
        except OSError:
            if lease is not None:
                lease.release()
            return self._hold_gate()
        return lease

    @contextlib.contextmanager
    def removing(self, *, wait: float = WAIT) -> Iterator[frozenset[str]]:
        """Hold the gate exclusively, and give what is in use; for moments only, for all others wait.

        Raises `StorageFailed` when others do not let go in time, or when locks do not work here: without them
        nothing can be removed safely.
        """
        descriptor = self._open_gate()
        if descriptor is None:
            raise StorageFailed(f"{self._gate} cannot be written", hint="is the data folder read-only?")
        try:
            self._lock_out(descriptor, time.monotonic() + wait)
            yield frozenset(self._in_use())
        finally:
            os.close(descriptor)

    def _open_gate(self) -> int | None:
        with contextlib.suppress(OSError):
            return os.open(self._gate, _FLAGS, 0o666)
        with contextlib.suppress(OSError):  # a read-only folder: nobody removes anything through this process
            return os.open(self._gate, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        return None

    def _hold_gate(self) -> Lease:
        descriptor = self._open_gate()
        if descriptor is not None:
            with contextlib.suppress(OSError):
                _lock(descriptor, exclusive=False)
        return Lease(self, -1 if descriptor is None else descriptor, None)

    def _lock_out(self, descriptor: int, deadline: float) -> None:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise StorageFailed(
                    "the data folder is in use without a pause",
                    hint="a full disk makes every download keep all blobs; free some space, then try again",
                )
            time.sleep(_STEP)

    def _in_use(self) -> Iterator[str]:
        """Read all living leases, and clear away the others."""
        for path in list(self._folder.iterdir()):
            if path == self._gate:
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if _try_lock(file.fileno()):
                    path.unlink()  # its owner is dead: one that lives has locked it before it left the gate
                else:
                    yield from file.read().decode().split()


if sys.platform == "win32":

    def _lock(descriptor: int, *, exclusive: bool) -> None:
        """Do nothing: nobody removes anything there."""

    def _try_lock(descriptor: int) -> bool:
        raise StorageFailed("blobs in use cannot be told from others on Windows, so none are removed there")

else:

    def _lock(descriptor: int, *, exclusive: bool) -> None:
        with contextlib.suppress(OSError):  # no locks on this file system: `removing` will refuse
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StorageFailed(
                f"the file system of the data folder has no locks ({error.strerror}): nothing is removed from it",
                hint="move the data folder to a local disk",
            ) from None
        return True
