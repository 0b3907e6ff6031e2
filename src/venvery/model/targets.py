"""Targets: a Python and a platform, as a marker environment and an ordered list of wheel tags.

Standards: environment markers (PEP 508), compatibility tags (PEP 425, 600, 656, 703), taken from `packaging`.

A target is named *short* (`3.11`, `linux-x86_64`) or *exact* (a marker environment and a tag list). Short
names give the same target on every machine; exact ones describe one interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

from packaging import tags as _tags

from venvery.errors import BadTarget
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import expand_tag

__all__ = ["PLATFORMS", "Family", "Target", "exact_target", "short_target", "target_from_json"]

PLATFORMS = (
    "linux-x86_64",
    "linux-aarch64",
    "musl-x86_64",
    "musl-aarch64",
    "macos-arm64",
    "macos-x86_64",
    "windows-x86_64",
)

DEFAULT_GLIBC = (2, 28)
DEFAULT_MUSL = (1, 2)
DEFAULT_MACOS = {"arm64": (14, 0), "x86_64": (14, 0)}
OLDEST_PYTHON = (3, 7)

MARKER_NAMES = (
    "implementation_name",
    "implementation_version",
    "os_name",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_full_version",
    "python_version",
    "sys_platform",
)

_PYTHON = re.compile(
    r"(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<micro>\d+))?(?P<pre>(?:a|b|rc)\d+)?(?P<threads>t?)\Z"
)


@dataclass(frozen=True, slots=True)
class Family:
    """What decides the layout of a layer: all targets of one family share their layers."""

    os: Literal["posix", "nt"]
    python: str
    """`3.11`, or `3.13t` for a free-threaded build."""
    implementation: Literal["cpython"] = "cpython"

    @property
    def purelib(self) -> str:
        """Where modules go, relative to the environment."""
        return "Lib/site-packages" if self.os == "nt" else f"lib/python{self.python}/site-packages"

    @property
    def scripts(self) -> str:
        """Where scripts go, relative to the environment."""
        return "Scripts" if self.os == "nt" else "bin"

    @property
    def include(self) -> str:
        """Where headers go, relative to the environment; the project's name is the next part."""
        return "Include" if self.os == "nt" else f"include/site/python{self.python}"

    def __str__(self) -> str:
        return f"{self.implementation}-{self.python}-{self.os}"


