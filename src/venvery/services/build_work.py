"""One job, done: fetch (by hash, no code runs), build (in the sandbox), collect (as hostile input), write down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from venvery.builds.front_end import (
    ENVIRONMENT,
    Further,
    Made,
    MadeMetadata,
    MadeWheel,
    Order,
    Place,
    build,
)
from venvery.builds.probing import probe
from venvery.builds.project import BuildSystem, read_build_system
from venvery.catalog.core_metadata import read_metadata
from venvery.catalog.sdists import BROKEN, read_member
from venvery.client.errors import ClientError
from venvery.client.interpreter import Interpreter, find_python, this_interpreter
from venvery.errors import BadInput, BuildFailed, BuildRefused, Unsatisfiable
from venvery.model.build_settings import BuildSettings
from venvery.model.digests import hex_of
from venvery.model.files import CoreMetadata, DistFile, NoMetadata
from venvery.model.names import NormalizedName, parse_name
from venvery.model.targets import Target, short_target, target_from_json
from venvery.model.versions import parse_version
from venvery.resolve.explain import story
from venvery.services.build_place import BuildPlace
from venvery.services.build_runner import Attempt, Outcome
from venvery.storage.built import BuiltWheel

if TYPE_CHECKING:
    from venvery.services.house import House
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["BuildWork", "can_build", "local_scopes"]

_ROUNDS = 3
"""How often a back end may ask for further requirements."""
_GLIBC = re.compile(rb"GLIBC_2\.(\d{1,3})(?!\d)")


def can_build(scope: str) -> bool:
    """Tell whether this machine can build for a family and platform: it has the interpreter, and a sandbox."""
    return probe().sandbox is not None and find_interpreter(scope) is not None


@lru_cache(maxsize=256)
def find_interpreter(scope: str) -> Interpreter | None:
    """Find the interpreter of a family and platform on this machine."""
    family, _, platform = scope.partition("/")
    try:
        found = find_python(family.split("-")[1])
        own = short_target(found.version + found.threads, found.platform)
    except (ClientError, BadInput, IndexError):
        return None
    return found if own.platform == platform else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The body of a job, read."""

    file: DistFile
    do: str
    target: Target
    named: bool
    """False for a project that was sent, of which nobody knows the name."""
    config_settings: Mapping[str, Any]
    view: str | None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> _Asked:
        named = body.get("project") is not None
        file = DistFile(
            body["filename"],
            body["url"],
            parse_name(body["project"]) if named else NormalizedName("unknown"),
            parse_version(body["version"] if named else "0"),
            "sdist",
            sha256=body["sha256"],
            size=body.get("size"),
            source=body.get("source", ""),
        )
        target = target_from_json(body["target"], default_platform="", default_python="")
        return cls(file, body["do"], target, named, body.get("config_settings", {}), body.get("view"))


