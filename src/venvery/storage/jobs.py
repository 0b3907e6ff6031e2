"""Questions about jobs. Every change of a state goes through `_move`, and by the table in `model.jobs`.

Whoever works on a job says which attempt it is in; once that attempt has lost the job nothing it says counts.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from venvery.model.jobs import ACTIVE, MOST_ATTEMPTS, Event, Job, JobEvent, State, next_state
from venvery.storage.compression import pack, unpack

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["Cycle", "Jobs"]

_COLUMNS = (
    "id, key, title, state, attempt, scope, body, result, reason, hint, priority, worker, "
    "created_at, started_at, finished_at"
)
_GET = f"SELECT {_COLUMNS} FROM jobs WHERE id = :id"
_ACTIVE = f"SELECT {_COLUMNS} FROM jobs WHERE key = :key AND state IN ('queued', 'running')"
_LATEST = f"SELECT {_COLUMNS} FROM jobs WHERE key = :key ORDER BY created_at DESC, id DESC LIMIT 1"
_LIST = f"SELECT {_COLUMNS} FROM jobs ORDER BY created_at DESC, id DESC LIMIT :most"
_LIST_ACTIVE = (
    f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('queued', 'running') ORDER BY created_at DESC LIMIT :most"
)
_INSERT = (
    "INSERT INTO jobs (id, key, title, state, attempt, failures, scope, priority, body, not_before, created_at) "
    "VALUES (:id, :key, :title, 'queued', 0, 0, :scope, :priority, :body, :now, :now)"
)
_RAISE = "UPDATE jobs SET priority = :priority WHERE id = :id AND priority < :priority"
_SCOPES = "SELECT DISTINCT scope FROM jobs WHERE state = 'queued' AND not_before <= :now"
_NEXT = (
    "SELECT id, priority, created_at FROM jobs WHERE state = 'queued' AND not_before <= :now AND scope IN :among "
    "ORDER BY priority DESC, created_at, id LIMIT 100"
)
_CLAIM = (
    "UPDATE jobs SET attempt = attempt + 1, worker = :worker, lease_until = :until, started_at = :now "
    "WHERE id = :id"
)
_BEAT = "UPDATE jobs SET lease_until = :until WHERE id = :id"
_MINE = "SELECT 1 FROM jobs WHERE id = :id AND attempt = :attempt AND state = 'running'"
_LOST = "SELECT id, failures FROM jobs WHERE state = 'running' AND lease_until < :now"
_FAILURES = "UPDATE jobs SET failures = failures + 1, not_before = :not_before WHERE id = :id"
_STATE = "UPDATE jobs SET state = :state, finished_at = :finished_at WHERE id = :id"
_OUTCOME = "UPDATE jobs SET result = :result, reason = :reason, hint = :hint WHERE id = :id"
_AFRESH = (
    "UPDATE jobs SET failures = 0, reason = NULL, hint = NULL, result = NULL, not_before = :now WHERE id = :id"
)
_LAST = "SELECT COALESCE(MAX(number), 0) FROM job_events WHERE job = :job"
_ADD = "INSERT INTO job_events (job, number, kind, data, at) VALUES (:job, :number, :kind, :data, :at)"
_EVENTS = "SELECT number, kind, data, at FROM job_events WHERE job = :job AND number > :after ORDER BY number"
_WAIT = "INSERT INTO job_waits (job, waits_for) VALUES (:job, :waits_for) ON CONFLICT (job, waits_for) DO NOTHING"
_WAITS_NO_MORE = "DELETE FROM job_waits WHERE job = :job"
_REACHES = """
    WITH RECURSIVE reached (job) AS (
        SELECT CAST(:start AS VARCHAR(32))
        UNION
        SELECT job_waits.waits_for FROM job_waits JOIN reached ON job_waits.job = reached.job
        JOIN jobs ON jobs.id = job_waits.waits_for AND jobs.state IN ('queued', 'running')
    )
    SELECT 1 FROM reached WHERE job = :wanted
