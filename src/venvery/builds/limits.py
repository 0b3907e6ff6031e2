"""How much one build may use up."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BuildLimits"]


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
