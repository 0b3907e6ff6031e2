"""The runner: takes jobs from the table and sees them through, as many at once as the machine has processors.

It is the same in a server, in a command, and as `venvery worker`. It holds a lease on each of its jobs and renews
it; who cannot renew has lost the job, stops, and is not heard any more. Another runner takes over what a dead one
has left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from venvery.errors import AnswerIsNo, BadInput, SourceFailed, StorageFailed, VenveryError
from venvery.model.jobs import Job
from venvery.services.build_log import BuildLog
from venvery.storage.database import Database

if TYPE_CHECKING:
    from venvery.storage.transactions import Transaction

__all__ = ["BEAT", "LEASE", "POLL", "Attempt", "Outcome", "Runner", "current_job"]

LEASE = 8.0
"""Seconds after which a job whose worker gives no sign of life goes to another one."""
BEAT = 2.0
POLL = 1.0
"""Seconds between two looks into the table; who submits here wakes the runner directly."""
_TELL = 0.2
"""Seconds for which what was said waits for more of its kind."""
_BACK_OFF = 2.0
"""Seconds before a second attempt; doubled with each."""

current_job: ContextVar[Attempt | None] = ContextVar("current_job", default=None)
"""The attempt that this task works for."""

_log = structlog.get_logger("venvery.builds")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job made."""

    result: Mapping[str, Any]
    write: Callable[[Transaction], None]
    """Writes it down, in the transaction that ends the job: both happen, or neither."""


class Attempt:
    """One attempt at a job, by this process."""

    def __init__(self, job: Job, database: Database, log_bytes: int, runner: Runner) -> None:
        self.job = job
        self.stop = threading.Event()
        """Set when it is to end."""
        self.log = BuildLog(log_bytes)
        self._jobs = database.jobs
        self._runner = runner
        self._phases: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def phase(self, name: str) -> None:
        """Tell what it does now."""
        with self._lock:
            self._phases += [("log", piece) for piece in self.log.take()]
            self._phases.append(("phase", name))

    def say(self, text: str) -> None:
        """Add a line to the log."""
        self.log.write(f"{text}\n".encode())

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """Leave its place to others while it waits for another job."""
        return self._runner.place_is_free()

    def flush(self, *, last: bool = False) -> bool:
        """Write down what was said; False when the job is not ours any more."""
        with self._lock:
            events, self._phases = self._phases, []
        events += [("log", piece) for piece in (self.log.end() if last else self.log.take())]
        return not events or self._jobs.tell(self.job.id, self.job.attempt, events)

    def beat(self) -> bool:
        """Renew the lease; False when the job is not ours any more."""
        return self._jobs.beat(self.job.id, self.job.attempt, LEASE)


class Runner:
    """Works off jobs until it is stopped."""

    def __init__(
        self,
        database: Database,
        perform: Callable[[Attempt], Awaitable[Outcome]],
        can: Callable[[str], bool],
        *,
        concurrency: int,
        log_bytes: int,
        on_end: Callable[[str], None] = lambda _job: None,
        takes_all: bool = True,
    ) -> None:
        """`can` tells for which families and platforms it can build; `on_end` hears of each job that ended.

        `takes_all=False`: it takes only jobs for which someone in this process waits.
        """
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._database = database
        self._perform = perform
        self._can = can
        self._most = concurrency or os.cpu_count() or 1
        self._log_bytes = log_bytes
        self._on_end = on_end
        self._takes_all = takes_all
        self._wanted: set[str] = set()
        self._running: dict[asyncio.Task[None], Job] = {}
        self._away = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())

    def want(self, job: str) -> None:
        """Say that someone here waits for a job, and look for it at once."""
        self._wanted.add(job)
        self.start()
        self._wake.set()

    @contextlib.contextmanager
    def place_is_free(self) -> Iterator[None]:
        """Let another job run in the place of one that waits."""
        self._away += 1
        self._wake.set()
        try:
            yield
        finally:
            self._away -= 1

    async def stop(self) -> None:
        """Stop in good order: jobs that are under way go back into the queue."""
        tasks = [task for task in (self._loop, *self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._loop is not None and self._takes_all:
            with contextlib.suppress(StorageFailed):
                await asyncio.to_thread(self._database.jobs.leave, self.name)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except StorageFailed as error:
                _log.warning("jobs cannot be looked for", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL)

    async def _look(self) -> None:
        """Take over what dead workers left, then take jobs while there is a place for them."""
        await asyncio.to_thread(self._database.jobs.take_back)
        while len(self._running) - self._away < self._most:
            only = None if self._takes_all else self._wanted
            job = await asyncio.to_thread(self._database.jobs.claim, self.name, self._can, LEASE, only=only)
            if job is None:
                return
            task = asyncio.get_running_loop().create_task(self._see_through(job))
            self._running[task] = job
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        self._wanted.discard(job.id)
        self._on_end(job.id)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a job could not be ended", job=job.id, exc_info=error)

    async def _see_through(self, job: Job) -> None:
        attempt = Attempt(job, self._database, self._log_bytes, self)
        current_job.set(attempt)
        jobs, mine = self._database.jobs, (job.id, job.attempt)
        work = asyncio.ensure_future(self._perform(attempt))
        beating = asyncio.get_running_loop().create_task(self._keep(attempt, work))
        try:
            try:
                outcome = await work
            finally:
                attempt.stop.set()
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
                with contextlib.suppress(StorageFailed):
                    await asyncio.to_thread(attempt.flush, last=True)
            await asyncio.to_thread(jobs.finish, *mine, dict(outcome.result), outcome.write)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            with contextlib.suppress(StorageFailed):
                await asyncio.to_thread(jobs.release, *mine)  # nothing happens when it was lost or cancelled
        except (AnswerIsNo, BadInput) as error:
            await asyncio.to_thread(jobs.fail, *mine, str(error), error.hint)
        except (SourceFailed, StorageFailed) as error:
            await self._again(job, str(error))
        except VenveryError as error:
            await asyncio.to_thread(jobs.fail, *mine, str(error), error.hint)
        except Exception as error:
            _log.error("unexpected error in a job", job=job.id, exc_info=error)
            reason = f"something unexpected went wrong ({type(error).__name__})"
            await asyncio.to_thread(jobs.fail, *mine, reason, "the log of the server or worker has the details")

    async def _again(self, job: Job, reason: str) -> None:
        """Queue a job again; on a full disk that cannot be written down, and then its lease runs out."""
        with contextlib.suppress(StorageFailed):
            after = _BACK_OFF * 2 ** min(job.attempt - 1, 6)
            await asyncio.to_thread(self._database.jobs.again, job.id, job.attempt, reason, after)

    async def _keep(self, attempt: Attempt, work: asyncio.Future[Outcome]) -> None:
        """Write down what is said, and renew the lease; stop the work when the job is not ours any more."""
        since = 0.0
        while True:
            await asyncio.sleep(_TELL)
            since += _TELL
            try:
                ours = await asyncio.to_thread(attempt.flush)
                if since >= BEAT:
                    since = 0.0
                    ours = await asyncio.to_thread(attempt.beat) and ours
            except StorageFailed as error:
                _log.warning("a job's state cannot be written", job=attempt.job.id, error=str(error))
                continue
            if not ours:
                attempt.stop.set()
                work.cancel()
                return