"""
_ANNOUNCE = (
    "INSERT INTO workers (name, scopes, seen_at) VALUES (:name, :scopes, :now) "
    "ON CONFLICT (name) DO UPDATE SET scopes = excluded.scopes, seen_at = excluded.seen_at"
)
_WORKERS = "SELECT name, scopes FROM workers WHERE seen_at > :since ORDER BY name"
_FORGET_WORKERS = "DELETE FROM workers WHERE name = :name OR seen_at < :since"
_OLD = "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND finished_at < :before"


class Cycle(Exception):
    """One job would wait for another that waits for it."""


class Jobs:
    """Jobs, their events, and the workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------ asking for work

    def submit(
        self,
        key: str,
        title: str,
        scope: str,
        body: dict[str, Any],
        *,
        priority: int = 0,
        parent: str | None = None,
    ) -> Job:
        """Give the active job of a key, making one where there is none; the higher priority counts.

        `parent` is a job that will wait for it. Raises `Cycle` when it waits for that one already.
        """
        now = self._database.clock()
        with self._database.change() as transaction:
            row = transaction.row(_ACTIVE, key=key)
            if row is None:
                made = f"{int(now * 1000):012x}{secrets.token_hex(8)}"
                transaction.do(
                    _INSERT,
                    id=made,
                    key=key,
                    title=title,
                    scope=scope,
                    priority=priority,
                    body=pack(body),
                    now=now,
                )
                self._note(transaction, made, [("state", "queued")])
                row = transaction.row(_GET, id=made)
            else:
                transaction.do(_RAISE, id=row[0], priority=priority)
            assert row is not None
            job = _job(row)
            if parent is not None:
                if transaction.value(_REACHES, start=job.id, wanted=parent) is not None:
                    raise Cycle(job.title)
                transaction.do(_WAIT, job=parent, waits_for=job.id)
        return job

    def get(self, id: str) -> Job | None:
        """Give a job."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, id=id)
        return None if row is None else _job(row)

    def latest(self, key: str) -> Job | None:
        """Give the last job of a key, whatever became of it."""
        with self._database.look() as transaction:
            row = transaction.row(_LATEST, key=key)
        return None if row is None else _job(row)

    def newest(self, most: int = 100, *, active: bool = False) -> list[Job]:
        """List the newest jobs."""
        with self._database.look() as transaction:
            return [_job(row) for row in transaction.rows(_LIST_ACTIVE if active else _LIST, most=most)]

    def cancel(self, id: str) -> Job | None:
        """End a job that is not done. Raises `BadTransition` when it has ended already."""
        return self._by_hand(id, "cancel", "it was cancelled")

    def retry(self, id: str) -> Job | None:
        """Queue a job again that failed or was cancelled.

        Raises `BadTransition` for any other; where a new one has the same key, that one is given.
        """
        return self._by_hand(id, "retry", None)

    def _by_hand(self, id: str, event: Event, reason: str | None) -> Job | None:
        with self._database.change() as transaction:
            row = transaction.row(_GET, id=id)
            if row is None:
                return None
            if event == "retry":
                other = transaction.row(_ACTIVE, key=row[1])
                if other is not None and other[0] != id:
                    return _job(other)
                transaction.do(_AFRESH, id=id, now=self._database.clock())
            self._move(transaction, id, event)
            if reason is not None:
                transaction.do(_OUTCOME, id=id, result=None, reason=reason, hint=None)
            found = transaction.row(_GET, id=id)
        return None if found is None else _job(found)

    # ------------------------------------------------------------------ working

    def claim(
        self, worker: str, can: Callable[[str], bool], lease: float, *, only: Iterable[str] | None = None
    ) -> Job | None:
        """Take the next job that this worker can do; of equal priority the oldest. None when there is none.

        `can` tells whether it can do a scope; `only`: none but these.
        """
        now = self._database.clock()
        with self._database.look() as transaction:  # most looks find nothing, and need no turn at writing
            scopes = [scope for (scope,) in transaction.rows(_SCOPES, now=now)]
        scopes = [scope for scope in scopes if can(scope)]
        if not scopes:
            return None
        wanted = None if only is None else frozenset(only)
        with self._database.change() as transaction:
            found = [
                row for row in transaction.rows_among(_NEXT, scopes, now=now) if wanted is None or row[0] in wanted
            ]
            if not found:
                return None
            id = min(found, key=lambda row: (-row[1], row[2], row[0]))[0]
            self._move(transaction, id, "claim")
            transaction.do(_CLAIM, id=id, worker=worker, until=now + lease, now=now)
            row = transaction.row(_GET, id=id)
        return None if row is None else _job(row)

    def beat(self, id: str, attempt: int, lease: float) -> bool:
        """Say that an attempt goes on; False when it has lost the job, and is to stop."""
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            transaction.do(_BEAT, id=id, until=self._database.clock() + lease)
        return True

    def finish(self, id: str, attempt: int, result: dict[str, Any], write: Callable[[Transaction], None]) -> bool:
        """Say that an attempt is done; `write` writes down what it made, in the same breath.

        False when it has lost the job: then nothing is written.
        """
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            write(transaction)
            self._move(transaction, id, "finish")
            transaction.do(_OUTCOME, id=id, result=pack(result), reason=None, hint=None)
        return True

    def fail(self, id: str, attempt: int, reason: str, hint: str | None = None) -> bool:
        """Say that an attempt failed, as it would again."""
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            self._move(transaction, id, "fail")
            transaction.do(_OUTCOME, id=id, result=None, reason=reason, hint=hint)
        return True

    def again(self, id: str, attempt: int, reason: str, after: float) -> bool:
        """Say that an attempt failed, and may succeed after some seconds; with too many such the job fails."""
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            self._give_up_or(transaction, id, "again", reason, self._database.clock() + after)
        return True

    def release(self, id: str, attempt: int) -> bool:
        """Give a job back, as when the worker stops in good order: that was no attempt."""
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            self._move(transaction, id, "release")
            transaction.do(_WAITS_NO_MORE, job=id)
        return True

    def take_back(self) -> int:
        """Take jobs back whose lease has run out; say how many."""
        now = self._database.clock()
        with self._database.look() as transaction:
            if not transaction.rows(_LOST, now=now):
                return 0
        with self._database.change() as transaction:
            lost = transaction.rows(_LOST, now=now)
            for id, _failures in lost:
                self._give_up_or(transaction, id, "lose", "the worker that was on it does not answer", now)
        return len(lost)

    def _give_up_or(self, transaction: Transaction, id: str, event: Event, reason: str, not_before: float) -> None:
        transaction.do(_FAILURES, id=id, not_before=not_before)
        transaction.do(_WAITS_NO_MORE, job=id)
        if transaction.value("SELECT failures FROM jobs WHERE id = :id", id=id) >= MOST_ATTEMPTS:
            self._move(transaction, id, "fail")
            reason = f"{reason}; it was tried {MOST_ATTEMPTS} times"
            transaction.do(
                _OUTCOME, id=id, result=None, reason=reason, hint="see the log; retry when it is mended"
            )
        else:
            self._move(transaction, id, event)
            self._note(transaction, id, [("log", f"-- {reason}; it will be tried again\n")])

    # ------------------------------------------------------------------ telling

    def tell(self, id: str, attempt: int, events: Sequence[tuple[str, str]]) -> bool:
        """Add events, as (kind, data); False when the attempt has lost the job, and nothing was added."""
        with self._database.change() as transaction:
            if transaction.value(_MINE, id=id, attempt=attempt) is None:
                return False
            self._note(transaction, id, events)
        return True

    def events(self, id: str, after: int = 0) -> list[JobEvent]:
        """Give the events after a number."""
        with self._database.look() as transaction:
            return [JobEvent(*row) for row in transaction.rows(_EVENTS, job=id, after=after)]

    def log(self, id: str) -> str:
        """Give the whole log that was kept."""
        return "".join(event.data for event in self.events(id) if event.kind == "log")

    # ------------------------------------------------------------------ workers

    def announce(self, name: str, scopes: Sequence[str]) -> None:
        """Say that a worker is there, and what it can build for."""
        with self._database.change() as transaction:
            transaction.do(_ANNOUNCE, name=name, scopes=json.dumps(list(scopes)), now=self._database.clock())

    def leave(self, name: str) -> None:
        """Say that a worker has gone; those that were not heard of for a day go too."""
        with self._database.change() as transaction:
            transaction.do(_FORGET_WORKERS, name=name, since=self._database.clock() - 86400)

    def workers(self, within: float) -> dict[str, list[str]]:
        """Give the workers heard of within so many seconds, and what each can build for."""
        with self._database.look() as transaction:
            rows = transaction.rows(_WORKERS, since=self._database.clock() - within)
        return {name: json.loads(scopes) for name, scopes in rows}

    def forget_old(self, age: float) -> None:
        """Drop jobs that ended so many seconds ago, with their logs."""
        with self._database.change() as transaction:
            transaction.do(_OLD, before=self._database.clock() - age)

    # ------------------------------------------------------------------ within a transaction

    def _move(self, transaction: Transaction, id: str, event: Event) -> None:
        state: State = transaction.value("SELECT state FROM jobs WHERE id = :id", id=id)
        after = next_state(state, event)
        transaction.do(_STATE, id=id, state=after, finished_at=None if after in ACTIVE else self._database.clock())
        if after not in ACTIVE:
            transaction.do(_WAITS_NO_MORE, job=id)
        self._note(transaction, id, [("state", after)])

    def _note(self, transaction: Transaction, id: str, events: Sequence[tuple[str, str]]) -> None:
        number, now = transaction.value(_LAST, job=id), self._database.clock()
        rows = [
            {"job": id, "number": number + place, "kind": kind, "data": data, "at": now}
            for place, (kind, data) in enumerate(events, 1)
        ]
        transaction.do_many(_ADD, rows)


def _job(row: tuple[Any, ...]) -> Job:
    id, key, title, state, attempt, scope, body, result, reason, hint, priority, worker, *times = row
    created, started, finished = times
    return Job(
        id, key, title, state, attempt, scope, unpack(body), None if result is None else unpack(result),
        reason, hint, priority, worker, created, started, finished,
    )  # fmt: skip
