"""Resolves real requirement sets with venvery, uv and pip, and says where and how the answers differ.

    python benchmarks/differential.py [NAME …] [--without pip] [--results FOLDER]

Each file of `inputs/` names the Python and the platform that it is for. pip takes part where that Python is on
this machine and the platform is this machine's, since pip reads markers from the interpreter that it runs on.
All use the index that pip is configured for, and wheels only. An answer of ours that differs is given back to uv
and to pip as constraints: they must find it right.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tests.support.machine import find_python, find_uv  # noqa: E402
from tests.support.public_index import configured_index, why_not  # noqa: E402
from tests.support.running import Venvery, clean_environment  # noqa: E402
from tests.support.wheels import normalize  # noqa: E402

UV_PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "musl-x86_64": "x86_64-unknown-linux-musl",
    "macos-arm64": "aarch64-apple-darwin",
    "macos-x86_64": "x86_64-apple-darwin",
    "windows-x86_64": "x86_64-pc-windows-msvc",
}
THIS_PLATFORM = f"{platform.system().lower()}-{platform.machine()}"

Pins = dict[str, str]


@dataclass(frozen=True, slots=True)
class Input:
    """A requirement set and its target."""

    path: Path
    python: str
    platform: str

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered: pins, or its reason for none."""

    pins: Pins | None
    seconds: float
    said: str = ""


@dataclass(slots=True)
class Comparison:
    """All answers to one input."""

    input: Input
    answers: dict[str, Answer]
    verdict: str = ""
    notes: list[str] = field(default_factory=list)


def read_input(path: Path) -> Input:
    """Read the target from the comments at the head of a file. Raises `ValueError` when there is none."""
    text = path.read_text(encoding="utf-8")
    found = dict(re.findall(r"^# (python|platform): (\S+)$", text, re.MULTILINE))
    if set(found) != {"python", "platform"}:
        raise ValueError(f"{path.name} does not name its python and platform")
    return Input(path, found["python"], found["platform"])


class Tools:
    """The three programs, each with one warm cache for all inputs."""

    def __init__(self, scratch: Path, uv: Path) -> None:
        self.scratch = scratch
        self.uv = uv
        self.venvery = Venvery(scratch, index_url=configured_index())
        index = configured_index()
        self.env = clean_environment(
            scratch / "home",
            UV_DEFAULT_INDEX=index,
            UV_CACHE_DIR=str(scratch / "uv"),
            UV_PYTHON_DOWNLOADS="never",
            PIP_INDEX_URL=index,
            PIP_CACHE_DIR=str(scratch / "pip"),
        )
        self._pips: dict[str, Path | None] = {}

    def ask_venvery(self, one: Input) -> Answer:
        target = ("--python", one.python, "--platform", one.platform)
        command = self.venvery.command(
            "resolve", "-r", one.path, *target, "--only-binary", ":all:", "--format", "requirements"
        )
        return self._ask(command, self.venvery.env)

    def ask_uv(self, one: Input, constraints: Path | None = None) -> Answer | None:
        if one.python.endswith("t"):  # uv has no word for a free-threaded target
            return None
        target = ("--python-version", one.python, "--python-platform", UV_PLATFORMS[one.platform])
        command = [str(self.uv), "pip", "compile", "-q", "--no-header", "--no-annotate", "--only-binary", ":all:"]
        limits = ("-c", str(constraints)) if constraints else ()
        return self._ask([*command, *target, *limits, str(one.path)], self.env)

    def ask_pip(self, one: Input, constraints: Path | None = None) -> Answer | None:
        python = self._pip(one.python) if one.platform == THIS_PLATFORM else None
        if python is None:
            return None
        report = self.scratch / "report.json"
        report.unlink(missing_ok=True)
        command = [str(python), "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        limits = ("-c", str(constraints)) if constraints else ()
        wheels = ("--only-binary", ":all:", "--report", str(report))
        answer = self._ask([*command, *wheels, *limits, "-r", str(one.path)], self.env)
        if answer.pins is None:
            return answer
        found = {
            normalize(item["metadata"]["name"]): item["metadata"]["version"]
            for item in json.loads(report.read_text(encoding="utf-8"))["install"]
        }
        return Answer(found, answer.seconds)

    def _pip(self, version: str) -> Path | None:
        """Make a virtualenv with the newest pip for a Python of this machine, once."""
        if version not in self._pips:
            python = find_python(version)
            if python is not None:
                folder = self.scratch / f"pip-{version}"
                subprocess.run([python, "-m", "venv", folder], check=True)
                python = folder / "bin/python"
                subprocess.run([python, "-m", "pip", "install", "-q", "-U", "pip"], env=self.env, check=True)
            self._pips[version] = python
        return self._pips[version]

    @staticmethod
    def _ask(command: Sequence[str], env: Mapping[str, str]) -> Answer:
        started = time.perf_counter()
        try:
            done = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False, timeout=900)
        except subprocess.TimeoutExpired:
            return Answer(None, time.perf_counter() - started, "no answer after 900 s")
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).replace("\n", " ")
            return Answer(None, seconds, f"exit {done.returncode}: {said}")
        return Answer(read_pins(done.stdout), seconds)


