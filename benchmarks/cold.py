"""Times `venvery resolve` beside `uv pip compile` from the command line, with nothing known and with all known.

    python benchmarks/cold.py web-django-requests notebooks-jupyterlab --runs 5

Needs uv, and the index that pip on this machine is configured for. Both programs ask that index and no other
source, for the same Python; cold, neither has a cache; warm, each has what its run before left. Then both ask an
upstream on loopback (upstream.py) that gives the index's own answers from memory, so that the network is equal
and quiet, and counts what it is asked: once with pages in HTML and wheels looked into by range requests, once with
pages in JSON and core metadata beside the wheels. The table tells wall time and processor time, for the machine
may be busy with other things. Writes to results/cold.md and results/cold.svg.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Bar, bar_chart  # noqa: E402
from tests.support.machine import find_uv  # noqa: E402
from tests.support.public_index import configured_index, why_not  # noqa: E402
from tests.support.running import Venvery  # noqa: E402
from timing import machine  # noqa: E402

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""That which runs this: no program then has to look for another."""
INPUTS = (
    "web-django-requests",
    "old-requests",
    "web-flask",
    "web-fastapi",
    "test-stack",
    "docs-stack",
    "data-pandas",
    "notebooks-jupyterlab",
)


_PIN = re.compile(r"^([a-zA-Z0-9._-]+)(?:\[[^\]]*\])?(==[^ ;\\]+)", re.MULTILINE)
STATES = ("cold", "warm", "loopback, HTML", "loopback, JSON")


@dataclass(slots=True)
class Timed:
    """One program on one input."""

    program: str
    state: str
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    """Requests of the last run by kind, where they are counted."""
    pins: frozenset[str] = frozenset()
    """What the last run answered."""

    def tell_asked(self) -> str:
        """Write pages, and everything that was asked of files."""
        pages = self.asked.get("page", 0)
        return f"{pages} + {sum(self.asked.values()) - pages}" if self.asked else ""


@contextlib.contextmanager
def upstream(index: str) -> Iterator[str]:
    """Run the upstream in a process of its own; gives its origin."""
    command = [sys.executable, str(HERE / "upstream.py"), "--index", index]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def counted(origin: str) -> dict[str, int]:
    """Take what the upstream has counted since the last time."""
    with urllib.request.urlopen(f"{origin}/count", timeout=10) as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


def once(timed: Timed, command: list[str], env: dict[str, str]) -> None:
    """Run a command and note its time; ends the benchmark when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    timed.pins = frozenset(_PIN.findall(done.stdout))
    timed.wall.append(wall)
    timed.processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def same(ours: Timed, peer: Timed) -> str:
    """Tell whether both gave the same answer."""
    if ours.pins == peer.pins:
        return "same"
    mine, theirs = len(ours.pins - peer.pins), len(peer.pins - ours.pins)
    return f"{mine} of {len(ours.pins)} / {theirs} of {len(peer.pins)} differ"


def commands_for(
    file: Path, folder: Path, index: str, local: str, state: str
) -> tuple[Venvery, dict[str, list[str]]]:
    """Give both programs' commands for a state."""
    uv = find_uv()
    if uv is None:
        raise SystemExit("uv is needed, on PATH or beside this Python")
    if state.startswith("loopback"):
        index = f"{local}/{state.rpartition(' ')[2].lower()}/simple"
        folder = Path(tempfile.mkdtemp(dir=folder))
    venvery = Venvery(folder, index_url=index)
    return venvery, {
        "venvery": venvery.command("resolve", "-r", str(file), "--python", PYTHON),
        "uv": [
            *(str(uv), "pip", "compile", "--quiet", "--generate-hashes", "--python-version", PYTHON),
            *("--default-index", index, "--cache-dir", str(folder / "cache"), str(file)),
        ],
    }