@dataclass(frozen=True)
class Target:
    """A Python and a platform. Equal targets have equal markers and tags."""

    python: str
    """The full version, `3.11.7`. A short `3.11` reads as `3.11.0`, as pip reads `--python-version 3.11`."""
    platform: str
    """A platform name of `PLATFORMS`, without libc or OS version."""
    markers: tuple[tuple[str, str], ...]
    """The marker environment without `extra`, sorted by name."""
    tags: tuple[str, ...]
    """Wheel tags, best first."""
    short: tuple[str, str] | None = field(default=None, compare=False)
    """The short name that it was made from, (`3.11`, `manylinux_2_28_x86_64`); None for an exact target."""

    @cached_property
    def marker_environment(self) -> dict[str, str]:
        """The marker environment as the mapping that `packaging` takes, without `extra`."""
        return dict(self.markers)

    @cached_property
    def tag_ranks(self) -> dict[str, int]:
        """Each tag's place in the order; 0 is best."""
        return {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))}

    def rank(self, tag: str) -> int | None:
        """Give the best rank among a wheel's compressed tag set; None when none of its tags is ours."""
        ranks = [rank for rank in map(self.tag_ranks.get, expand_tag(tag)) if rank is not None]
        return min(ranks) if ranks else None

    @cached_property
    def family(self) -> Family:
        """The family whose layers this target uses."""
        minor = ".".join(self.python.split(".")[:2])
        return Family("nt" if self.marker_environment["os_name"] == "nt" else "posix", minor + self.threads)

    @cached_property
    def scope(self) -> str:
        """Name the family and platform: what it takes to build for the target."""
        return f"{self.family}/{self.platform}"

    @cached_property
    def threads(self) -> Literal["", "t"]:
        """`t` for a free-threaded build (PEP 703)."""
        major, minor = self.python.split(".")[:2]
        first = f"cp{major}{minor}-cp{major}{minor}t-"
        return "t" if any(tag.startswith(first) for tag in self.tags) else ""

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the markers and tags: what an answer for this target depends on."""
        return sha256(canonical_json([dict(self.markers), list(self.tags)]))

    def to_json(self) -> dict[str, Any]:
        """Write the target as the contract has it: short where it was named short, else exact."""
        if self.short is not None:
            return {"python": self.short[0], "platform": self.short[1]}
        return {"marker_environment": dict(self.markers), "tags": list(self.tags)}

    def __str__(self) -> str:
        return f"Python {self.python}{self.threads} on {self.platform}"


def short_target(python: str, platform: str) -> Target:
    """Make the target of a short name, the same on every machine.

    `python` is `X.Y` or `X.Y.Z`, with a `t` behind it for a free-threaded build; `platform` is one of
    `PLATFORMS`, or carries a libc or OS version as in `manylinux_2_28_x86_64`, `musllinux_1_2_aarch64`,
    `macosx_12_0_arm64`, `win_amd64`. Raises `BadTarget`.
    """
    return _short_target(python.strip(), platform.strip())


@lru_cache(maxsize=256)
def _short_target(python: str, platform: str) -> Target:
    version, full, threads = _read_python(python)
    name, tag_platforms, system = _read_platform(platform)
    minor = f"{version[0]}.{version[1]}"
    markers = {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "nt" if system == "Windows" else "posix",
        "platform_machine": {"x86_64": "AMD64"}.get(name.split("-")[1], "ARM64")
        if system == "Windows"
        else name.split("-")[1],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": full,
        "python_version": minor,
        "sys_platform": {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}[system],
    }
    return Target(
        python=full,
        platform=name,
        markers=tuple(sorted(markers.items())),
        tags=tuple(_cpython_tags(version, threads, tag_platforms)),
        short=(python, platform),
    )


def exact_target(markers: Mapping[str, str], tags: Sequence[str]) -> Target:
    """Make the target that a full marker environment and an ordered tag list describe. Raises `BadTarget`."""
    missing = [name for name in MARKER_NAMES if not isinstance(markers.get(name), str)]
    if missing:
        raise BadTarget(f"the marker environment lacks {', '.join(missing)}")
    if not tags or not all(isinstance(tag, str) and tag.count("-") == 2 for tag in tags):
        raise BadTarget("the tag list must hold tags such as py3-none-any, best first")
    if len(tags) > 20_000:
        raise BadTarget(f"the tag list has {len(tags)} tags; at most 20000 are taken")
    if markers["implementation_name"] != "cpython":
        raise BadTarget(f"venvery makes environments for CPython, not for {markers['implementation_name']!r}")
    _version, full, _threads = _read_python(markers["python_full_version"].removesuffix("+"))
    return Target(
        python=full,
        platform=_platform_of(markers, tags),
        markers=tuple(sorted((name, markers[name]) for name in MARKER_NAMES)),
        tags=tuple(tags),
    )


def target_from_json(value: Any, *, default_platform: str, default_python: str) -> Target:
    """Read a target in either form of the contract. Raises `BadTarget`."""
    if value is None:
        return short_target(default_python, default_platform)
    if not isinstance(value, Mapping):
        raise BadTarget("a target is an object with python and platform, or marker_environment and tags")
    if "marker_environment" in value or "tags" in value:
        markers, tags = value.get("marker_environment"), value.get("tags")
        if not isinstance(markers, Mapping) or not isinstance(tags, list):
            raise BadTarget("an exact target needs both marker_environment (an object) and tags (a list)")
        return exact_target(markers, tags)
    unknown = sorted(set(value) - {"python", "platform"})
    if unknown:
        raise BadTarget(f"a target has no field {unknown[0]!r}")
    python, platform = value.get("python") or default_python, value.get("platform") or default_platform
    if not isinstance(python, str) or not isinstance(platform, str):
        raise BadTarget("python and platform of a target are texts")
    return short_target(python, platform)


def _read_python(text: str) -> tuple[tuple[int, int], str, bool]:
    match = _PYTHON.match(text)
    if match is None:
        raise BadTarget(f"{text[:80]!r} is not a Python version", hint="write it as 3.11 or 3.11.7")
    version = int(match["major"]), int(match["minor"])
    if version[0] != 3 or version < OLDEST_PYTHON or version[1] > 99:
        raise BadTarget(
            f"venvery makes no environments for Python {version[0]}.{version[1]}",
            hint=f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} and later 3.x releases can be targets",
        )
    if match["threads"] and version < (3, 13):
        raise BadTarget(f"Python {version[0]}.{version[1]} has no free-threaded build")
    full = f"{version[0]}.{version[1]}.{int(match['micro'] or 0)}{match['pre'] or ''}"
    return version, full, bool(match["threads"])


def _read_platform(text: str) -> tuple[str, list[str], str]:
    """Give the platform's name, its wheel platforms best first, and `platform_system`."""
    lower = text.lower()
    if match := re.fullmatch(r"(linux|manylinux_(\d+)_(\d+))[-_](x86_64|aarch64)", lower):
        glibc = (int(match[2]), int(match[3])) if match[2] else DEFAULT_GLIBC
        _check(glibc[0] == 2 and glibc[1] <= 99, text)
        return f"linux-{match[4]}", list(_manylinux(glibc, match[4])), "Linux"
    if match := re.fullmatch(r"(musl|musllinux_(\d+)_(\d+))[-_](x86_64|aarch64)", lower):
        musl = (int(match[2]), int(match[3])) if match[2] else DEFAULT_MUSL
        _check(musl[0] == 1 and musl[1] <= 99, text)
        return f"musl-{match[4]}", list(_musllinux(musl, match[4])), "Linux"
    if match := re.fullmatch(r"(macos|macosx_(\d+)_(\d+))[-_](arm64|x86_64)", lower):
        macos = (int(match[2]), int(match[3])) if match[2] else DEFAULT_MACOS[match[4]]
        _check((10, 4) <= macos <= (99, 99), text)
        return f"macos-{match[4]}", list(_tags.mac_platforms(macos, match[4])), "Darwin"
    if lower in ("windows-x86_64", "win_amd64", "windows-amd64"):
        return "windows-x86_64", ["win_amd64"], "Windows"
    raise BadTarget(
        f"{text[:80]!r} is not a platform that venvery knows",
        hint="platforms: " + ", ".join(PLATFORMS) + "; or with a version, as in manylinux_2_28_x86_64",
    )


