"""Judges an answer without any solver: do the pins keep every promise that their metadata makes?

Only `packaging` is asked, and the core metadata as it stands: nothing here uses venvery, uv or pip.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser

from frozen_index import FrozenIndex
from packaging import tags
from packaging.metadata import InvalidMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

__all__ = ["Place", "faults"]

_OS = {
    "linux": ("posix", "linux", "Linux"),
    "musl": ("posix", "linux", "Linux"),
    "macos": ("posix", "darwin", "Darwin"),
    "windows": ("nt", "win32", "Windows"),
}
_MACHINES = {("windows", "x86_64"): "AMD64"}


@dataclass(frozen=True)
class Place:
    """The Python and the platform that an answer is for."""

    python: str
    """With its micro version; `t` at the end for a free-threaded build."""
    platform: str
    """`linux-x86_64` and the like."""
    glibc: str = "2.28"

    @property
    def version(self) -> str:
        return self.python.removesuffix("t")

    def environment(self) -> dict[str, str]:
        """Give the values of all markers."""
        system, machine = self.platform.split("-")
        os_name, sys_platform, platform_system = _OS[system]
        return {
            "implementation_name": "cpython",
            "implementation_version": self.version,
            "os_name": os_name,
            "platform_machine": _MACHINES.get((system, machine), machine),
            "platform_python_implementation": "CPython",
            "platform_release": platform.release() if sys.platform == sys_platform else "",
            "platform_system": platform_system,
            "platform_version": platform.version() if sys.platform == sys_platform else "",
            "python_full_version": self.version,
            "python_version": ".".join(self.version.split(".")[:2]),
            "sys_platform": sys_platform,
        }

    def tags(self) -> frozenset[tags.Tag]:
        """Give the wheel tags that can be used there."""
        major, minor = map(int, self.version.split(".")[:2])
        abi = [f"cp{major}{minor}t"] if self.python.endswith("t") else None
        if abi is None and minor < 8:
            abi = [f"cp{major}{minor}m"]
        platforms = list(self._platforms())
        found = tags.cpython_tags((major, minor), abi, platforms)
        return frozenset([*found, *tags.compatible_tags((major, minor), f"cp{major}{minor}", platforms)])

    def _platforms(self) -> Iterable[str]:
        system, machine = self.platform.split("-")
        if system == "windows":
            return ["win_amd64"]
        if system == "macos":
            return tags.mac_platforms((14, 0), machine)
        if system == "musl":
            return [f"musllinux_1_{minor}_{machine}" for minor in (2, 1, 0)] + [f"linux_{machine}"]
        old = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        names = []
        for minor in range(int(self.glibc.split(".")[1]), 4, -1):
            names += [f"manylinux_2_{minor}_{machine}"] + ([f"{old[minor]}_{machine}"] if minor in old else [])
        return [*names, f"linux_{machine}"]


def faults(pins: Mapping[str, str], asked: Sequence[str], place: Place, index: FrozenIndex) -> list[str]:
    """Say everything that is wrong with an answer; nothing: it is right.

    What begins with "policy:" is a matter of taste: who takes a pre-release although final ones match.
    """
    return _Check(pins, place, index).run([Requirement(text) for text in asked])


class _Check:
    def __init__(self, pins: Mapping[str, str], place: Place, index: FrozenIndex) -> None:
        self.pins = {str(canonicalize_name(name)): Version(version) for name, version in pins.items()}
        self.environment = place.environment()
        self.tags = place.tags()
        self.index = index
        self.found: list[str] = []
        self.extras: dict[str, set[str]] = {}
        self.pinned: set[str] = set()
        """Projects that somebody asks for with `==` or `===`."""
        self.stated: dict[str, list[Requirement]] = {}

    def run(self, asked: Sequence[Requirement]) -> list[str]:
        queue: list[tuple[str, str]] = []
        for requirement in asked:
            if requirement.marker is None or requirement.marker.evaluate({**self.environment, "extra": ""}):
                self._require("the request", requirement, queue)
        seen: set[tuple[str, str]] = set()
        while queue:
            item = queue.pop()
            if item not in seen:
                seen.add(item)
                self._follow(*item, queue)
        for project in sorted(set(self.pins) - set(self.extras)):
            self.found.append(f"nobody asks for {project}")
        for project in self.extras:
            if project in self.pins:
                self._files(project)
        return self.found

    def _require(self, who: str, requirement: Requirement, queue: list[tuple[str, str]]) -> None:
        project = str(canonicalize_name(requirement.name))
        version = self.pins.get(project)
        self.extras.setdefault(project, set()).update(requirement.extras)
        self.stated.setdefault(project, []).append(requirement)
        if version is None:
            self.found.append(f"{who} requires {requirement}, and it is not there")
            return
        if not requirement.specifier.contains(version, prereleases=True):
            self.found.append(f"{who} requires {requirement}, and {version} is there")
        if any(one.operator in ("==", "===") for one in requirement.specifier):
            self.pinned.add(project)
        queue += [(project, ""), *((project, str(canonicalize_name(extra))) for extra in requirement.extras)]

    def _follow(self, project: str, extra: str, queue: list[tuple[str, str]]) -> None:
        who = f"{project} {self.pins[project]}" + (f"[{extra}]" if extra else "")
        headers = HeaderParser().parsestr(self._metadata(project))
        if not extra:
            python = headers.get("Requires-Python")
            if python and not SpecifierSet(python).contains(self.environment["python_full_version"], True):
                self.found.append(f"{who} needs Python {python}")
        for text in headers.get_all("Requires-Dist") or ():
            try:
                requirement = Requirement(text)
            except (InvalidRequirement, InvalidMetadata):
                self.found.append(f"{who} requires {text!r}, which does not parse")
                continue
            if requirement.marker is None:
                counts = not extra
            elif extra:
                counts = self._holds(requirement, extra) and not self._holds(requirement, "")
            else:
                counts = self._holds(requirement, "")
            if counts:
                self._require(who, requirement, queue)

    def _holds(self, requirement: Requirement, extra: str) -> bool:
        assert requirement.marker is not None
        return requirement.marker.evaluate({**self.environment, "extra": extra})

    def _wheels(self, project: str) -> list[tuple[str, bool]]:
        """Give the wheels of the pinned version that serve the place, each with whether it is yanked."""
        found = []
        for filename, python, yanked in self.index.page(project) or ():
            try:
                _name, version, _build, wheel_tags = parse_wheel_filename(filename)
            except InvalidWheelFilename:
                continue
            if version == self.pins[project] and wheel_tags & self.tags:
                full = self.environment["python_full_version"]
                if not python or SpecifierSet(python).contains(full, prereleases=True):
                    found.append((filename, bool(yanked)))
        return found

    def _metadata(self, project: str) -> str:
        for filename, _yanked in self._wheels(project):
            text = self.index.metadata(filename)
            if text is not None:
                return text
        return ""

    def _files(self, project: str) -> None:
        wheels = self._wheels(project)
        who = f"{project} {self.pins[project]}"
        if not wheels:
            self.found.append(f"{who} has no wheel for the place")
        elif all(yanked for _filename, yanked in wheels) and project not in self.pinned:
            self.found.append(f"{who} is yanked, and nobody pins it")
        elif self.pins[project].is_prerelease and not self._prerelease_is_due(project):
            self.found.append(f"policy: {who} is a pre-release, final releases match, and nobody names one")

    def _prerelease_is_due(self, project: str) -> bool:
        """Tell whether a pre-release may stand: one is named, or no final release matches (PEP 440)."""
        stated = self.stated[project]
        if any(requirement.specifier.prereleases for requirement in stated):
            return True
        finals = set()
        for filename, *_ in self.index.page(project) or ():
            try:
                _name, version, _build, wheel_tags = parse_wheel_filename(filename)
            except InvalidWheelFilename:
                continue
            if not version.is_prerelease and wheel_tags & self.tags:
                finals.add(version)
        return not any(all(one.specifier.contains(v) for one in stated) for v in finals)
