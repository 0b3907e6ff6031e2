"""Times answers over HTTP from one server process, in a recorded world.

Computed answers beside the solver alone; remembered ones, under load, beside a bare ASGI answer of the same size;
and small requests while somebody sends what is made to hurt.

Needs wrk for the load. Writes tables to stdout and to results/answering.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tests.support.index_server import closed_port  # noqa: E402
from tests.support.running import Venvery  # noqa: E402
from timing import machine  # noqa: E402
from world_index import ShelfWorld, WorldIndex  # noqa: E402

from venvery.model.requests import ResolveRequest  # noqa: E402
from venvery.resolve import MemoryShelf  # noqa: E402
from venvery.services.documents import Defaults, read_body  # noqa: E402
from venvery.services.worlds import World, replay  # noqa: E402

WORLD = HERE / "worlds/resolve.zst"
SMALL, LARGE = "web-django-requests", "notebooks-jupyterlab"
NAMES = (SMALL, "web-fastapi", LARGE, "data-airflow")
FORMS = ("application/json", "text/plain", "application/toml")
PIGEONS = 12
_NUMBER = b"999999999"
_FIGURES = ("requests/s", "p50, ms", "p99, ms", "processor, µs")

_COMPUTED = """## Computed answers

Medians. The solver's time is that of the same request in a process that does nothing else, run in turn with the
server's. What is added is everything: connection, reading the request, threads, writing and sending the lock.
"""
_REMEMBERED = """## Remembered answers

wrk, {seconds} s each, {rounds} rounds in turn with a bare ASGI application that sends as many bytes on the same
HTTP server; medians of the rounds. The processor time is that of the server for each request; it says more than
the rest where the machine has other things to do.
"""
_BESIDE = """## Beside requests that are made to hurt

Two clients send them over and over, a third sends small ones, remembered and computed in turn, {small} of each.
The solver's limit is 2 s. *It meets* is the limit that the problem names.
"""


class Asker:
    """One kept connection to a server."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=600)

    def __call__(
        self, body: bytes, accept: str = "application/json"
    ) -> tuple[float, http.client.HTTPResponse, bytes]:
        """Ask for a resolution; give the seconds that it took, the response, and its body."""
        headers = {"Accept": accept, "Content-Type": "application/json"}
        began = time.perf_counter()
        self._connection.request("POST", "/v1/resolve", body, headers)
        response = self._connection.getresponse()
        data = response.read()
        return time.perf_counter() - began, response, data


def body_of(world: World, name: str, **further: Any) -> dict[str, Any]:
    """Give a recorded request, as a client would send it."""
    body = next(one for one in world.requests if one["prompt"] == name)
    text = re.sub(r"^#.*\n", "", body["text"], flags=re.MULTILINE)
    return {"text": text, "target": body["target"], "options": body["options"], **further}


# computed answers


def computed(world: World, shelf: MemoryShelf, url: str, runs: int) -> Iterator[str]:
    """Time what a computed answer takes, beside the solver alone in this process; in turn, run by run."""
    yield "| answer | form | bytes | solver, ms | over HTTP, ms | added, ms |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    ask, number = Asker(url), 0
    for name in NAMES:
        request = read_body(body_of(world, name), Defaults("3.11", "linux-x86_64")).resolve
        alone: dict[str, list[float]] = {form: [] for form in FORMS}
        asked: dict[str, list[float]] = {form: [] for form in FORMS}
        sizes = {}
        for _ in range(runs + 2):
            for form in FORMS:
                number += 1
                seconds, response, data = ask(_fresh(world, name, number), form)
                assert response.headers["Venvery-Answer"] == "computed", (response.status, data[:300])
                asked[form].append(seconds)
                alone[form].append(_seconds(request, shelf))
                sizes[form] = len(data)
        for form in FORMS:
            solver, whole = (statistics.median(times[2:]) * 1e3 for times in (alone[form], asked[form]))
            yield (
                f"| {name} | {form} | {sizes[form]:,} | {solver:.2f} | {whole:.2f} | **{whole - solver:.2f}** |"
            )


def _fresh(world: World, name: str, number: int) -> bytes:
    """Give a recorded request as one that nobody has sent yet: its answer is computed."""
    return json.dumps(body_of(world, name, constraints=[f"nobody-needs-this<{number}"])).encode()


def _seconds(request: ResolveRequest, shelf: MemoryShelf) -> float:
    began = time.perf_counter()
    replay(request, shelf)
    return time.perf_counter() - began


# remembered answers


