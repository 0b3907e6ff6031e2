"""A lock: exactly pinned versions with the files that serve its targets, and why each is there."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.utils import NormalizedName

from venvery.errors import NoUsableFile
from venvery.model.files import DistFile
from venvery.model.requirements import Requirement
from venvery.model.targets import Target
from venvery.model.versions import Version

__all__ = ["Edge", "Lock", "Pin"]


@dataclass(frozen=True, slots=True)
class Edge:
    """A dependency of one pin on another that holds on at least one target of the lock."""

    project: NormalizedName
    requirement: str
    """As the core metadata has it, e.g. `urllib3<3,>=1.21.1` or `PySocks!=1.5.7 ; extra == "socks"`."""
    targets: tuple[int, ...]
    """Indexes into the lock's targets."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One release in a lock."""

    project: NormalizedName
    version: Version
    files: tuple[DistFile, ...]
    """The wheels that a target of this pin can use, best first, then the sdist where one may be used."""
    targets: tuple[int, ...]
    """Indexes into the lock's targets: where this pin is part of the environment."""
    extras: tuple[NormalizedName, ...] = ()
    """The extras that are asked for, sorted."""
    requires_python: str | None = None
    edges: tuple[Edge, ...] = ()
    requested: bool = False
    """True when the request itself names the project."""
    hashes: tuple[str, ...] = ()
    """`sha256:…` that the request demands of the file; empty: any."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The answer to a request. Pins are sorted by project, then version."""

    targets: tuple[Target, ...]
    pins: tuple[Pin, ...]
    requirements: tuple[Requirement, ...]
    """What was asked."""
    warnings: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    """How the standards were read and what the administrator ruled when it was found, each as `name=value`."""

    def pins_for(self, target: int = 0) -> tuple[Pin, ...]:
        """Give the pins that make up the environment of one target."""
        return tuple(pin for pin in self.pins if target in pin.targets)

    def wheel_for(self, pin: Pin, target: int = 0) -> DistFile:
        """Choose the best wheel of a pin for a target: best tag, then highest build number, then file name.

        Raises `NoUsableFile` when it has no wheel that the target can use.
        """
        ranked = []
        for file in pin.files:
            if file.kind != "wheel":
                continue
            rank = self.targets[target].rank(file.tag)
            if rank is not None:
                build = file.build or (-1, "")
                ranked.append((-rank, build, file.filename, file))
        if not ranked:
            sdist = any(file.kind == "sdist" for file in pin.files)
            raise NoUsableFile(
                f"{pin.project} {pin.version} has no wheel for {self.targets[target]}",
                hint="only a source distribution is there, which would have to be built first"
                if sdist
                else "ask for another version or another target",
                project=pin.project,
                version=str(pin.version),
            )
        return max(ranked, key=lambda entry: entry[:3])[3]
