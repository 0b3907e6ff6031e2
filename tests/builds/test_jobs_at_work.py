"""Jobs over HTTP and under fire: shared, followed, cancelled; workers killed and frozen, servers started anew."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import installed
from tests.builds.helpers import ask, gated_sdist, until, wheels_in
from tests.builds.hostile import hostile_sdist
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.sdists import make_sdist

pytestmark = pytest.mark.usefixtures("sandbox")


def wanted(*requirements: str) -> dict[str, Any]:
    return {"requirements": list(requirements), "prefix": "/srv/env"}


def jobs_of(server: ServerProcess) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = ask(f"{server.url}/v1/jobs")[2]["jobs"]
    return listed


def state(server: ServerProcess, job: str) -> str:
    return str(ask(f"{server.url}/v1/jobs/{job}")[2]["state"])


def test_many_ask_and_one_builds(server: ServerProcess, index: IndexServer, venvery: Venvery) -> None:
    index.add(gated_sdist("popular", 1.0))
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: ask(f"{server.url}/v1/environments", wanted("popular")), range(20)))
    assert {status for status, _headers, _body in answers} == {200}
    assert len({headers["venvery-environment"] for _status, headers, _body in answers}) == 1
    assert [job["title"].split(" for ")[0] for job in jobs_of(server)] == ["build popular 1.0"]
    assert len(wheels_in(venvery.data)) == 1


def test_who_does_not_wait_gets_the_job(server: ServerProcess, index: IndexServer) -> None:
    """202 and a place to look; the job goes on, and whoever asks again has the environment."""
    index.add(gated_sdist("later", 1.5))
    status, headers, job = ask(f"{server.url}/v1/environments", wanted("later"), Prefer="wait=0")
    assert status == 202
    assert headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] in ("queued", "running")
    status, _headers, job = ask(server.url + headers["location"], Prefer="wait=30")
    assert (status, job["state"]) == (200, "done")
    assert ask(f"{server.url}/v1/environments", wanted("later"), Prefer="wait=0")[0] == 200
    status, _headers, wheel = ask(f"{server.url}/v1/jobs/{job['id']}/wheel")
    assert wheel[:2] == b"PK"


def test_events_go_on_where_they_broke(server: ServerProcess, index: IndexServer) -> None:
    index.add(gated_sdist("told", 1.0))
    _status, headers, _job = ask(f"{server.url}/v1/environments", wanted("told"), Prefer="wait=0")
    url = server.url + headers["location"]
    whole = events(f"{url}/events")
    assert [event["event"] for event in whole][-1] == "end"
    assert json.loads(whole[-1]["data"])["state"] == "done"
    phases = [json.loads(event["data"])["data"] for event in whole if event["event"] == "phase"]
    assert phases[0] == "fetch"
    assert phases[-1] == "build"
    numbers = [int(event["id"]) for event in whole if "id" in event]
    assert numbers == list(range(1, len(numbers) + 1))
    again = events(f"{url}/events", {"Last-Event-ID": str(numbers[-3])})
    assert [int(event["id"]) for event in again if "id" in event] == numbers[-2:]
    log = ask(f"{url}/log")[2].decode()
    assert "working" in log


def events(url: str, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = answer.read().decode().split("\n\n")
    lines = ([line.split(": ", 1) for line in block.splitlines() if line[:1] != ":"] for block in blocks)
    return [dict(pairs) for pairs in lines if pairs]


def test_cancel_and_retry(server: ServerProcess, index: IndexServer) -> None:
    index.add(gated_sdist("endless", 100))
    _status, headers, _job = ask(f"{server.url}/v1/environments", wanted("endless"), Prefer="wait=0")
    url = server.url + headers["location"]
    until(lambda: b"working" in ask(f"{url}/log")[2])
    waiting = ThreadPoolExecutor(1).submit(ask, f"{server.url}/v1/environments", wanted("endless"))
    assert ask(f"{url}/cancel", method="POST")[2]["state"] == "cancelled"

    def cancelled() -> bool:
        """Cancel what it begins anew, should it have come after the first was cancelled."""
        for job in jobs_of(server):
            if job["state"] in ("queued", "running"):
                ask(f"{server.url}/v1/jobs/{job['id']}/cancel", method="POST")
        return waiting.done()

    until(cancelled)
    status, _headers, problem = waiting.result(30)
    assert (status, problem["type"]) == (422, "urn:venvery:problem:build-failed")
    assert "was cancelled" in problem["detail"]
    assert ask(f"{url}/cancel", method="POST")[0] == 400
    assert ask(f"{url}/retry", method="POST")[2]["state"] in ("queued", "running")
    until(lambda: ask(url)[2]["state"] == "running")
    assert ask(f"{url}/cancel", method="POST")[0] == 200
    assert ask(f"{server.url}/v1/jobs/nothing")[0] == 404


def test_a_failure_is_told_with_the_end_of_its_log(server: ServerProcess, index: IndexServer) -> None:
    index.add(make_sdist("broken", "1.0", backend="failing"))
    status, _headers, problem = ask(f"{server.url}/v1/environments", wanted("broken"))
    assert (status, problem["type"]) == (422, "urn:venvery:problem:build-failed")
    assert "the compiler is not here" in problem["log"]
    ask(f"{server.url}/v1/environments", wanted("broken"))
    assert len(jobs_of(server)) == 1, "what failed a moment ago would fail again"


def test_a_client_sees_what_is_built(
    server: ServerProcess, index: IndexServer, venvery: Venvery, tmp_path: Path
) -> None:
    index.add(gated_sdist("slow", 3.0))
    done = venvery("sync", "--server", server.url, "slow", tmp_path / "env").check()
    assert "build slow 1.0 for Python" in done.stderr
    assert ": build" in done.stderr
    assert installed(tmp_path / "env") == {"slow": "1.0"}
    index.add(hostile_sdist("bad", "time.sleep(2)\nprint('no luck today')\nraise SystemExit(1)"))
    failed = venvery("sync", "--server", server.url, "bad", tmp_path / "env").check(1)
    assert "| no luck today" in failed.stderr
    assert f"{server.url}/v1/jobs/" in failed.stderr
    assert installed(tmp_path / "env") == {"slow": "1.0"}


def test_a_project_that_is_sent(server: ServerProcess, venvery: Venvery, tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n'
    )
    import gzip
    import io
    import tarfile

    packed = gzip.decompress(hostile_sdist("thing", "pass").data)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        backend = archive.extractfile("thing-1.0/evil.py")
        assert backend is not None
        text = backend.read().decode().replace("= attack(path)", "= print('asked', config_settings)")
        (folder / "evil.py").write_text(text)
    for where in (("--server", server.url), ()):
        out = tmp_path / f"out{len(where)}"
        done = venvery("build", *where, folder, "-o", out, "-C", "colour=red").check()
        assert Path(done.stdout.strip()) == out / "thing-1.0-py3-none-any.whl"
        assert (out / "thing-1.0-py3-none-any.whl").read_bytes()[:2] == b"PK"
    logs = [ask(f"{server.url}/v1/jobs/{job['id']}/log")[2].decode() for job in jobs_of(server)]
    assert all("asked {'colour': 'red'}" in log for log in logs)
    refused = venvery("build", tmp_path, "-o", tmp_path / "none").check(2)
    assert "neither a pyproject.toml nor a setup.py" in refused.stderr


def test_foreign_targets_are_refused_plainly(server: ServerProcess, index: IndexServer) -> None:
    index.add(make_sdist("anywhere", "1.0"))
    body = wanted("anywhere") | {"target": {"python": "3.11", "platform": "windows-x86_64"}}
    status, _headers, problem = ask(f"{server.url}/v1/environments", body)
    assert (status, problem["type"]) == (422, "urn:venvery:problem:build-refused")
    assert "no worker here builds for Python 3.11 on windows-x86_64" in problem["detail"]


# ---------------------------------------------------------------------- workers, and what befalls them


@pytest.fixture
def queue(venvery: Venvery, index: IndexServer) -> Iterator[ServerProcess]:
    """Give a server that builds nothing itself: its jobs are for workers."""
    path = venvery.folder / "queue.toml"
    path.write_text(f'[builds]\nconcurrency = 1\n[[sources]]\nname = "here"\nurl = "{index.url}"\n')
    with venvery.serve("--config", path) as server:
        yield server


def worker(venvery: Venvery) -> subprocess.Popen[str]:
    """Start a worker, and wait until it is there."""
    process = venvery.start("worker")
    assert process.stderr is not None
    for line in process.stderr:
        if "builds for" in line:
            return process
    raise AssertionError("it ended before it began")


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, number)
    process.communicate(timeout=30)


def busy(queue: ServerProcess, index: IndexServer, seconds: float = 100.0) -> None:
    """Give the server's only place to a build that takes long."""
    index.add(gated_sdist("occupied", seconds))
    ask(f"{queue.url}/v1/environments", wanted("occupied"), Prefer="wait=0")
    until(lambda: any(job["state"] == "running" for job in jobs_of(queue)))


