"""Times `venvery resolve` beside `uv pip compile` from the command line, with nothing known and with all known.

    python benchmarks/cold.py web-django-requests notebooks-jupyterlab --runs 5

Needs uv, and the index that pip on this machine is configured for. Both programs ask that index and no other
source, for the same Python; cold, neither has a cache; warm, each has what its run before left. The table tells
wall time and processor time, for the machine may be busy with other things. Writes to results/cold.md and
results/cold.svg.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
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


@dataclass(slots=True)
class Timed:
    """Seconds of one program on one input."""

    program: str
    state: str
    """`cold` or `warm`."""
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def once(timed: Timed, command: list[str], env: dict[str, str]) -> None:
    """Run a command and note its time; ends the benchmark when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    timed.wall.append(wall)
    timed.processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def compare(name: str, runs: int, scratch: Path) -> list[Timed]:
    """Run both programs on one input in turn, cold and then warm, every other round the other one first."""
    index, uv = configured_index(), find_uv()
    if uv is None:
        raise SystemExit("uv is needed, on PATH or beside this Python")
    file = str(HERE / "inputs" / f"{name}.txt")
    timed = [Timed(program, state) for state in ("cold", "warm") for program in ("venvery", "uv")]
    for number in range(runs):
        folder = Path(tempfile.mkdtemp(dir=scratch))
        venvery = Venvery(folder, index_url=index)
        commands = {
            "venvery": venvery.command("resolve", "-r", file, "--python", PYTHON),
            "uv": [
                *(str(uv), "pip", "compile", "--quiet", "--generate-hashes", "--python-version", PYTHON),
                *("--default-index", index, "--cache-dir", str(folder / "cache"), file),
            ],
        }
        for one in timed if number % 2 else [timed[1], timed[0], timed[3], timed[2]]:
            once(one, commands[one.program], venvery.env)
        print(f"{number + 1}/{runs}  {name}: " + tell(timed), file=sys.stderr)
    return timed


def tell(timed: list[Timed]) -> str:
    return ", ".join(f"{one.program} {one.state} {one.wall[-1]:.2f} s" for one in timed)


def table(measured: dict[str, list[Timed]]) -> str:
    """Write medians, and the fastest in brackets, as a Markdown table."""
    lines = [
        "| input | | venvery, s | uv, s | ratio | venvery, CPU s | uv, CPU s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, timed in measured.items():
        for ours, peer in (timed[0:2], timed[2:4]):
            mine, theirs = statistics.median(ours.wall), statistics.median(peer.wall)
            lines.append(
                f"| {name} | {ours.state} | **{mine:.2f}** ({min(ours.wall):.2f}) | {theirs:.2f} "
                f"({min(peer.wall):.2f}) | {mine / theirs:.2f} | {statistics.median(ours.processor):.2f} "
                f"| {statistics.median(peer.processor):.2f} |"
            )
    return "\n".join(lines) + "\n"


def picture(measured: dict[str, list[Timed]]) -> str:
    bars = [
        Bar(f"{name}, {one.state}: {one.program}", statistics.median(one.wall), min(one.wall), max(one.wall),
            ours=one.program == "venvery")
        for name, timed in measured.items()
        for one in timed
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
    with tempfile.TemporaryDirectory() as scratch:
        measured = {name: compare(name, arguments.runs, Path(scratch)) for name in arguments.inputs}
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    text = (
        f"# Resolving from the command line\n\n{datetime.now(UTC):%Y-%m-%d}, {machine()}, {arguments.runs} runs "
        f"in turn; load when done {busy}. Median of the wall time and, in brackets, the fastest run.\n\n"
        f"{table(measured)}\n![the same as bars](cold.svg)\n"
    )
    (HERE / "results" / "cold.md").write_text(text, encoding="utf-8")
    (HERE / "results" / "cold.svg").write_text(picture(measured), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
