"""The build front end (PEP 517): one source distribution, one environment to build in, one wheel or its metadata.

All code of others runs in the sandbox, the unpacking too. What comes out is checked here as an upload would be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import pyproject_hooks

from venvery.builds.hints import find_hint
from venvery.builds.project import BuildSystem
from venvery.builds.results import Results
from venvery.builds.sandbox import HOME, ROOM, Mount, Ran, Sandbox, Task
from venvery.environments.wheel import Wheel
from venvery.errors import BuildFailed, LimitExceeded, SourceGarbage
from venvery.model.build_settings import BuildLimits
from venvery.model.files import FileName, parse_filename
from venvery.model.names import NormalizedName
from venvery.model.targets import Target
from venvery.model.versions import Version

__all__ = ["ENVIRONMENT", "Further", "Made", "MadeMetadata", "MadeWheel", "Order", "Place", "build"]

ENVIRONMENT = f"{ROOM}/env"
"""Where the build environment lies inside."""

_INSIDE = Path(__file__).with_name("inside.py")
_HOOKS = Path(pyproject_hooks.__file__).parent
_TOOLS = f"{ROOM}/tools"
_TAIL = 60_000
"""Bytes of the log's end in which a hint is looked for."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made."""

    do: Literal["wheel", "metadata"]
    filename: str
    """Of the source distribution; for a project's folder that was sent, whatever it was packed as."""
    system: BuildSystem
    target: Target
    project: NormalizedName | None = None
    """What it must turn out to be; None: whatever it says that it is."""
    version: Version | None = None
    config_settings: Mapping[str, str | list[str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    satisfied: bool = False
    """True once the environment has what the back end asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """What this machine gives to a build."""

    archive: Path
    """The source distribution."""
    environment: Path
    """The folder with the build environment, made for `ENVIRONMENT`."""
    python: Path
    """The base interpreter of the target."""
    output: BinaryIO
    """Takes the bytes of the wheel."""


@dataclass(frozen=True, slots=True)
class Further:
    """The back end requires more; it has to be asked again in an environment that has it."""

    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeMetadata:
    """The core metadata, and nothing else."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MadeWheel:
    """A wheel whose bytes are in the place's output, checked."""

    filename: str
    name: FileName


Made = Further | MadeMetadata | MadeWheel


def build(
    sandbox: Sandbox,
    order: Order,
    place: Place,
    limits: BuildLimits,
    *,
    log: Callable[[bytes], None],
    on_phase: Callable[[str], None],
    stop: threading.Event,
) -> Made:
    """Run the back end. Blocks. Raises `BuildFailed`, with a hint where the log has one; `StorageFailed`."""
    tail = _Tail(log)
    results = Results(place.output, on_phase)
    ran = sandbox.run(_task(order, place), limits, log=tail, take=results.feed, stop=stop)
    if ran.ending != "exited" or ran.code != 0:
        raise _failure(ran, results, limits, tail.text)
    if results.requires:
        return Further(results.requires)
    if results.metadata is not None and order.do == "metadata":
        return MadeMetadata(results.metadata)
    if not results.wheel_whole or results.wheel_name is None:
        raise BuildFailed("the build ended without a result")
    place.output.flush()
    return _check_wheel(order, results.wheel_name, place.output)


def _task(order: Order, place: Place) -> Task:
    prefix = place.python.parent.parent
    archive = f"{ROOM}/in/{_plain_name(order.filename)}"
    mounts = [
        Mount(place.archive, archive),
        Mount(place.environment, ENVIRONMENT),
        Mount(_INSIDE, f"{_TOOLS}/inside.py"),
        Mount(_HOOKS, f"{_TOOLS}/pyproject_hooks"),
    ]
    if not prefix.is_relative_to("/usr"):
        mounts.append(Mount(prefix, str(prefix)))  # an interpreter does not relocate: it lies where it lay
    said = {
        "archive": archive,
        "do": order.do,
        "backend": order.system.backend,
        "backend_path": list(order.system.backend_path),
        "config_settings": dict(order.config_settings),
        "satisfied": order.satisfied,
    }
    command = (str(place.python), "-I", "-B", "-u", f"{_TOOLS}/inside.py", json.dumps(said))
    return Task(command, mounts, {**_VARIABLES, **order.variables})


_VARIABLES = {
    "PATH": f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "TMPDIR": f"{ROOM}/tmp",
    "VIRTUAL_ENV": ENVIRONMENT,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "NO_COLOR": "1",
    # The same source is to give the same bytes, as far as its back end lets it.
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "CARGO_NET_OFFLINE": "true",
}


def _plain_name(filename: str) -> str:
    """Give a name under which the archive lies inside, with nothing in it but the ending that counts."""
    return "source.zip" if filename.endswith(".zip") else "source.tar.gz"


def _failure(ran: Ran, results: Results, limits: BuildLimits, said: str) -> BuildFailed:
    reasons = {
        "time": f"it took more than {limits.wall_seconds:.0f} seconds",
        "cpu": f"it used more than {limits.cpu_seconds} seconds of processor time",
        "memory": f"it used more than {limits.memory_bytes >> 20} MiB of memory",
        "output": f"it handed out more than {limits.output_bytes >> 20} MiB",
        "stopped": "it was stopped",
        "exited": results.failed or f"it ended with {ran.code}",
    }
    hint = "raise the limit in [builds] of the configuration" if ran.ending in ("time", "cpu", "memory") else None
    return BuildFailed(reasons[ran.ending], hint=find_hint(said) if ran.ending == "exited" else hint)


def _check_wheel(order: Order, filename: str, output: BinaryIO) -> MadeWheel:
    """Hold what came out against what was promised, and every file in it against its RECORD."""
    name = parse_filename(filename) if Path(filename).name == filename else None
    if name is None or name.kind != "wheel":
        raise BuildFailed(f"the build made {filename[:100]!r}, which is not the name of a wheel")
    promised, made = (order.project or name.project, order.version or name.version), (name.project, name.version)
    if made != promised:
        raise BuildFailed(f"the build made {made[0]} {made[1]} and not {promised[0]} {promised[1]}")
    if order.target.rank(name.tag) is None:
        raise BuildFailed(f"the build made a wheel for {name.tag}, which {order.target} cannot use")
    try:
        output.seek(0)
        wheel = Wheel(output, filename, order.target.family.os)
        for file in wheel.files:
            for _chunk in wheel.chunks(file):
                pass
    except (SourceGarbage, LimitExceeded) as error:
        raise BuildFailed(f"the build made a wheel that cannot be used: {error}") from None
    return MadeWheel(filename, name)


class _Tail:
    """Passes the log on, and remembers its end."""

    def __init__(self, log: Callable[[bytes], None]) -> None:
        self._log = log
        self._end = bytearray()

    def __call__(self, piece: bytes) -> None:
        self._log(piece)
        self._end += piece
        if len(self._end) > 2 * _TAIL:
            del self._end[:-_TAIL]

    @property
    def text(self) -> str:
        return self._end[-_TAIL:].decode("utf-8", "replace")