class BuildWork:
    """Does jobs on one house."""

    def __init__(
        self, house: House, database: Database, blobs: Blobs, settings: BuildSettings, folder: Path
    ) -> None:
        self._house = house
        self._database = database
        self._blobs = blobs
        self._settings = settings
        self._folder = folder
        self._place: BuildPlace | None = None
        self._threads = ThreadPoolExecutor(max(32, 2 * (os.cpu_count() or 1)), "build")

    def close(self) -> None:
        """Remove what was made to work with."""
        self._threads.shutdown(wait=True)
        if self._place is not None:
            self._place.close()
            self._place = None

    async def perform(self, attempt: Attempt) -> Outcome:
        """Do a job. Raises `BuildFailed`, `BuildRefused`, `SourceFailed`, `StorageFailed`."""
        asked = _Asked.of(attempt.job.body)
        python = await asyncio.to_thread(find_interpreter, attempt.job.scope)
        if python is None:
            raise BuildRefused(f"there is no interpreter for {attempt.job.scope} on this worker")
        if self._place is None:
            self._place = await asyncio.to_thread(BuildPlace, self._folder)
        attempt.phase("fetch")
        digest = await self._house.catalog.fetch(asked.file)
        lease = await asyncio.to_thread(self._blobs.hold, [digest])
        try:
            with self._place.output() as output, self._place.output() as copy:
                archive = await asyncio.to_thread(self._as_path, digest, copy)
                system = await asyncio.to_thread(_build_system, asked.file.filename, archive)
                made, pins = await self._build(attempt, asked, python, archive, system, output)
                return await asyncio.to_thread(self._collect, attempt, asked, made, pins, output)
        finally:
            lease.release()

    def _as_path(self, digest: str, copy: BinaryIO) -> Path:
        """Give a blob as a file that can be bound: its own, or a copy where blobs are no files here."""
        path = self._blobs.path(digest)
        if path is not None:
            return path
        with self._blobs.open(digest) as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        return Path(copy.name)

    async def _build(
        self,
        attempt: Attempt,
        asked: _Asked,
        python: Interpreter,
        archive: Path,
        system: BuildSystem,
        output: BinaryIO,
    ) -> tuple[Made, list[Any]]:
        """Ask the back end, in an environment with all that it asked for so far."""
        assert self._place is not None
        project = asked.file.project if asked.named else None
        package = self._settings.package(project)
        order = Order(
            do="metadata" if asked.do == "metadata" else "wheel",
            filename=asked.file.filename,
            system=system,
            target=asked.target,
            project=project,
            version=asked.file.version if asked.named else None,
            config_settings={**package.config_settings, **asked.config_settings},
            variables=package.environment,
        )
        requires = [*system.requires, *package.build_requires]
        for _ in range(_ROUNDS):
            with contextlib.ExitStack() as stack:
                key, make, pins = await self._environment(attempt, requires, python, asked.view, stack)
                environment = await asyncio.to_thread(stack.enter_context, self._place.environment(key, make))
                place = Place(archive, environment, Path(python.base).resolve(), output)
                made = await self._in_sandbox(attempt, order, place)
            if not isinstance(made, Further):
                return made, pins
            attempt.say(f"== further requirements: {', '.join(made.requires)}")
            requires += made.requires
            order = replace(order, satisfied=True)
            output.seek(0)
            output.truncate()
        raise BuildFailed("the build back end asks for further requirements again and again")

    async def _environment(
        self,
        attempt: Attempt,
        requires: Sequence[str],
        python: Interpreter,
        view: str | None,
        stack: contextlib.ExitStack,
    ) -> tuple[str, Callable[[Path], None], list[Any]]:
        """Resolve and assemble a build environment: its key, what makes it in a folder, and its pins."""
        from venvery.client.sync import SyncRequest, sync
        from venvery.services.archive_stream import ArchiveStream

        base = str(Path(python.base).resolve())
        body: dict[str, Any] = {
            "requirements": [{"requirement": text, "origin": "build-system.requires"} for text in requires],
            "constraints": [
                {"requirement": text, "origin": "build-constraints"} for text in self._settings.constraints
            ],
            "target": python.target,
            "python": base,
            "prefix": ENVIRONMENT,
        }
        if view is not None:
            body["view"] = view
        attempt.phase("resolve")
        attempt.say(f"== build environment: {', '.join(requires) or 'nothing is required'}")
        try:
            asked = self._house.read(body)
            lock = (await self._house.resolve(asked)).lock
            attempt.phase("assemble")
            made = await self._house.environment(replace(asked, lock=lock))
        except Unsatisfiable as error:
            told = story(error.explanation) if error.explanation else str(error)
            attempt.say(told)
            raise BuildFailed(f"what its build requires cannot be had: {error}", hint=error.hint) from None
        pins = [[str(pin.project), str(pin.version)] for pin in lock.pins]
        attempt.say("   " + " ".join("==".join(pin) for pin in pins))
        sendable = await self._house.sendable(made, asked.place, "zstd")
        stack.callback(sendable.close)

        def make(folder: Path) -> None:
            request = SyncRequest(body, made.manifest.key, base, "venvery")
            stream = ArchiveStream(sendable, "application/x-tar+zstd")
            sync(str(folder), request, lambda _body, _accept: stream, workers=1, processes=False)

        return f"{made.manifest.key}-{python.version}", make, pins

    async def _in_sandbox(self, attempt: Attempt, order: Order, place: Place) -> Made:
        sandbox = probe().sandbox
        if sandbox is None:
            raise BuildRefused(f"there is no sandbox here: {probe().why_not}", hint=probe().hint)
        work = partial(
            build,
            sandbox,
            order,
            place,
            self._settings.limits,
            log=attempt.log.write,
            on_phase=attempt.phase,
            stop=attempt.stop,
        )
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            attempt.stop.set()
            await asyncio.wait([running])  # nothing of it outlives the attempt
            running.exception()
            raise

    def _collect(self, attempt: Attempt, asked: _Asked, made: Made, pins: list[Any], output: BinaryIO) -> Outcome:
        """Take over what was made: blobs first, rows later."""
        if isinstance(made, MadeMetadata):
            return self._collect_metadata(attempt, asked.file, made)
        assert isinstance(made, MadeWheel)
        glibc = _needed_glibc(output)
        output.seek(0)
        stored = self._blobs.put(output)
        wheel = BuiltWheel(made.filename, stored.digest, stored.size, glibc)
        metadata = None
        if asked.do == "metadata":
            metadata = self._metadata_of(asked.file, output, made.filename)
        project = str(made.name.project)

        def write(transaction: Transaction) -> None:
            key = attempt.job.body["wheel_key"]
            self._database.built.put_wheel(transaction, key, project, wheel, pins)
            if metadata is not None:
                self._database.built.put_metadata(transaction, attempt.job.body["metadata_key"], metadata)

        told = {"filename": wheel.filename, "sha256": hex_of(wheel.digest), "size": wheel.size, "made_with": pins}
        return Outcome({"wheel": told}, write)

    def _collect_metadata(self, attempt: Attempt, file: DistFile, made: MadeMetadata) -> Outcome:
        metadata = _checked(read_metadata(made.data, file))

        def write(transaction: Transaction) -> None:
            self._database.built.put_metadata(transaction, attempt.job.body["metadata_key"], metadata)

        return Outcome({"metadata": list(metadata.requires_dist)}, write)

    def _metadata_of(self, file: DistFile, wheel: BinaryIO, filename: str) -> CoreMetadata:
        """Read the metadata of a wheel that was built to learn it; it was checked before."""
        wheel.seek(0)
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return _checked(read_metadata(archive.read(name), file))