def read_pins(text: str) -> Pins:
    """Read `name==version` lines."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?={2,3}([^\s\\;]+)", text, re.MULTILINE)
    return {normalize(name): version for name, version in found}


def compare(tools: Tools, one: Input, *, with_pip: bool) -> Comparison:
    """Ask all, and judge."""
    asked = {"venvery": tools.ask_venvery(one), "uv": tools.ask_uv(one)}
    if with_pip:
        asked["pip"] = tools.ask_pip(one)
    answers = {tool: answer for tool, answer in asked.items() if answer is not None}
    comparison = Comparison(one, answers)
    comparison.verdict = verdict(answers)
    ours = answers["venvery"].pins
    for tool, answer in answers.items():
        if tool == "venvery" or answer.pins == ours:
            continue
        if ours is None or answer.pins is None:
            who = "venvery" if ours is None else tool
            comparison.notes.append(f"{who} says no: {answers[who].said[:600]}")
        else:
            comparison.notes.append(f"against {tool}: {difference(ours, answer.pins)}")
    if ours is not None and comparison.notes:
        comparison.notes += accepted(tools, one, ours, answers)
    return comparison


def verdict(answers: Mapping[str, Answer]) -> str:
    """Name how the answers relate."""
    ours = answers["venvery"].pins
    same = [tool for tool, answer in answers.items() if answer.pins == ours and tool != "venvery"]
    others = [tool for tool in answers if tool != "venvery" and tool not in same]
    if not same and not others:
        return "nobody to compare with"
    if not others:
        return "all say no" if ours is None else "all agree"
    if ours is None:
        return "venvery says no" if not same else f"venvery and {' and '.join(same)} say no"
    if same:
        return f"as {' and '.join(same)}, not as {' and '.join(others)}"
    peers = [answers[tool].pins for tool in others]
    if len(peers) > 1 and peers[0] == peers[1]:
        return "peers agree, venvery differs"
    return "all differ"


def difference(ours: Pins, theirs: Pins) -> str:
    """Say what differs, ours first."""
    parts = []
    for project in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(project, "–"), theirs.get(project, "–")
        if mine != other:
            parts.append(f"{project} {mine} / {other}")
    return ", ".join(parts)


def accepted(tools: Tools, one: Input, ours: Pins, answers: Mapping[str, Answer]) -> list[str]:
    """Let the others check our answer: with our pins as constraints they must arrive at it."""
    limits = tools.scratch / "ours.txt"
    limits.write_text("".join(f"{project}=={version}\n" for project, version in ours.items()))
    notes = []
    for tool in answers:
        if tool == "venvery":
            continue
        checked = tools.ask_uv(one, limits) if tool == "uv" else tools.ask_pip(one, limits)
        assert checked is not None
        if checked.pins == ours:
            notes.append(f"{tool} accepts our answer")
        elif checked.pins is None:
            notes.append(f"{tool} REFUSES our answer: {checked.said[:600]}")
        else:
            notes.append(f"{tool} CHANGES our answer: {difference(ours, checked.pins)}")
    return notes


def report(comparisons: Sequence[Comparison]) -> str:
    """Write everything as Markdown."""
    lines = ["# venvery, uv and pip on the same requirements", ""]
    lines += [f"- {count} × {name}" for name, count in Counter(c.verdict for c in comparisons).most_common()]
    lines += ["", "| input | target | venvery | uv | pip | verdict |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for c in comparisons:
        cells = [_cell(c.answers.get(tool)) for tool in ("venvery", "uv", "pip")]
        lines.append(
            f"| {c.input.name} | {c.input.python} {c.input.platform} | {' | '.join(cells)} | {c.verdict} |"
        )
    for c in comparisons:
        if c.notes:
            lines += ["", f"## {c.input.name}: {c.verdict}", "", *(f"- {note}" for note in c.notes)]
    return "\n".join(lines) + "\n"


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return "–"
    return f"{'no' if answer.pins is None else len(answer.pins)} in {answer.seconds:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="inputs, by name (all)")
    parser.add_argument("--without", choices=["pip"], action="append", default=[], help="leave a peer out")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the report goes")
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    reason = why_not()
    if reason is not None:
        print(f"error: the index that pip is configured for does not answer: {reason}", file=sys.stderr)
        return 3
    inputs = [read_input(path) for path in sorted((HERE / "inputs").glob("*.txt"))]
    if options.names:
        inputs = [one for one in inputs if one.name in options.names]
    scratch = Path(tempfile.mkdtemp(prefix="differential-"))
    comparisons = []
    try:
        tools = Tools(scratch, uv)
        for one in inputs:
            comparisons.append(compare(tools, one, with_pip="pip" not in options.without))
            last = comparisons[-1]
            print(f"{one.name}: {last.verdict}", *last.notes, sep="\n    ", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text = report(comparisons)
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "differential.md").write_text(text, encoding="utf-8")
    return 0 if all("REFUSES" not in note for c in comparisons for note in c.notes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
