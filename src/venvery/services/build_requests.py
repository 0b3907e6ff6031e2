"""What people ask of builds directly: a project or source distribution that they send, and the jobs there are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from venvery.errors import BadInput, BuildRefused, NotFound
from venvery.model.digests import canonical_json, hex_of, sha256
from venvery.model.files import parse_filename
from venvery.model.jobs import BadTransition, Job, JobEvent
from venvery.model.targets import Target
from venvery.storage.blobs import Stored

if TYPE_CHECKING:
    from venvery.services.building import Builds
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["JobDesk", "submit_source"]


async def submit_source(
    builds: Builds,
    database: Database,
    stored: Stored,
    filename: str,
    target: Target,
    config_settings: Mapping[str, Any],
) -> Job:
    """Queue the build of a source that lies in the blobs already: an sdist by its name, or a project's folder.

    Raises `BadInput`, `BuildRefused`, `BuildFailed`.
    """
    if PurePosixPath(filename).name != filename or not filename.endswith((".tar.gz", ".zip")):
        raise BadInput(f"{filename[:80]!r} is not the name of a .tar.gz or .zip")
    name = parse_filename(filename)
    project = None if name is None or name.kind != "sdist" else name.project
    settings = builds.settings
    if settings.sdists == "never" or (settings.sdists == "allowlist" and project not in settings.allow):
        raise BuildRefused(
            f"{project or 'a project that is sent'} is not built here",
            hint=f'the configuration says sdists = "{settings.sdists}" in [builds]',
        )
    await asyncio.to_thread(database.files.put, f"sent:{hex_of(stored.digest)}", stored)
    options = settings.options(project, config_settings)
    key = sha256(canonical_json(["wheel", stored.digest, target.scope, options]))
    body = {
        "do": "wheel",
        "filename": filename,
        "url": "",
        "sha256": hex_of(stored.digest),
        "size": stored.size,
        "project": None if project is None else str(project),
        "version": None if name is None else str(name.version),
        "target": target.to_json(),
        "config_settings": dict(config_settings),
        "wheel_key": key,
    }
    title = f"build {filename}" if project is None or name is None else f"build {project} {name.version}"
    return await builds.submit(key, title, target.scope, body)


class JobDesk:
    """Jobs, as people look at them."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._jobs = database.jobs
        self._blobs = blobs

    def get(self, id: str) -> Job:
        """Give a job. Raises `NotFound`."""
        job = self._jobs.get(id)
        if job is None:
            raise NotFound(f"no job is known under {id[:80]}")
        return job

    def describe(self, job: Job) -> dict[str, Any]:
        """Write a job as `/v1/jobs/{id}` shows it, with the phase it is in."""
        told = job.to_json()
        phases = [event.data for event in self._jobs.events(job.id) if event.kind == "phase"] if job.active else []
        if phases:
            told["phase"] = phases[-1]
        base = f"/v1/jobs/{job.id}"
        return told | {"links": {"self": base, "events": f"{base}/events", "log": f"{base}/log"}}

    def newest(self, most: int, *, active: bool = False) -> list[Job]:
        """List jobs, the newest first."""
        return self._jobs.newest(most, active=active)

    def events(self, id: str, after: int) -> list[JobEvent]:
        """Give what happened in a job after an event."""
        return self._jobs.events(id, after)

    def log(self, id: str) -> str:
        """Give the log of a job, as far as it was kept. Raises `NotFound`."""
        self.get(id)
        return self._jobs.log(id)

    def cancel(self, id: str) -> Job:
        """End a job. Raises `NotFound`, `BadInput` when it has ended already."""
        return self._found(id, self._change(id, "cancel"))

    def retry(self, id: str) -> Job:
        """Queue a job again. Raises `NotFound`, `BadInput` when it did not fail."""
        return self._found(id, self._change(id, "retry"))

    def _change(self, id: str, what: str) -> Job | None:
        try:
            return self._jobs.cancel(id) if what == "cancel" else self._jobs.retry(id)
        except BadTransition as error:
            raise BadInput(f"the job is {error.state}: there is nothing to {what}") from None

    def _found(self, id: str, job: Job | None) -> Job:
        if job is None:
            raise NotFound(f"no job is known under {id[:80]}")
        return job

    def wheel(self, id: str) -> tuple[str, BinaryIO, int]:
        """Give the wheel that a job made: its name, its bytes, their number. Raises `NotFound`."""
        job = self.get(id)
        made = (job.result or {}).get("wheel")
        if made is None:
            raise NotFound(f"the job {id} has made no wheel", hint=f"it is {job.state}")
        return made["filename"], self._blobs.open(f"sha256:{made['sha256']}"), made["size"]
