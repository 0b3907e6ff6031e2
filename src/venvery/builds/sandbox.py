"""The sandbox: runs one program with nothing but what it is given, and ends it with all that it started.

Bubblewrap does it: own user, process, network, host name and message namespaces, a read-only system, and no
path at all that leads to a file of this machine that can be written. What the program writes lies in memory,
in a file system of limited size; what it hands out comes through a pipe.

Real root never runs it: under a user id that nobody else has, root's own files stay closed even to a program
that finds a way out. What the program is to see is first bound into a folder that this user may enter, in a
mount namespace that nobody else sees.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from venvery.builds.cgroups import Cgroups, Group
from venvery.builds.users import spare_user
from venvery.errors import StorageFailed
from venvery.model.build_settings import BuildLimits

__all__ = ["HOME", "RESULT", "ROOM", "Ending", "Mount", "Ran", "Sandbox", "Task"]

ROOM = "/build"
"""The one folder that the program may write to."""
HOME = f"{ROOM}/home"
RESULT = "VENVERY_RESULT"
"""The variable with the number of the descriptor that takes what the program hands out."""

Ending = Literal["exited", "time", "cpu", "memory", "output", "stopped"]

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_STEP = 0.1
"""Seconds between two looks at whether to stop."""
_CHUNK = 1 << 16
_AT_LAST = 10.0
"""Seconds that a killed run may take to be gone."""

# Runs first inside: goes on only when the one who started it lives to hear that it is there, and says so. Before
# that moment bubblewrap may not yet have bound its life to ours, and its own gate opens when we die.
_READY = b"ready\n"
_BEGIN = 'echo ready; read -r go || exit 1; exec "$@" </dev/null'

# Runs as root in a mount namespace of its own: binds what is to be seen, then becomes the next command.
_BIND = 'set -e; while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of this machine that the program may read."""

    source: Path
    at: str