def _check(fine: bool, platform: str) -> None:
    if not fine:
        raise BadTarget(f"{platform!r} names a version that no such platform has")


def _manylinux(glibc: tuple[int, int], arch: str) -> Iterator[str]:
    """List the manylinux platforms that a glibc can run, newest first (PEP 600), with the legacy aliases."""
    oldest = 5 if arch == "x86_64" else 17
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    yield f"linux_{arch}"  # `packaging` has it first too: what was built on the spot fits best
    for minor in range(glibc[1], oldest - 1, -1):
        yield f"manylinux_{glibc[0]}_{minor}_{arch}"
        if minor in legacy:
            yield f"{legacy[minor]}_{arch}"


def _musllinux(musl: tuple[int, int], arch: str) -> Iterator[str]:
    """List the musllinux platforms that a musl can run, newest first (PEP 656)."""
    yield f"linux_{arch}"
    for minor in range(musl[1], -1, -1):
        yield f"musllinux_{musl[0]}_{minor}_{arch}"


def _cpython_tags(version: tuple[int, int], threads: bool, platforms: Iterable[str]) -> Iterator[str]:
    platforms = list(platforms)
    nodot = f"cp{version[0]}{version[1]}"
    abi = nodot + "t" if threads else nodot + ("m" if version < (3, 8) else "")
    for tag in _tags.cpython_tags(version, [abi], platforms):
        yield str(tag)
    for tag in _tags.compatible_tags(version, nodot, platforms):
        yield str(tag)


def _platform_of(markers: Mapping[str, str], tags: Sequence[str]) -> str:
    machine = markers["platform_machine"].lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    system = markers["platform_system"]
    if system == "Linux":
        kind = "musl" if any("-musllinux_" in tag for tag in tags) else "linux"
        name = f"{kind}-{ {'arm64': 'aarch64'}.get(machine, machine) }"
    elif system == "Darwin":
        name = f"macos-{ {'aarch64': 'arm64'}.get(machine, machine) }"
    else:
        name = f"{system.lower()}-{machine}"
    if name not in PLATFORMS:
        raise BadTarget(
            f"{name!r} is not a platform that venvery knows", hint="platforms: " + ", ".join(PLATFORMS)
        )
    return name