def running_job(queue: ServerProcess, name: str) -> dict[str, Any] | None:
    for job in jobs_of(queue):
        if job["title"].startswith(f"build {name} ") and job["state"] == "running":
            return job
    return None


def test_a_killed_worker_loses_nothing(queue: ServerProcess, venvery: Venvery, index: IndexServer) -> None:
    busy(queue, index)
    index.add(gated_sdist("precious", 4.0))
    first, second = worker(venvery), None
    try:
        _status, headers, _job = ask(f"{queue.url}/v1/environments", wanted("precious"), Prefer="wait=0")
        until(lambda: running_job(queue, "precious"))
        end(first)
        second = worker(venvery)
        job = ask(queue.url + headers["location"], Prefer="wait=60")[2]
        assert (job["state"], job["attempt"]) == ("done", 2)
        log = ask(queue.url + headers["location"] + "/log")[2].decode()
        assert "does not answer; it will be tried again" in log
        assert ask(f"{queue.url}/v1/environments", wanted("precious"))[0] == 200
        assert len(wheels_in(venvery.data)) == 1
    finally:
        for process in (first, second):
            if process is not None:
                end(process)


def test_a_frozen_worker_that_wakes_is_not_heard(
    queue: ServerProcess, venvery: Venvery, index: IndexServer
) -> None:
    """Its build is done by another meanwhile; what it brings then counts for nothing."""
    busy(queue, index)
    index.add(hostile_sdist("frozen", "time.sleep(3)\nreturn {'when.py': repr(time.time())}"))
    first, second = worker(venvery), None
    try:
        _status, headers, _job = ask(f"{queue.url}/v1/environments", wanted("frozen"), Prefer="wait=0")
        until(lambda: running_job(queue, "frozen"))
        os.killpg(first.pid, signal.SIGSTOP)
        second = worker(venvery)
        job = ask(queue.url + headers["location"], Prefer="wait=60")[2]
        assert (job["state"], job["attempt"]) == ("done", 2)
        os.killpg(first.pid, signal.SIGCONT)
        until(lambda: not list_running(first), 20)
        after = ask(queue.url + headers["location"])[2]
        assert after["result"] == job["result"]
        assert row(venvery.data, "frozen") == f"sha256:{job['result']['wheel']['sha256']}"
    finally:
        for process in (first, second):
            if process is not None:
                end(process)