def compare(name: str, runs: int, scratch: Path, local: str) -> list[Timed]:
    """Run both programs on one input in turn, in every state; every other round the other one first."""
    file = HERE / "inputs" / f"{name}.txt"
    timed = [Timed(program, state) for state in STATES for program in ("venvery", "uv")]
    for number in range(-1, runs):  # before the first round the upstream gets its answers
        folder = Path(tempfile.mkdtemp(dir=scratch))
        for state in STATES:
            pair = [one for one in timed if one.state == state]
            for one in pair if number % 2 else pair[::-1]:
                if number < 0 and not state.startswith("loopback"):
                    continue
                venvery, commands = commands_for(file, folder, configured_index(), local, state)
                counted(local)
                once(one if number >= 0 else Timed("", ""), commands[one.program], venvery.env)
                if state.startswith("loopback"):
                    one.asked = counted(local)
        if number >= 0:
            print(f"{number + 1}/{runs}  {name}: " + tell(timed), file=sys.stderr)
    return timed


def tell(timed: list[Timed]) -> str:
    return ", ".join(f"{one.program} {one.state} {one.wall[-1]:.2f} s" for one in timed)


def table(measured: dict[str, list[Timed]]) -> str:
    """Write medians, and the fastest in brackets, as a Markdown table; below it the medians of the ratios."""
    lines = [
        "| input | | venvery, s | uv, s | ratio | CPU, s | uv, CPU s | ratio | asked | uv asked | answers |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    ratios: dict[str, list[tuple[float, float]]] = {}
    for name, timed in measured.items():
        for ours, peer in zip(timed[::2], timed[1::2], strict=True):
            mine, theirs = statistics.median(ours.wall), statistics.median(peer.wall)
            worked, others = statistics.median(ours.processor), statistics.median(peer.processor)
            ratios.setdefault(ours.state, []).append((mine / theirs, worked / others))
            lines.append(
                f"| {name} | {ours.state} | **{mine:.2f}** ({min(ours.wall):.2f}) | {theirs:.2f} "
                f"({min(peer.wall):.2f}) | {mine / theirs:.2f} | {worked:.2f} | {others:.2f} "
                f"| {worked / others:.2f} | {ours.tell_asked()} | {peer.tell_asked()} | {same(ours, peer)} |"
            )
    medians = ((state, *map(statistics.median, zip(*found, strict=True))) for state, found in ratios.items())
    said = "; ".join(f"{state} {wall:.2f} ({processor:.2f})" for state, wall, processor in medians)
    return "\n".join(lines) + f"\n\nMedians of the ratios of wall time (of processor time): {said}.\n"


def picture(measured: dict[str, list[Timed]]) -> str:
    bars = [
        Bar(f"{name}, {one.state}: {one.program}", statistics.median(one.wall), min(one.wall), max(one.wall),
            ours=one.program == "venvery")
        for name, timed in measured.items()
        for one in timed
        if one.state != "loopback, JSON"
    ]  # fmt: skip
    return bar_chart("Resolving from the command line", "seconds, median; line: fastest to slowest", bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "inputs", nargs="*", default=INPUTS, metavar="INPUT", help="names in inputs/, without .txt"
    )
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if reason := why_not():
        raise SystemExit(f"the index does not answer: {reason}")
    with tempfile.TemporaryDirectory() as scratch, upstream(configured_index()) as local:
        measured = {name: compare(name, arguments.runs, Path(scratch), local) for name in arguments.inputs}
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    text = (
        f"# Resolving from the command line\n\n{datetime.now(UTC):%Y-%m-%d}, {machine()}, {arguments.runs} runs "
        f"in turn; load when done {busy}. Median of the wall time and, in brackets, the fastest run. Asked: "
        f"project pages + requests for files (metadata, ranges, and uv's `HEAD`), where they are counted.\n\n"
        f"{table(measured)}\n![the same as bars](cold.svg)\n"
    )
    (HERE / "results" / "cold.md").write_text(text, encoding="utf-8")
    (HERE / "results" / "cold.svg").write_text(picture(measured), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
