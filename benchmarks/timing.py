"""Runs contestants in turn, and puts what was measured into a table and a picture."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Contestant", "Measured", "machine", "measure", "run", "table"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do the job. `prepare` is not timed; both get an empty folder of their own."""

    name: str
    job: Callable[[Path], None]
    prepare: Callable[[Path], None] = lambda folder: None
    ours: bool = False
    rounds: int = sys.maxsize
    """In how many rounds it takes part at most: the slow ones need fewer."""


@dataclass(slots=True)
class Measured:
    """The seconds of each run."""

    contestant: Contestant
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Seconds of processor time of all processes that were waited for, which a busy machine changes less."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(contestants: Sequence[Contestant], runs: int, scratch: Path, *, keep: bool = True) -> list[Measured]:
    """Run all contestants in turn, `runs` times, so that a slow minute hits them all alike.

    Nothing is deleted in between: on some file systems that slows down whoever comes next. `keep=False` deletes
    all the same, for scratch folders in memory and for much that is made.
    """
    measured = [Measured(contestant) for contestant in contestants]
    for number in range(1, runs + 1):
        # every other round backwards: who comes first gains nothing
        for one in measured if number % 2 else reversed(measured):
            if number > one.contestant.rounds:
                continue
            folder = Path(tempfile.mkdtemp(dir=scratch))
            one.contestant.prepare(folder)
            os.sync()  # what the one before wrote is not paid for by the next
            before, started = os.times(), time.perf_counter()
            one.contestant.job(folder)
            one.seconds.append(time.perf_counter() - started)
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            one.processor.append(used)
            if not keep:
                shutil.rmtree(folder)
            print(f"{number}/{runs}  {one.contestant.name}: {one.seconds[-1]:.2f} s", file=sys.stderr)
    return measured


def run(command: Iterable[str | Path], env: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run a command; ends the benchmark with what it said when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def table(measured: Sequence[Measured]) -> str:
    """Write the results as a Markdown table."""
    lines = ["| | median, s | fastest | slowest |", "| --- | ---: | ---: | ---: |"]
    for one in measured:
        name = one.contestant.name.replace("|", "\\|")
        bold = "**" if one.contestant.ours else ""
        span = f"{min(one.seconds):.2f} | {max(one.seconds):.2f}"
        lines.append(f"| {name} | {bold}{one.median:.2f}{bold} | {span} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Describe the machine in a line, without naming it."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