def list_running(process: subprocess.Popen[str]) -> list[str]:
    """List the sandboxes that a process has."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"bwrap" in (entry / "cmdline").read_bytes():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                found += [entry.name] if int(parent) == process.pid else []
        except OSError:
            continue
    return found


def row(data: Path, project: str) -> str:
    with sqlite3.connect(data / "venvery.sqlite") as database:
        rows = database.execute("SELECT digest FROM built_wheels WHERE project = ?", (project,)).fetchall()
    assert len(rows) == 1
    return str(rows[0][0])


def test_a_server_that_starts_anew_goes_on(venvery: Venvery, index: IndexServer) -> None:
    index.add(gated_sdist("survivor", 3.0))
    with venvery.serve() as server:
        _status, headers, _job = ask(f"{server.url}/v1/environments", wanted("survivor"), Prefer="wait=0")
        until(lambda: running_job(server, "survivor"))
        server.kill()
    assert wheels_in(venvery.data) == []
    with venvery.serve() as server:
        job = ask(server.url + headers["location"], Prefer="wait=60")[2]
        assert (job["state"], job["attempt"]) == ("done", 2)
        assert ask(f"{server.url}/v1/environments", wanted("survivor"))[0] == 200
    assert [path.name for path in (venvery.data / "builds").iterdir()] == []


def test_a_server_that_stops_in_good_order_gives_its_jobs_back(venvery: Venvery, index: IndexServer) -> None:
    index.add(gated_sdist("patient", 5.0))
    with venvery.serve() as server:
        _status, _headers, job = ask(f"{server.url}/v1/environments", wanted("patient"), Prefer="wait=0")
        until(lambda: running_job(server, "patient"))
        assert server.close() in (0, -signal.SIGTERM)
    listed = json.loads(venvery("jobs", "--json").check().stdout)
    assert [(one["id"], one["state"]) for one in listed] == [(job["id"], "queued")]