def remembered(world: World, url: str, pid: int, scratch: Path, rounds: int, seconds: int) -> Iterator[str]:
    """Let wrk ask for remembered answers, and a bare ASGI application for as many bytes, in turn."""
    wrk = shutil.which("wrk")
    if wrk is None:
        yield "wrk is not on this machine: not measured."
        return
    yield f"| answer | bytes | connections | {' | '.join((*_FIGURES, *(f'bare: {one}' for one in _FIGURES)))} |"
    yield f"| --- {'| ---: ' * 10}|"
    for name in (SMALL, LARGE):
        data = json.dumps(body_of(world, name)).encode()
        for _ in range(2):
            _, response, answer = Asker(url)(data)
        assert response.headers["Venvery-Answer"] == "remembered", response.headers
        script = scratch / f"{name}.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Accept"] = "application/json"\n'
            f'wrk.headers["Content-Type"] = "application/json"\nwrk.body = {json.dumps(data.decode())}\n',
            encoding="utf-8",
        )
        with bare_server(len(answer), scratch) as (floor, other):
            for connections in (1, 16, 32):
                ours, theirs = [], []
                for _ in range(rounds):
                    ours.append(load(wrk, f"{url}/v1/resolve", pid, connections, seconds, script))
                    theirs.append(load(wrk, f"{floor}/v1/resolve", other, connections, seconds, script))
                cells = f"{len(answer):,} | {connections} | {_middle(ours, bold=True)} | {_middle(theirs)}"
                yield f"| {name} | {cells} |"


def load(wrk: str, url: str, pid: int, connections: int, seconds: int, script: Path) -> tuple[float, ...]:
    """Give the `_FIGURES` of one load."""
    before = busy(pid)
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    half, most = (re.search(rf"^\s+{percent}%\s+(\S+)", told, re.MULTILINE) for percent in (50, 99))
    assert rate and half and most, told
    count = re.search(r"(\d+) requests in", told)
    assert count, told
    return float(rate[1]), _milliseconds(half[1]), _milliseconds(most[1]), (busy(pid) - before) / int(count[1])


