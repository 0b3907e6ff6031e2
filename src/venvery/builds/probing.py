"""Whether code of others can be run safely on this machine: each layer of the sandbox is looked at by using it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from dataclasses import dataclass, field
from functools import lru_cache

from venvery.builds.cgroups import Cgroups, find_cgroups
from venvery.builds.sandbox import Sandbox, Task
from venvery.errors import VenveryError
from venvery.model.build_settings import BuildLimits

__all__ = ["Layer", "Probed", "probe"]

_INSTALL = "install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap)"
_NAMESPACES = (
    "the kernel, or the container this runs in, does not let ordinary users make namespaces: see "
    "kernel.apparmor_restrict_unprivileged_userns, kernel.unprivileged_userns_clone, or Docker's seccomp profile"
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the sandbox."""

    name: str
    works: bool
    says: str
    hint: str | None = None
    needed: bool = True
    """False: without it there is less, and still a sandbox."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found."""

    layers: tuple[Layer, ...]
    cgroups: Cgroups = field(default_factory=lambda: Cgroups(0, {}))

    @property
    def sandbox(self) -> Sandbox | None:
        """The sandbox; None where there can be none."""
        return None if self.why_not else Sandbox(self.cgroups)

    @property
    def why_not(self) -> str | None:
        """Why there can be no sandbox here; None when there can."""
        return next((layer.says for layer in self.layers if layer.needed and not layer.works), None)

    @property
    def hint(self) -> str | None:
        """What to do about it."""
        return next((layer.hint for layer in self.layers if layer.needed and not layer.works), None)


@lru_cache(maxsize=1)
def probe() -> Probed:
    """Look at this machine; remembered for as long as the process lives."""
    if sys.platform != "linux":
        return Probed((Layer("sandbox", False, "the sandbox needs Linux", "build on a Linux worker"),))
    programs = _programs()
    if not programs.works:
        return Probed((programs,))
    cgroups = find_cgroups()
    return Probed((programs, _namespaces(cgroups), _groups(cgroups)), cgroups)


def _programs() -> Layer:
    root = ("unshare", "mount", "setpriv", "sh") if os.geteuid() == 0 else ()
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [name for name in ("bwrap", "prlimit", *root) if shutil.which(name, path=path) is None]
    if missing:
        hint = _INSTALL if "bwrap" in missing else "install util-linux"
        return Layer("programs", False, f"{', '.join(missing)} is not installed", hint)
    return Layer("programs", True, "bubblewrap and prlimit are installed")


def _namespaces(cgroups: Cgroups) -> Layer:
    """Run the smallest program that there is in the sandbox."""
    said: list[bytes] = []
    limits = BuildLimits(wall_seconds=20.0, cpu_seconds=5, disk_bytes=1 << 20)
    try:
        ran = Sandbox(cgroups).run(
            Task(("/usr/bin/true",)), limits, log=said.append, take=lambda _: None, stop=threading.Event()
        )
        failed = ran.ending != "exited" or ran.code != 0
    except VenveryError:
        failed = True
    except OSError as error:
        failed, said = True, [str(error).encode()]
    if failed:
        lines = b"".join(said).decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        return Layer("namespaces", False, f"a trial run failed: {lines[-1]}", _NAMESPACES)
    who = "a user id of its own for each build" if os.geteuid() == 0 else "this user, in namespaces of its own"
    return Layer("namespaces", True, f"a trial run worked without network and without a writable path, as {who}")


def _groups(cgroups: Cgroups) -> Layer:
    limited = [kind for kind in ("memory", "pids", "cpu") if cgroups.limits(kind)]
    if "memory" in limited and "pids" in limited:
        says = f"version {cgroups.version} limits {', '.join(limited)} of each build as a whole"
        return Layer("control groups", True, says)
    hint = "run as a systemd service with Delegate=yes, or as root"
    says = "memory is limited for each process of a build, not for all together"
    return Layer("control groups", False, says, hint, needed=False)
