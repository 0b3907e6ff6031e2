"""What the configuration says of building source distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from venvery.model.digests import canonical_json, sha256
from venvery.model.names import NormalizedName

__all__ = ["BuildLimits", "BuildSettings", "PackageBuild", "SdistPolicy"]

SdistPolicy = Literal["never", "allowlist", "sandboxed"]

RECIPE = 1
"""Counted up when builds come to be made otherwise, so that what was made before is made again."""


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What one run in the sandbox may use; more of it ends the run."""

    memory_bytes: int = 4 << 30
    """Of all its processes together, and of its files, which lie in memory."""
    disk_bytes: int = 2 << 30
    """Of all files that it writes: sources, temporary files, what it builds."""
    processes: int = 256
    cpu_seconds: int = 3600
    wall_seconds: float = 1800.0
    output_bytes: int = 512 << 20
    """Of the wheel."""
    log_bytes: int = 1 << 20
    """Of the log that is kept: its beginning and its end. What lies between is counted and left out."""
    open_files: int = 4096
    cpus: float = 0.0
    """Processors that it may keep busy, where control groups can say so. 0: as many as there are."""


@dataclass(frozen=True, slots=True)
class PackageBuild:
    """How one project is built."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its build sees."""
    config_settings: Mapping[str, str | list[str]] = field(default_factory=dict)
    """For its back end (PEP 517)."""
    build_requires: tuple[str, ...] = ()
    """Requirements that it needs to build and does not state."""


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Who is built, how, and with what limits."""

    sdists: SdistPolicy = "sandboxed"
    allow: frozenset[NormalizedName] = frozenset()
    """The projects of the allowlist."""
    no_binary: frozenset[NormalizedName] = frozenset()
    """Projects that are always built, whatever wheels there are."""
    constraints: tuple[str, ...] = ()
    """Constraints on what build environments are made of."""
    packages: Mapping[NormalizedName, PackageBuild] = field(default_factory=dict)
    concurrency: int = 0
    """Builds at once. 0: as many as there are processors."""
    limits: BuildLimits = field(default_factory=BuildLimits)

    @property
    def identity(self) -> str:
        """A digest of all that decides which source distributions are built, and how; limits do not."""
        packages = [[name, self.options(name, {})] for name in sorted(self.packages)]
        said = [RECIPE, self.sdists, sorted(self.allow), sorted(self.no_binary), self.constraints, packages]
        return sha256(canonical_json(said))

    def package(self, project: NormalizedName | None) -> PackageBuild:
        """Give how a project is built."""
        return self.packages.get(project, PackageBuild()) if project is not None else PackageBuild()

    def options(self, project: NormalizedName | None, config_settings: Mapping[str, Any]) -> str:
        """Give a digest of all that, beside source and target, decides what a build makes."""
        package = self.package(project)
        settings = {**package.config_settings, **config_settings}
        said = [RECIPE, self.constraints, dict(package.environment), settings, package.build_requires]
        return sha256(canonical_json(said))
