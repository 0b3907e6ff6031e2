"""Source distributions as wheels: who needs one asks here, and waits with all others who need the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.errors import BuildFailed, BuildRefused, NotFound, NoUsableFile, StorageFailed
from venvery.model.build_settings import BuildSettings
from venvery.model.digests import canonical_json, hex_of, sha256
from venvery.model.files import CoreMetadata, DistFile, NoMetadata, parse_filename
from venvery.model.jobs import Job
from venvery.model.lock import Lock, Pin
from venvery.model.targets import Target
from venvery.services.build_runner import POLL, Runner, current_job
from venvery.services.rights import VISITOR
from venvery.services.watching import watching
from venvery.storage.built import BuiltWheel
from venvery.storage.jobs import Cycle

if TYPE_CHECKING:
    from venvery.services.build_work import BuildWork
    from venvery.services.house import House
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["Builds"]

_WAITED_FOR = 10
"""The priority of what somebody waits for."""
_REMEMBERED = 600.0
"""Seconds for which a failed build is not begun again by itself: it would fail again."""
_SEEN = 30.0
"""Seconds after which a worker that was not heard of counts as gone."""
_KEPT = 30 * 86400.0
"""Seconds for which a job that has ended is kept, with its log."""
_TIDY_EVERY = 3600.0
_TAIL = 4000
"""Characters of the end of a log that go with an error."""


class Builds:
    """What is built, is being built, and may be built."""

    def __init__(
        self, house: House, database: Database, blobs: Blobs, settings: BuildSettings, folder: Path
    ) -> None:
        self.settings = settings
        self._house = house
        self._database = database
        self._blobs = blobs
        self._folder = folder
        self._ended: dict[str, asyncio.Event] = {}
        self._work: BuildWork | None = None
        self._runner: Runner | None = None
        self._announcing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ what a request needs

    async def complete(self, lock: Lock, target: int = 0) -> Lock:
        """Give the lock with a wheel for every pin that has none for the target, built from its sdist.

        Raises `NoUsableFile` where there is nothing to build, `BuildRefused`, `BuildFailed`.
        """
        needy = [pin for pin in lock.pins_for(target) if not _has_wheel(lock, pin, target)]
        if not needy:
            return lock
        sdists = {pin.project: _sdist_of(lock, pin, target) for pin in needy}
        built = await _all([self.wheel(sdist, lock.targets[target]) for sdist in sdists.values()])
        wheels = dict(zip(sdists, built, strict=True))
        pins = (
            replace(pin, files=(wheels[pin.project], *pin.files), hashes=()) if pin in needy else pin
            for pin in lock.pins
        )
        return replace(lock, pins=tuple(pins))

    async def wheel(self, sdist: DistFile, target: Target) -> DistFile:
        """Give the wheel of a source distribution, building it when nobody has."""
        self._check(sdist)
        body = await self._body(sdist, target, "wheel")
        key = body["wheel_key"]
        if self._known(key) is None:
            await self.job(key, f"build {sdist.project} {sdist.version}", target.scope, body)
        found = self._known(key)
        if found is None:
            raise NotFound(f"the wheel of {sdist.filename} was removed again", hint="ask once more")
        _check_glibc(found, target)
        return _as_file(found, sdist)

    async def metadata(self, sdist: DistFile, target: Target) -> CoreMetadata | NoMetadata:
        """Give metadata that only the build back end can tell, or why it cannot be had."""
        try:
            self._check(sdist)
            body = await self._body(sdist, target, "metadata")
            key = body["metadata_key"]
            known = await asyncio.to_thread(self._database.built.metadata, key)
            if known is None:
                title = f"read the metadata of {sdist.project} {sdist.version}"
                await self.job(key, title, target.scope, body)
                known = await asyncio.to_thread(self._database.built.metadata, key)
        except BuildRefused as refused:
            return NoMetadata(f"its metadata is known only after a build, and {refused}")
        except BuildFailed as failed:
            return NoMetadata(f"its metadata is known only after a build, which failed: {failed}")
        return known or NoMetadata("its metadata was removed again")

    def _check(self, sdist: DistFile) -> None:
        """Hold a source distribution against the configuration. Raises `BuildRefused`."""
        settings = self.settings
        if settings.sdists == "never":
            raise BuildRefused(
                f"{sdist.project} {sdist.version} has only a source distribution, and none are built here",
                hint='the configuration says sdists = "never" in [builds]; ask for another version',
            )
        if settings.sdists == "allowlist" and sdist.project not in settings.allow:
            raise BuildRefused(
                f"{sdist.project} is not among the projects that are built here",
                hint=f'add "{sdist.project}" to allow in [builds] of the configuration',
            )

    async def _body(self, sdist: DistFile, target: Target, do: str) -> dict[str, Any]:
        """Write what a job has to know; its keys are those of what comes of it."""
        digest = await self._house.catalog.fetch(sdist)
        made_from = [digest, target.scope, self.settings.options(sdist.project, {})]
        return {
            "do": do,
            "filename": sdist.filename,
            "url": sdist.url,
            "sha256": hex_of(digest),
            "size": sdist.size,
            "source": sdist.source,
            "project": str(sdist.project),
            "version": str(sdist.version),
            "target": target.to_json(),
            "wheel_key": sha256(canonical_json(["wheel", *made_from])),
            "metadata_key": sha256(canonical_json(["metadata", *made_from])),
        }

    def _known(self, key: str) -> BuiltWheel | None:
        found = self._database.built.wheel(key)
        return found if found is not None and self._blobs.use(found.digest) else None

    # ------------------------------------------------------------------ jobs

    async def job(self, key: str, title: str, scope: str, body: Mapping[str, Any]) -> Job:
        """Have a job done, or join it when it is under way. Raises `BuildFailed`, `BuildRefused`."""
        job = await self.submit(key, title, scope, body)
        if (watch := watching.get()) is not None:
            watch(job)
        parent = current_job.get()
        with parent.waiting() if parent is not None else contextlib.nullcontext():
            job = await self.ended(job.id)
        if job.state != "done":
            raise await asyncio.to_thread(self._failure, job)
        return job

    async def submit(self, key: str, title: str, scope: str, body: Mapping[str, Any]) -> Job:
        """Queue a job, or give the one that is under way. Raises `BuildFailed`, `BuildRefused`."""
        VISITOR.get().need("build")
        await asyncio.to_thread(self._check_worker, scope)
        before = await asyncio.to_thread(self._database.jobs.latest, key)
        if before is not None and before.state == "failed" and self._is_recent(before):
            raise await asyncio.to_thread(self._failure, before)
        parent = current_job.get()
        try:
            job = await asyncio.to_thread(
                self._database.jobs.submit,
                key,
                f"{title} for {_in_words(scope)}",
                scope,
                dict(body),
                priority=_WAITED_FOR,
                parent=None if parent is None else parent.job.id,
            )
        except Cycle:
            raise BuildFailed(f"to {title} it has to be built already: its build requirements need it") from None
        self._ended.setdefault(job.id, asyncio.Event())
        self.runner.want(job.id)
        return job

    def _is_recent(self, job: Job) -> bool:
        return self._database.clock() - (job.finished_at or 0.0) < _REMEMBERED

    def _check_worker(self, scope: str) -> None:
        """See that somebody can build for a family and platform. Raises `BuildRefused`."""
        from venvery.builds.probing import probe
        from venvery.services.build_work import can_build

        if can_build(scope):
            return
        if any(scope in scopes for scopes in self._database.jobs.workers(_SEEN).values()):
            return
        why_not = probe().why_not
        if why_not is not None:
            raise BuildRefused(
                f"source distributions cannot be built safely on this machine: {why_not}", hint=probe().hint
            )
        raise BuildRefused(
            f"no worker here builds for {_in_words(scope)}",
            hint="it takes a venvery worker, or a server, on such a machine with that Python",
        )

    async def ended(self, id: str) -> Job:
        """Wait until a job has ended, wherever it is worked on. Raises `NotFound`."""
        event = self._ended.setdefault(id, asyncio.Event())
        while True:
            job = await asyncio.to_thread(self._database.jobs.get, id)
            if job is None:
                raise NotFound(f"no job is known under {id}")
            if not job.active:
                self._ended.pop(id, None)
                return job
            event.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), POLL / 2)

    def _failure(self, job: Job) -> BuildFailed:
        tail = self._database.jobs.log(job.id)[-_TAIL:]
        what = "was cancelled" if job.state == "cancelled" else f"failed: {job.reason}"
        return BuildFailed(f"{job.title}: it {what}", hint=job.hint, job=job.id, log=tail)

    def _on_end(self, id: str) -> None:
        event = self._ended.get(id)
        if event is not None:
            event.set()

    # ------------------------------------------------------------------ the runner

    @property
    def runner(self) -> Runner:
        """What works off the jobs in this process; it takes those that are waited for here."""
        if self._runner is None:
            self._runner = self._make_runner(takes_all=False)
        return self._runner

    def work_for_all(self) -> None:
        """Work off every job that this machine can do, as a server and a worker do."""
        if self.settings.sdists != "never" and self._runner is None:
            self._runner = self._make_runner(takes_all=True)
            self._runner.start()
            self._announcing = asyncio.get_running_loop().create_task(self._announce(self._runner))

    def _make_runner(self, *, takes_all: bool) -> Runner:
        from venvery.services.build_work import BuildWork, can_build

        self._work = BuildWork(self._house, self._database, self._blobs, self.settings, self._folder)
        return Runner(
            self._database,
            self._work.perform,
            can_build,
            concurrency=self.settings.concurrency,
            log_bytes=self.settings.limits.log_bytes,
            on_end=self._on_end,
            takes_all=takes_all,
        )

    async def _announce(self, runner: Runner) -> None:
        """Say again and again that we are there, and for what."""
        from venvery.services.build_work import local_scopes

        scopes = await asyncio.to_thread(local_scopes)
        tidied = 0.0
        while True:
            with contextlib.suppress(StorageFailed):  # the runner tells of it
                await asyncio.to_thread(self._database.jobs.announce, runner.name, scopes)
                if self._database.clock() - tidied > _TIDY_EVERY:
                    tidied = self._database.clock()
                    await asyncio.to_thread(self._database.jobs.forget_old, _KEPT)
            await asyncio.sleep(_SEEN / 3)

    async def close(self) -> None:
        """Stop in good order."""
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.gather(self._announcing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.stop()
        if self._work is not None:
            await asyncio.to_thread(self._work.close)


def _in_words(scope: str) -> str:
    """Say what a scope is: `cpython-3.11-posix/linux-x86_64` is Python 3.11 on linux-x86_64."""
    family, _, platform = scope.partition("/")
    return f"Python {family.split('-')[1]} on {platform}"


def _has_wheel(lock: Lock, pin: Pin, target: int) -> bool:
    try:
        lock.wheel_for(pin, target)
    except NoUsableFile:
        return False
    return True


def _sdist_of(lock: Lock, pin: Pin, target: int) -> DistFile:
    """Choose the source distribution of a pin. Raises `NoUsableFile`."""
    for file in pin.files:
        if file.kind == "sdist" and (not pin.hashes or f"sha256:{file.sha256}" in pin.hashes):
            return file
    lock.wheel_for(pin, target)  # says what is missing
    raise NoUsableFile(f"{pin.project} {pin.version} has no file that can be used")


def _as_file(found: BuiltWheel, sdist: DistFile) -> DistFile:
    name = parse_filename(found.filename)
    assert name is not None
    return DistFile(
        found.filename,
        sdist.url,
        name.project,
        name.version,
        "wheel",
        name.tag,
        name.build,
        hex_of(found.digest),
        found.size,
        source=sdist.source,
    )


def _check_glibc(found: BuiltWheel, target: Target) -> None:
    """See that the target's C library is new enough for what was compiled here. Raises `BuildRefused`."""
    versions = [int(tag.split("_")[2]) for tag in target.tags if "-manylinux_2_" in tag]
    if found.glibc and versions and found.glibc > max(versions):
        raise BuildRefused(
            f"{found.filename} was built here against glibc 2.{found.glibc}; {target} may have 2.{max(versions)}",
            hint=f"name the target's C library, as in --platform manylinux_2_{found.glibc}_x86_64",
        )


async def _all(work: list[Any]) -> list[Any]:
    """Wait for everything; the first failure is told once the rest has its jobs."""
    return list(await asyncio.gather(*work))