def busy(pid: int) -> float:
    """Give the microseconds for which all threads of a process have had a processor (Linux)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads) / 1e3


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def _middle(loads: Sequence[tuple[float, ...]], *, bold: bool = False) -> str:
    """Give the median of each figure over the rounds."""
    rate, half, most, work = (statistics.median(figures) for figures in zip(*loads, strict=True))
    cells = f"{rate:,.0f}", f"{half:.2f}", f"{most:.2f}", f"{work:.0f}"
    return " | ".join(f"**{cell}**" if bold else cell for cell in cells)


@contextmanager
def bare_server(size: int, scratch: Path) -> Iterator[tuple[str, int]]:
    """Run the least that can be said in ASGI, in a process of its own, on the same HTTP server as ours."""
    port = closed_port()
    command = [sys.executable, str(Path(__file__).resolve()), "bare", "--port", str(port), "--size", str(size)]
    process = subprocess.Popen(command, cwd=scratch)
    try:
        _wait_for(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            Asker(url)(b"{}")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{url} does not answer")


def run_bare(port: int, size: int) -> int:
    """Answer every request with so many bytes."""
    import uvicorn

    body = b"x" * size
    headers = [(b"content-length", b"%d" % size), (b"content-type", b"application/json")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app, port=port, lifespan="off", log_level="warning", access_log=False, server_header=False
    )
    uvicorn.Server(config).run()
    return 0


# what is made to hurt


def hurting(world: World) -> dict[str, tuple[str, bytes]]:
    """Give requests that are made to hurt, with what they should meet."""
    pigeons = [f"pigeon-{n}" for n in range(PIGEONS + 1)]
    nested = "(" * 5_000 + "python_version > '3'" + ")" * 5_000
    wide = " or ".join(["python_version > '3'"] * 600)
    target = {"python": "3.11", "platform": "linux-x86_64"}
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "9,999 requirements": ("answered", {"requirements": [f"django>=1.{n % 9}" for n in range(9_999)]}),
        "10,001 requirements": ("requirements", {"requirements": ["django"] * 10_001}),
        "a specifier of 1 MB": ("requirement-characters", {"requirements": [f"idna>=1{',!=1' * 250_000}"]}),
        "a marker 5,000 deep": ("requirement-parentheses", {"requirements": [f"idna ; {nested}"]}),
        "500 wide markers": ("answered", {"requirements": [f"idna<{n + 90} ; {wide}" for n in range(500)]}),
        "a graph that blows up": ("solver-seconds", {"requirements": pigeons}),
    }
    fixed = {"constraints": [f"nobody-needs-this<{_NUMBER.decode()}"], "target": target}
    return {name: (meets, json.dumps(fixed | body).encode()) for name, (meets, body) in bodies.items()}


def add_pigeons(world: World) -> None:
    """List a graph that is made to blow up: each release of a pigeon wants a hole for itself."""
    for pigeon in range(PIGEONS + 1):
        wheels = {f"pigeon_{pigeon}-{hole + 1}-py3-none-any.whl": hole for hole in range(PIGEONS)}
        world.projects[f"pigeon-{pigeon}"] = {  # type: ignore[index]
            "known": True,
            "files": [[name, None, None, None, None] for name in wheels],
            "metadata": {name: [None, [f"hole-{hole}=={pigeon + 1}"], []] for name, hole in wheels.items()},
        }
    for hole in range(PIGEONS):
        names = [f"hole_{hole}-{pigeon + 1}-py3-none-any.whl" for pigeon in range(PIGEONS + 1)]
        world.projects[f"hole-{hole}"] = {  # type: ignore[index]
            "known": True,
            "files": [[name, None, None, None, None] for name in names],
            "metadata": {name: [None, [], []] for name in names},
        }


def beside(world: World, url: str, count: int) -> Iterator[str]:
    """Time small requests while two others send what hurts, over and over."""
    yield "| meanwhile | it meets | remembered: p50, ms | p99 | worst | computed: p50, ms | p99 | worst |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    numbers = iter(range(10**9))
    for name, (meets, body) in {"nothing": ("", b""), **hurting(world)}.items():
        stop = threading.Event()
        met: set[str] = set()
        others = [
            threading.Thread(target=_hurt, args=(url, body, numbers, stop, met)) for _ in range(2 if body else 0)
        ]
        for other in others:
            other.start()
        time.sleep(0.5 if others else 0)
        quick, fresh = [], []
        ask = Asker(url)
        for _ in range(count):
            quick.append(ask(json.dumps(body_of(world, SMALL)).encode())[0])
            fresh.append(ask(_fresh(world, SMALL, next(numbers)))[0])
        stop.set()
        for other in others:
            other.join()
        assert met == ({meets} if body else set()), (name, met)
        yield f"| {name} | {meets} | {_spread(quick)} | {_spread(fresh)} |"


def _hurt(url: str, body: bytes, numbers: Iterator[int], stop: threading.Event, met: set[str]) -> None:
    ask = Asker(url)
    while not stop.is_set():  # another number each time: nothing of it is remembered
        _, response, data = ask(body.replace(_NUMBER, b"%09d" % next(numbers), 1))
        met.add("answered" if response.status == 200 else json.loads(data)["limit"])


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(second * 1e3 for second in seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(ordered):.2f} | **{p99:.1f}** | {ordered[-1]:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("what", nargs="*", default=["computed", "remembered", "beside"], help="parts (all)")
    parser.add_argument("--runs", type=int, default=40, help="of each computed answer (40)")
    parser.add_argument("--rounds", type=int, default=3, help="of load, ours and the bare one in turn (3)")
    parser.add_argument("--seconds", type=int, default=4, help="of load, each time (4)")
    parser.add_argument("--small", type=int, default=300, help="small requests beside each that hurts (300)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the tables go")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == ["bare"]:
        return run_bare(options.port, options.size)
    scratch = Path(tempfile.mkdtemp(prefix="answering-"))
    try:
        return _measure(options, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measure(options: argparse.Namespace, scratch: Path) -> int:
    world = World.unpack(WORLD.read_bytes())
    add_pigeons(world)
    shelf = world.shelf()
    configuration = scratch / "venvery.toml"
    configuration.write_text("[limits]\nsolver-seconds = 2.0\n", encoding="utf-8")
    parts: dict[str, tuple[str, Callable[[str, int], Iterator[str]]]] = {
        "computed": (
            _COMPUTED,
            lambda url, _pid: computed(world, shelf, url, options.runs),
        ),
        "remembered": (
            _REMEMBERED.format(**vars(options)),
            lambda url, pid: remembered(world, url, pid, scratch, options.rounds, options.seconds),
        ),
        "beside": (
            _BESIDE.format(**vars(options)),
            lambda url, _pid: beside(world, url, options.small),
        ),
    }
    told: list[str] = []
    with WorldIndex(ShelfWorld(shelf)) as index:
        command = Venvery(scratch, index_url=index.url)
        with command.serve("--config", str(configuration), "--data", scratch / "server-data") as server:
            for part in options.what:
                words, lines = parts[part]
                told += ["", words]
                print(words)
                for line in lines(server.url, server.process.pid):
                    print(line, flush=True)
                    told.append(line)
    head = (
        f"# Answers over HTTP\n\nOne server process; {machine()}, {datetime.now(UTC):%Y-%m-%d}; load average "
        f"{os.getloadavg()[0]:.1f} at the end.\nThe clients run on the same machine and take their share of its "
        "cores, as does whatever else it does.\n"
    )
    if len(options.what) == len(parts):
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "answering.md").write_text(head + "\n".join([*told, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
