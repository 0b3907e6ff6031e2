"""No job is lost, none is done by two, and what a worker says after it lost a job is not heard."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.opened import Clock
from tests.storage.conftest import Place
from venvery.model.jobs import ACTIVE, MOST_ATTEMPTS, TRANSITIONS, BadTransition, Job, next_state
from venvery.storage.database import Database
from venvery.storage.jobs import Cycle

LEASE = 8.0
SCOPE = "cpython-3.11-posix/linux-x86_64"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(place: Place, clock: Clock) -> Iterator[Database]:
    with Database.open(place, clock=clock) as database:
        yield database


def submit(database: Database, key: str = "a", **options: object) -> Job:
    return database.jobs.submit(key, f"build {key}", SCOPE, {"key": key}, **options)  # type: ignore[arg-type]


def claim(database: Database, worker: str = "w") -> Job | None:
    return database.jobs.claim(worker, lambda scope: scope == SCOPE, LEASE)


def nothing(_transaction: object) -> None:
    """Write nothing."""


def test_every_state_can_be_left_or_is_an_end() -> None:
    states = {state for state, _event in TRANSITIONS} | set(TRANSITIONS.values())
    for state in states:
        ways = {after for (before, _event), after in TRANSITIONS.items() if before == state}
        assert (state == "done") == (not ways)
    with pytest.raises(BadTransition):
        next_state("done", "retry")


def test_from_submit_to_done(database: Database) -> None:
    job = submit(database)
    assert (job.state, job.attempt) == ("queued", 0)
    assert submit(database).id == job.id, "one active job per key"
    mine = claim(database)
    assert mine is not None
    assert (mine.id, mine.state, mine.attempt, mine.worker) == (job.id, "running", 1, "w")
    assert claim(database) is None
    assert submit(database).id == job.id
    assert database.jobs.finish(job.id, 1, {"wheel": "x"}, nothing)
    done = database.jobs.get(job.id)
    assert done is not None
    assert (done.state, done.result) == ("done", {"wheel": "x"})
    assert submit(database).id != job.id


def test_who_lost_a_job_is_not_heard(database: Database, clock: Clock) -> None:
    """A worker that was frozen, and goes on after its job was given to another one."""
    job = submit(database)
    frozen = claim(database, "frozen")
    assert frozen is not None
    clock.now += LEASE + 1
    assert database.jobs.take_back() == 1
    other = claim(database, "other")
    assert other is not None
    assert other.attempt == 2
    written: list[str] = []
    assert not database.jobs.beat(job.id, frozen.attempt, LEASE)
    assert not database.jobs.tell(job.id, frozen.attempt, [("log", "late")])
    assert not database.jobs.finish(job.id, frozen.attempt, {}, lambda _: written.append("half a wheel"))
    assert not database.jobs.fail(job.id, frozen.attempt, "late")
    assert not database.jobs.release(job.id, frozen.attempt)
    assert written == []
    assert database.jobs.finish(job.id, other.attempt, {"by": "other"}, nothing)
    found = database.jobs.get(job.id)
    assert found is not None
    assert found.result == {"by": "other"}
    assert "late" not in database.jobs.log(job.id)


def test_a_job_that_kills_its_workers_stops(database: Database, clock: Clock) -> None:
    job = submit(database)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        mine = claim(database)
        assert mine is not None
        assert mine.attempt == attempt
        database.jobs.tell(job.id, attempt, [("log", f"attempt {attempt}\n")])
        clock.now += LEASE + 1
        database.jobs.take_back()
    stopped = database.jobs.get(job.id)
    assert stopped is not None
    assert stopped.state == "failed"
    assert f"{MOST_ATTEMPTS} times" in str(stopped.reason)
    assert all(f"attempt {attempt}" in database.jobs.log(job.id) for attempt in range(1, MOST_ATTEMPTS + 1))
    again = database.jobs.retry(job.id)
    assert again is not None
    assert again.state == "queued"
    mine = claim(database)
    assert mine is not None
    assert mine.attempt == MOST_ATTEMPTS + 1, "the token never comes twice"


def test_a_failure_that_may_pass_waits_its_time(database: Database, clock: Clock) -> None:
    job = submit(database)
    assert claim(database) is not None
    assert database.jobs.again(job.id, 1, "the disk is full", after=5)
    assert claim(database) is None
    clock.now += 6
    mine = claim(database)
    assert mine is not None
    assert mine.attempt == 2


def test_an_orderly_stop_is_no_attempt(database: Database) -> None:
    job = submit(database)
    for _ in range(2 * MOST_ATTEMPTS):
        mine = claim(database)
        assert mine is not None
        assert database.jobs.release(job.id, mine.attempt)
    found = database.jobs.get(job.id)
    assert found is not None
    assert found.state == "queued"


def test_whoever_is_waited_for_comes_first(database: Database, clock: Clock) -> None:
    order = []
    for key, priority in (("late", 0), ("background", 0), ("waited for", 10)):
        submit(database, key, priority=priority)
        clock.now += 1
    submit(database, "background", priority=5)  # now someone waits for it too
    while (job := claim(database)) is not None:
        order.append(job.key)
    assert order == ["waited for", "background", "late"]


def test_only_what_the_worker_can_do(database: Database) -> None:
    submit(database)
    assert database.jobs.claim("w", lambda scope: scope == "cpython-3.9-posix/macos-arm64", LEASE) is None
    assert database.jobs.claim("w", lambda _: True, LEASE, only=["another"]) is None


def test_cancelling(database: Database) -> None:
    queued, running = submit(database, "queued"), submit(database, "running", priority=1)
    mine = claim(database)
    assert mine is not None
    assert mine.id == running.id
    for job in (queued, running):
        cancelled = database.jobs.cancel(job.id)
        assert cancelled is not None
        assert cancelled.state == "cancelled"
        with pytest.raises(BadTransition):
            database.jobs.cancel(job.id)
    assert not database.jobs.beat(running.id, 1, LEASE), "the worker hears of it with its next sign of life"
    assert claim(database) is None
    assert database.jobs.cancel("nothing") is None


def test_a_retry_joins_a_newer_job_of_the_same_key(database: Database) -> None:
    old = submit(database)
    database.jobs.cancel(old.id)
    new = submit(database)
    joined = database.jobs.retry(old.id)
    assert joined is not None
    assert joined.id == new.id


def test_jobs_do_not_wait_in_a_circle(database: Database) -> None:
    """To build a one needs b, to build b one needs c, to build c one needs a."""
    a = submit(database, "a")
    b = submit(database, "b", parent=a.id)
    c = submit(database, "c", parent=b.id)
    with pytest.raises(Cycle):
        submit(database, "a", parent=c.id)
    with pytest.raises(Cycle):
        submit(database, "c", parent=c.id)
    assert submit(database, "c", parent=a.id).id == c.id
    database.jobs.cancel(a.id)
    assert submit(database, "a", parent=c.id).id != a.id, "whoever waited in that circle has gone"


def test_events_are_replayed_from_where_a_stream_broke(database: Database) -> None:
    job = submit(database)
    assert claim(database) is not None
    database.jobs.tell(job.id, 1, [("phase", "build"), ("log", "one\n"), ("log", "two\n")])
    numbers = [event.number for event in database.jobs.events(job.id)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event.data for event in database.jobs.events(job.id, after=numbers[-2])] == ["two\n"]
    assert database.jobs.log(job.id) == "one\ntwo\n"


def test_workers_are_known_for_a_while(database: Database, clock: Clock) -> None:
    database.jobs.announce("one", [SCOPE])
    clock.now += 5
    database.jobs.announce("two", [])
    assert database.jobs.workers(within=10) == {"one": [SCOPE], "two": []}
    assert database.jobs.workers(within=3) == {"two": []}
    database.jobs.leave("two")
    assert "two" not in database.jobs.workers(within=10)


def _take_all(path: str, out: multiprocessing.SimpleQueue[str]) -> None:  # type: ignore[type-arg]
    with Database.open(path) as database:
        while (job := database.jobs.claim("w", lambda _: True, 60)) is not None:
            out.put(job.key)
    out.put("")


def test_several_workers_never_take_the_same(place: Place) -> None:
    with Database.open(place) as database:
        for number in range(60):
            submit(database, str(number))
    context = multiprocessing.get_context("spawn")
    out = context.SimpleQueue()
    workers = [context.Process(target=_take_all, args=(str(place), out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    taken = []
    ended = 0
    while ended < len(workers):
        key = out.get()
        ended += key == ""
        taken += [key] if key else []
    for worker in workers:
        worker.join(30)
    assert sorted(taken, key=int) == [str(number) for number in range(60)]


EVENTS = st.sampled_from(
    ["submit", "claim", "finish", "fail", "again", "lose", "release", "cancel", "retry", "time"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(EVENTS, st.integers(0, 2)), max_size=40))
def test_whatever_happens_the_rules_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """One active job per key; tokens grow; only the newest attempt counts; what is done stays done."""
    clock = Clock()
    with Database.open(tmp_path_factory.mktemp("rules") / "x.sqlite", clock=clock) as database:
        jobs, held, done = database.jobs, [], set()  # type: ignore[var-annotated]
        for step, which in steps:
            clock.now += 0.1
            if step == "submit":
                submit(database, "abc"[which])
            elif step == "claim":
                job = claim(database)
                if job is not None:
                    assert all(job.attempt > other.attempt for other in held if other.id == job.id)
                    held.append(job)
            elif step == "time":
                clock.now += LEASE + 1
            elif step == "lose":
                jobs.take_back()
            elif step in ("cancel", "retry") and (newest := jobs.latest("abc"[which])) is not None:
                try:
                    getattr(jobs, step)(newest.id)
                except BadTransition:
                    assert (newest.state, step) not in TRANSITIONS
            elif held and step in ("finish", "fail", "again", "release"):
                job = held[which % len(held)]
                now = jobs.get(job.id)
                assert now is not None
                heard = {
                    "finish": lambda job=job: jobs.finish(job.id, job.attempt, {}, nothing),
                    "fail": lambda job=job: jobs.fail(job.id, job.attempt, "no"),
                    "again": lambda job=job: jobs.again(job.id, job.attempt, "later", 1),
                    "release": lambda job=job: jobs.release(job.id, job.attempt),
                }[step]()
                assert heard == (now.state == "running" and now.attempt == job.attempt)
                if heard and step == "finish":
                    done.add(job.id)
            everything = jobs.newest(1000)
            active = [job.key for job in everything if job.state in ACTIVE]
            assert len(active) == len(set(active))
            assert {job.id for job in everything if job.state == "done"} == done