@dataclass(frozen=True, slots=True)
class Task:
    """What to run, and what it sees."""

    command: Sequence[str]
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended."""

    ending: Ending
    code: int
    """The exit code of the program; of no meaning unless it exited."""
    seconds: float


class Sandbox:
    """Runs programs. Safe to use from several threads at once."""

    def __init__(self, cgroups: Cgroups, *, as_root: bool | None = None) -> None:
        self._cgroups = cgroups
        self._as_root = os.geteuid() == 0 if as_root is None else as_root

    def run(
        self,
        task: Task,
        limits: BuildLimits,
        *,
        log: Callable[[bytes], None],
        take: Callable[[bytes], None],
        stop: threading.Event | None = None,
    ) -> Ran:
        """Run a program to its end. Blocks; to be called in a thread that outlives the run.

        `log` gets what it prints, `take` what it hands out, in pieces. Setting `stop` ends it. Raises
        `StorageFailed` when the sandbox itself cannot be started.
        """
        name = f"venvery-{os.getpid()}-{secrets.token_hex(6)}"
        with self._cgroups.group(name, limits) as group, _Descriptors() as files, self._staged(task) as staged:
            run = _Run(limits, group, log, take, stop or threading.Event())
            return run.go(files, lambda gate, info: self._command(task, limits, staged, files, gate, info))

    @contextlib.contextmanager
    def _staged(self, task: Task) -> Iterator[list[str]]:
        """Give where each mount's source is found by the user who runs it."""
        if not self._as_root:
            yield [str(mount.source) for mount in task.mounts]
            return
        stage = Path(tempfile.mkdtemp(prefix="venvery-sandbox-", dir="/tmp"))
        try:
            stage.chmod(0o711)
            places = [stage / str(number) for number in range(len(task.mounts))]
            for mount, place in zip(task.mounts, places, strict=True):
                place.mkdir() if mount.source.is_dir() else place.touch()
            yield [str(place) for place in places]
        finally:
            shutil.rmtree(stage, ignore_errors=True)  # the binds were in another namespace: nothing is behind them

    def _command(
        self, task: Task, limits: BuildLimits, staged: list[str], files: _Descriptors, gate: int, info: int
    ) -> list[str]:
        inner = [*self._bubblewrap(task, limits, staged, files, gate, info), "--"]
        inner += ["sh", "-c", _BEGIN, "sh", *self._own_limits(limits), "--", *task.command]
        if not self._as_root:
            return inner
        uid = str(spare_user())
        pairs: list[str] = []
        for mount, place in zip(task.mounts, staged, strict=True):
            pairs += [str(mount.source), place]
        return [
            *("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _BIND, "sh", *pairs, "--"),
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs", "--"),
            *inner,
        ]

    def _bubblewrap(
        self, task: Task, limits: BuildLimits, staged: list[str], files: _Descriptors, gate: int, info: int
    ) -> list[str]:
        """Write bubblewrap's command line. The order counts: each flag works on what those before it made."""
        words = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--new-session"]
        words += ["--die-with-parent", "--cap-drop", "ALL", "--hostname", "build"]
        words += ["--uid", "1000", "--gid", "1000"]
        # Not on the command line, which all can read, and not in the variables of what starts the sandbox.
        wanted = {"PATH": _PATH, **task.environment, RESULT: str(files.results)}
        said = ["--clearenv", *(word for name, value in wanted.items() for word in ("--setenv", name, value))]
        words += ["--args", str(files.text("".join(f"{word}\0" for word in said)))]
        words += ["--ro-bind", "/usr", "/usr"]
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            folder = Path("/") / name
            if folder.is_symlink():
                words += ["--symlink", str(folder.readlink()), str(folder)]
            elif folder.is_dir():
                words += ["--ro-bind", str(folder), str(folder)]
        for path in ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"):
            words += ["--ro-bind-try", path, path]
        for path, text in _ETC.items():
            words += ["--ro-bind-data", str(files.text(text)), path]
        shared = min(limits.disk_bytes, 64 << 20)
        words += ["--proc", "/proc", "--dev", "/dev", "--size", str(shared), "--tmpfs", "/dev/shm"]
        words += ["--size", str(limits.disk_bytes), "--tmpfs", ROOM, "--symlink", f"{ROOM}/tmp", "/tmp"]
        words += ["--symlink", f"{ROOM}/tmp", "/var/tmp", "--dir", HOME, "--dir", f"{ROOM}/tmp"]
        for mount, place in zip(task.mounts, staged, strict=True):
            words += ["--ro-bind", place, mount.at]
        words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", ROOM]
        return [*words, "--info-fd", str(info), "--block-fd", str(gate)]

    def _own_limits(self, limits: BuildLimits) -> list[str]:
        """Write the limits that each process has by itself: the backstop.

        They are set inside, where the number of processes counts those of the new user namespace only.
        """
        words = ["prlimit", f"--nproc={limits.processes}", "--core=0"]
        words += [f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 5}"]  # first a signal that says why
        words += [f"--fsize={limits.disk_bytes}", f"--nofile={limits.open_files}"]
        # Address space is not memory: compilers and runtimes reserve much more than they use.
        return words if self._cgroups.limits("memory") else [*words, f"--as={limits.memory_bytes}"]


_ETC = {
    "/etc/passwd": "build:x:1000:1000:build:/build/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": "build:x:1000:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost build\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


class _Descriptors:
    """Descriptors that the sandbox is started with; closed at the end of the context."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.results = -1
        """The end of the pipe that the program writes its results to."""

    def __enter__(self) -> _Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.open:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def text(self, text: str) -> int:
        """Give a descriptor from which a text can be read."""
        descriptor = os.memfd_create("venvery")
        self.open.append(descriptor)
        os.write(descriptor, text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def pipe(self) -> tuple[int, int]:
        """Give a pipe's end to read from and its end to write to."""
        ends = os.pipe()
        self.open += ends
        return ends

    def close(self, descriptor: int) -> None:
        """Close one now."""
        self.open.remove(descriptor)
        os.close(descriptor)


class _Run:
    """One run under way."""

    def __init__(
        self,
        limits: BuildLimits,
        group: Group,
        log: Callable[[bytes], None],
        take: Callable[[bytes], None],
        stop: threading.Event,
    ) -> None:
        self._limits = limits
        self._group = group
        self._log = log
        self._take = take
        self._stop = stop
        self._taken = 0
        self._greeted = False
        self._greeting = bytearray()
        self._begin: IO[bytes]

    def go(self, descriptors: _Descriptors, command: Callable[[int, int], list[str]]) -> Ran:
        started = time.monotonic()
        gate, opener = descriptors.pipe()
        info, tell = descriptors.pipe()
        results, descriptors.results = descriptors.pipe()
        words = command(gate, tell)
        try:
            process = subprocess.Popen(
                words,
                env={"PATH": _PATH},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[number for number in descriptors.open if number not in (opener, info, results)],
                start_new_session=True,
            )
        except OSError as error:
            raise StorageFailed(f"the sandbox cannot be started: {error}", hint="see venvery doctor") from None
        assert process.stdout is not None and process.stdin is not None
        self._begin = process.stdin
        child: int | None = None
        with process:
            try:
                for descriptor in (gate, tell, descriptors.results):
                    descriptors.close(descriptor)
                child = _child(info)
                if child is not None:  # else it failed before anything ran, and says why
                    with contextlib.suppress(ProcessLookupError):  # it has ended already, and says why
                        self._group.take(process.pid)
                        self._group.take(child)
                    with contextlib.suppress(BrokenPipeError):
                        os.write(opener, b"x")
                ending = self._watch(process.stdout, results, started + self._limits.wall_seconds)
                if ending is not None:
                    process.kill()
                    self._drain(process.stdout)
                code = process.wait(_AT_LAST)
            except BaseException:
                process.kill()
                raise
        if child is None:
            raise StorageFailed("the sandbox cannot be started", hint="see venvery doctor")
        return Ran(ending or self._ending(code), code, time.monotonic() - started)

    def _ending(self, code: int) -> Ending:
        if code != 0 and self._group.out_of_memory():
            return "memory"
        return "cpu" if code in (128 + signal.SIGXCPU, -signal.SIGXCPU) else "exited"

    def _watch(self, said: IO[bytes], results: int, deadline: float) -> Ending | None:
        """Pass on what comes until both pipes are closed; gives why to stop before."""
        with selectors.DefaultSelector() as selector:
            selector.register(said, selectors.EVENT_READ, self._hear)
            selector.register(results, selectors.EVENT_READ, self._hand_on)
            for turn in itertools.count():
                if self._stop.is_set():
                    return "stopped"
                if time.monotonic() > deadline:
                    return "time"
                if turn % 10 == 0 and self._group.cpu_seconds() > self._limits.cpu_seconds:
                    return "cpu"
                for key, _events in selector.select(_STEP):
                    piece = os.read(key.fd, _CHUNK)
                    if piece:
                        key.data(piece)
                    else:
                        selector.unregister(key.fileobj)
                if self._taken > self._limits.output_bytes:
                    return "output"
                if not selector.get_map():
                    return None
        return None

    def _hear(self, piece: bytes) -> None:
        """Pass on what is said; its first word is that it is there."""
        if self._greeted:
            self._log(piece)
            return
        self._greeting += piece
        if b"\n" in self._greeting:
            self._greeted = True
            rest = bytes(self._greeting)
            if rest.startswith(_READY):
                rest = rest[len(_READY) :]
                with contextlib.suppress(OSError):
                    self._begin.write(b"go\n")
                    self._begin.flush()
            if rest:
                self._log(rest)

    def _hand_on(self, piece: bytes) -> None:
        self._taken += len(piece)
        if self._taken <= self._limits.output_bytes:
            self._take(piece)

    def _drain(self, said: IO[bytes]) -> None:
        """Take what was still said by one that was killed; all who could say more are gone with it."""
        left = _CHUNK * 16
        while left > 0 and (piece := os.read(said.fileno(), _CHUNK)):
            self._hear(piece)
            left -= len(piece)


def _child(info: int) -> int | None:
    """Read the number of the process that will become the program; None when there is none."""
    told = b""
    while b"}" not in told:
        piece = os.read(info, 4096)
        if not piece:
            return None
        told += piece
    return int(json.loads(told)["child-pid"])
