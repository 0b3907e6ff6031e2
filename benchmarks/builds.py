"""What a build costs beyond the build itself: the sandbox, the queue, many who wait, a worker that dies.

Needs bubblewrap. Everything runs on this machine, against an index of its own with tiny source distributions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.builds.hostile import hostile_sdist
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.world import World

from venvery.builds.probing import probe
from venvery.builds.sandbox import Task
from venvery.model.build_settings import BuildLimits

CLIENTS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = [
        *sandbox(arguments.runs),
        *queue(arguments.runs),
        many_clients(),
        *recovery(max(3, arguments.runs // 3)),
    ]
    text = report(rows, arguments.runs)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


def sandbox(runs: int) -> list[tuple[str, float, float]]:
    """Time the start and end of the sandbox around a program that does nothing, beside that program alone."""
    box = probe().sandbox
    if box is None:
        raise SystemExit(f"no sandbox here: {probe().why_not}")
    task = Task(("/usr/bin/true",))

    def inside() -> None:
        box.run(task, BuildLimits(), log=lambda _: None, take=lambda _: None)

    def outside() -> None:
        subprocess.run(["/usr/bin/true"], check=True)

    timed: dict[str, list[float]] = {"inside": [], "outside": []}
    for _ in range(runs):
        for name, run in (("inside", inside), ("outside", outside)):
            timed[name].append(seconds_of(run))
    return [
        ("`true` in the sandbox, start to end", *middle(timed["inside"])),
        ("`true` alone", *middle(timed["outside"])),
    ]


def queue(runs: int) -> list[tuple[str, float, float]]:
    """Time from a job's row being there to its work being begun, and a whole request that builds a tiny sdist."""
    sdists = [hostile_sdist(f"tiny{number}", "pass") for number in range(runs)]
    with IndexServer(World(sdists)) as index, serving(index) as server:
        wholes = [seconds_of(partial(environment, server, f"tiny{number}")) for number in range(runs)]
        waits = [job["started_at"] - job["created_at"] for job in jobs(server)]
    return [
        ("from submit to start", *middle(waits)),
        ("a request for an environment with one tiny sdist, built and assembled", *middle(wholes)),
    ]


def many_clients() -> tuple[str, float, float]:
    """Let many ask at once for what one build of two seconds makes."""
    with IndexServer(World([hostile_sdist("shared", "time.sleep(2)")])) as index, serving(index) as server:
        with ThreadPoolExecutor(CLIENTS) as threads:
            taken = list(threads.map(lambda _: seconds_of(lambda: environment(server, "shared")), range(CLIENTS)))
        assert len(jobs(server)) == 1
    return f"the slowest of {CLIENTS} clients that share one build of 2 s; it ran once", max(taken), max(taken)


def recovery(runs: int) -> list[tuple[str, float, float]]:
    """Kill a worker in the middle of a build, and see when another one has begun it anew."""
    taken = []
    for _ in range(runs):
        world = World([hostile_sdist("held", "time.sleep(100)"), hostile_sdist("job", "time.sleep(3)")])
        with IndexServer(world) as index, serving(index, concurrency=1) as server:
            ask(server, "held", wait=0)
            until(lambda: any(job["state"] == "running" for job in jobs(server)))
            first, second = worker(server), worker(server)
            try:
                ask(server, "job", wait=0)
                begun = until(lambda: running(server, "build job"))
                victim = next(one for one in (first, second) if begun["worker"].endswith(f"-{one.pid}"))
                killed = time.time()
                os.killpg(victim.pid, signal.SIGKILL)
                again = until(partial(second_attempt, server, begun["id"]))
                taken.append(again["started_at"] - killed)
            finally:
                for one in (first, second):
                    if one.poll() is None:
                        os.killpg(one.pid, signal.SIGKILL)
                    one.communicate(timeout=30)
    return [("from `kill -9` of a worker to the next attempt", *middle(taken))]


def second_attempt(server: ServerProcess, id: str) -> dict[str, Any] | None:
    return next((job for job in jobs(server) if job["id"] == id and job["attempt"] == 2), None)


class serving:  # noqa: N801 - used like a function
    """A server on an index, with folders of its own."""

    def __init__(self, index: IndexServer, concurrency: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="venvery-builds-")
        self.venvery = Venvery(Path(self._folder.name), index_url=index.url)
        config = Path(self._folder.name) / "venvery.toml"
        config.write_text(
            f'[builds]\nconcurrency = {concurrency}\n[[sources]]\nname = "here"\nurl = "{index.url}"\n'
        )
        self._server = self.venvery.serve("--config", config)

    def __enter__(self) -> ServerProcess:
        self._server.venvery = self.venvery  # type: ignore[attr-defined]
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._folder.cleanup()


def worker(server: ServerProcess) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = server.venvery.start("worker")  # type: ignore[attr-defined]
    assert process.stderr is not None
    for line in process.stderr:
        if "builds for" in line:
            return process
    raise SystemExit("the worker ended before it began")


def ask(server: ServerProcess, name: str, wait: int = 600) -> int:
    body = json.dumps({"requirements": [name], "prefix": "/srv/env"}).encode()
    headers = {"Accept": "application/json", "Prefer": f"wait={wait}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.url}/v1/environments", body, headers), timeout=600
    ) as answer:
        answer.read()
        return int(answer.status)


def environment(server: ServerProcess, name: str) -> None:
    assert ask(server, name) == 200


def jobs(server: ServerProcess) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/v1/jobs", timeout=60) as answer:
        listed: list[dict[str, Any]] = json.load(answer)["jobs"]
    return listed


def running(server: ServerProcess, title: str) -> dict[str, Any] | None:
    return next(
        (job for job in jobs(server) if job["title"].startswith(title) and job["state"] == "running"), None
    )


def until(true: Callable[[], Any]) -> Any:
    while not (found := true()):
        time.sleep(0.02)
    return found


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def middle(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds), max(seconds)


def report(rows: list[tuple[str, float, float]], runs: int) -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    head = f"{date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
    head += f"{platform.python_version()}, {runs} runs; load when done {load}."
    lines = ["# Builds", "", head, "", "| what | median, ms | longest, ms |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | **{median * 1000:.0f}** | {longest * 1000:.0f} |" for name, median, longest in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
