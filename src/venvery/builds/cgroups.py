"""Control groups, version 1 or 2: limits on all processes of a run together, where this process may set them.

Version 2 needs a group that was delegated to us (`Delegate=yes` of a systemd service); version 1 needs root.
Where neither works the run has the limits of its single processes, and those of its own file systems.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from venvery.model.build_settings import BuildLimits

__all__ = ["Cgroups", "Group", "find_cgroups"]

_ROOT = Path("/sys/fs/cgroup")
_V1 = ("memory", "pids", "cpu", "cpuacct")
_PERIOD = 100_000
"""Microseconds over which the share of the processors is counted."""


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made: the folder for each controller."""

    version: int
    """0: nowhere."""
    folders: Mapping[str, Path]

    def limits(self, controller: str) -> bool:
        """Tell whether something can be limited: `memory`, `pids`, `cpu`."""
        return controller in self.folders

    @contextlib.contextmanager
    def group(self, name: str, limits: BuildLimits) -> Iterator[Group]:
        """Make a group with these limits, and remove it at the end."""
        group = Group(self.version, {kind: folder / name for kind, folder in self.folders.items()})
        try:
            for folder in set(group.folders.values()):
                folder.mkdir()
            group.limit(limits)
            yield group
        finally:
            for folder in set(group.folders.values()):
                _remove(folder)


@dataclass(frozen=True, slots=True)
class Group:
    """The group of one run."""

    version: int
    folders: Mapping[str, Path]

    def limit(self, limits: BuildLimits) -> None:
        """Write the limits down."""
        names = ("memory.limit_in_bytes", "pids.max") if self.version == 1 else ("memory.max", "pids.max")
        values = {"memory": (names[0], limits.memory_bytes), "pids": (names[1], limits.processes)}
        for kind, (name, value) in values.items():
            if kind in self.folders:
                (self.folders[kind] / name).write_text(str(value))
        with contextlib.suppress(OSError):  # swap would be memory by another name; not every kernel counts it
            if "memory" in self.folders and self.version == 2:
                (self.folders["memory"] / "memory.swap.max").write_text("0")
        if limits.cpus and "cpu" in self.folders:
            quota = round(limits.cpus * _PERIOD)
            if self.version == 1:
                (self.folders["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (self.folders["cpu"] / "cpu.max").write_text(f"{quota} {_PERIOD}")

    def take(self, pid: int) -> None:
        """Put a process into the group; its children are born there."""
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Tell whether a process was killed because the group's memory was used up."""
        folder = self.folders.get("memory")
        if folder is None:
            return False
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _number(folder / name, "oom_kill") > 0

    def cpu_seconds(self) -> float:
        """Give the processor time of all its processes; 0 where nobody counts."""
        if self.version == 1:
            folder = self.folders.get("cpuacct")
            if folder is None:
                return 0.0
            with contextlib.suppress(OSError, ValueError):
                return int((folder / "cpuacct.usage").read_text()) / 1e9
            return 0.0
        folder = self.folders.get("cpu")
        return 0.0 if folder is None else _number(folder / "cpu.stat", "usage_usec") / 1e6


def find_cgroups(root: Path = _ROOT) -> Cgroups:
    """Find out where this process may make groups, by trying."""
    if (root / "cgroup.controllers").exists():
        return _find_v2(root)
    own = _own_paths()
    found = {}
    for kind in _V1:
        folder = root / kind / own.get(kind, "/").lstrip("/")
        if _can_make(folder):
            found[kind] = folder
            _sweep(folder)
    return Cgroups(1 if found else 0, found)


def _find_v2(root: Path) -> Cgroups:
    """Look at our own group, and at the one above it, which is ours too where it was delegated."""
    own = root / _own_paths().get("", "/").lstrip("/")
    for folder in (own, own.parent):
        if not folder.is_relative_to(root):
            continue
        with contextlib.suppress(OSError):
            for kind in ("memory", "pids", "cpu"):
                with contextlib.suppress(OSError):
                    (folder / "cgroup.subtree_control").write_text(f"+{kind}")
            given = set((folder / "cgroup.subtree_control").read_text("ascii").split())
            kinds = {"memory", "pids", "cpu"} & given
            if kinds and _can_make(folder):
                _sweep(folder)
                return Cgroups(2, dict.fromkeys(sorted(kinds), folder))
    return Cgroups(0, {})


def _own_paths() -> dict[str, str]:
    """Give the groups that this process is in, by controller; `""` is version 2."""
    paths = {}
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        _number, kinds, path = line.split(":", 2)
        for kind in kinds.split(","):
            paths[kind] = path
    return paths


def _can_make(folder: Path) -> bool:
    trial = folder / f"venvery-trial-{os.getpid()}-{time.monotonic_ns()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    _remove(trial)
    return True


def _sweep(folder: Path) -> None:
    """Remove the groups of dead processes, with whatever of theirs is still in them."""
    for group in folder.glob("venvery-*-*"):
        owner = group.name.split("-")[1]
        if not owner.isdigit() or Path("/proc", owner).exists():
            continue
        with contextlib.suppress(OSError, ValueError):
            for pid in (group / "cgroup.procs").read_text("ascii").split():
                os.kill(int(pid), signal.SIGKILL)
            group.rmdir()  # what was just killed goes with the next sweep


def _remove(folder: Path) -> None:
    """Remove a group; the kernel needs a moment after the last of its processes has gone."""
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return


def _number(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text("ascii").splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1])
    return 0