def _checked(metadata: CoreMetadata | NoMetadata) -> CoreMetadata:
    if isinstance(metadata, NoMetadata):
        raise BuildFailed(f"the build gave metadata that cannot be used: {metadata.reason}")
    return metadata


def _build_system(filename: str, archive: Path) -> BuildSystem:
    try:
        with archive.open("rb") as data:
            text = read_member(filename, data, "pyproject.toml")
    except BROKEN as error:
        raise BuildFailed(f"the source distribution is damaged: {error}") from None
    return read_build_system(text)


def _needed_glibc(wheel: BinaryIO) -> int:
    """Find the newest glibc that a compiled module asks for by version (gABI, "Symbol Versioning")."""
    needed = 0
    wheel.seek(0)
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                if member.read(4) != b"\x7fELF":
                    continue
                last = b""
                while piece := member.read(1 << 20):
                    versions = _GLIBC.findall(last + piece)
                    needed = max([needed, *map(int, versions)])
                    last = piece[-16:]
    return needed


def local_scopes() -> list[str]:
    """List the families and platforms that this machine can build for."""
    here = this_interpreter()
    platform = short_target(here.version + here.threads, here.platform).platform
    found = {".".join(here.version.split(".")[:2]) + here.threads}
    # Only those that have a program of their name: to ask others again and again takes long.
    named = [f"3.{minor}" for minor in range(8, 30)] + [f"3.{minor}t" for minor in range(13, 30)]
    found |= {version for version in named if shutil.which(f"python{version}")}
    scopes = sorted(short_target(version, platform).scope for version in found)
    return [scope for scope in scopes if can_build(scope)]
