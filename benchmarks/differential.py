"""Resolves real requirement sets with venvery, uv and pip on the same frozen index, and classifies what differs.

    python benchmarks/differential.py [NAME …] [--without pip]      replay worlds/differential.zst: no network
    python benchmarks/differential.py --record [NAME …]             ask the index that pip is configured for

Each file of `inputs/` names the Python and the platform that it is for. pip takes part where that Python is on
this machine and the platform is this machine's, since pip reads markers from the interpreter that it runs on; all
three are then given that Python's full version and this machine's glibc. Wheels only. Every answer, ours and
theirs, is judged by `check_answer.py`, which knows no solver.
"""

from __future__ import annotations

import argparse
import json
import os
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

from check_answer import Place, faults  # noqa: E402
from frozen_index import FrozenIndex, Recording  # noqa: E402
from packaging.version import Version  # noqa: E402
from tests.support.machine import find_python, find_uv  # noqa: E402
from tests.support.public_index import configured_index, why_not  # noqa: E402
from tests.support.running import Venvery, clean_environment  # noqa: E402
from tests.support.wheels import normalize  # noqa: E402

WORLD = HERE / "worlds/differential.zst"
UV_PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "musl-x86_64": "x86_64-unknown-linux-musl",
    "macos-arm64": "aarch64-apple-darwin",
    "macos-x86_64": "x86_64-apple-darwin",
    "windows-x86_64": "x86_64-pc-windows-msvc",
}
THIS_PLATFORM = f"{platform.system().lower()}-{platform.machine()}"
PATIENCE = 300
"""Seconds that a tool gets for one input."""

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

    def asked(self) -> list[str]:
        """Give the requirements."""
        lines = (line.partition(" #")[0].strip() for line in self.path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered: pins, or its reason for none."""

    pins: Pins | None
    seconds: float
    said: str = ""
    gave_up: bool = False
    """True when it says neither yes nor no."""


@dataclass(slots=True)
class Comparison:
    """All answers to one input."""

    input: Input
    place: Place
    answers: dict[str, Answer]
    faults: dict[str, list[str]] = field(default_factory=dict)
    """By tool, what is wrong with its answer."""
    differing: dict[str, list[tuple[str, str, str, str]]] = field(default_factory=dict)
    """By tool: (project, ours, theirs, class)."""
    under_its_preset: dict[str, bool] = field(default_factory=dict)
    """By tool whose pins differ: whether we give just these under the preset of its name."""

    @property
    def ours(self) -> Answer:
        return self.answers["venvery"]

    def wrong(self, tool: str) -> list[str]:
        """Give what is wrong with a tool's answer, matters of taste left out."""
        return [fault for fault in self.faults.get(tool, ()) if not fault.startswith("policy:")]

    def verdict(self, tool: str) -> str:
        """Name how a tool's answer relates to ours."""
        theirs = self.answers.get(tool)
        if theirs is None:
            return "–"
        if theirs.gave_up:
            return "gives up"
        if self.ours.gave_up:
            return "answers, WE GIVE UP"
        if (theirs.pins is None) != (self.ours.pins is None):
            return "says no" if theirs.pins is None else "SAYS YES"
        if theirs.pins == self.ours.pins:
            return "same"
        return f"{len(self.differing[tool])} pins differ" + (
            f", none under preset {tool}" if self.under_its_preset.get(tool) else ""
        )


def read_input(path: Path) -> Input:
    """Read the target from the comments at the head of a file. Raises `ValueError` when there is none."""
    text = path.read_text(encoding="utf-8")
    found = dict(re.findall(r"^# (python|platform): (\S+)$", text, re.MULTILINE))
    if set(found) != {"python", "platform"}:
        raise ValueError(f"{path.name} does not name its python and platform")
    return Input(path, found["python"], found["platform"])


class Tools:
    """The three programs, each with one cache for all inputs."""

    def __init__(self, scratch: Path, uv: Path, index: str) -> None:
        self.scratch = scratch
        self.uv = uv
        self.venvery = Venvery(scratch, index_url=index)
        self.env = clean_environment(
            scratch / "home",
            UV_DEFAULT_INDEX=index,
            UV_CACHE_DIR=str(scratch / "uv"),
            UV_PYTHON_DOWNLOADS="never",
            PIP_INDEX_URL=index,
            PIP_CACHE_DIR=str(scratch / "pip"),
        )
        self._pips: dict[str, tuple[Path, str] | None] = {}

    def place(self, one: Input) -> Place:
        """Give the exact Python and platform: those of this machine's interpreter where pip can take part."""
        pip = self._pip(one)
        if pip is None:
            short = one.python.removesuffix("t")
            return Place(f"{short}.0" + one.python[len(short) :], one.platform)
        return Place(pip[1], one.platform, platform.libc_ver()[1])

    def ask_venvery(self, one: Input, place: Place, preset: str = "pip") -> Answer:
        named = one.platform
        if place.glibc != "2.28":
            named = f"manylinux_{place.glibc.replace('.', '_')}_{platform.machine()}"
        command = self.venvery.command(
            *("resolve", "-r", one.path, "--python", place.python, "--platform", named),
            *("--only-binary", ":all:", "--format", "json", "--preset", preset),
        )
        answer, text = self._ask(command, self.venvery.env, refuses=1)
        if answer.pins is None:
            return answer
        found = {pin["project"]: pin["version"] for pin in json.loads(text)["pins"]}
        return Answer(found, answer.seconds)

    def ask_uv(self, one: Input, place: Place) -> Answer | None:
        if one.python.endswith("t"):  # uv has no word for a free-threaded target
            return None
        named = UV_PLATFORMS[one.platform].replace("2_28", place.glibc.replace(".", "_"))
        target = ("--python-version", place.python, "--python-platform", named)
        command = [str(self.uv), "pip", "compile", "-q", "--no-header", "--no-annotate", "--only-binary", ":all:"]
        answer, text = self._ask([*command, *target, str(one.path)], self.env, refuses=1)
        return answer if answer.pins is None else Answer(read_pins(text), answer.seconds)

    def ask_pip(self, one: Input) -> Answer | None:
        pip = self._pip(one)
        if pip is None:
            return None
        report = self.scratch / "report.json"
        report.unlink(missing_ok=True)
        command = [str(pip[0]), "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        wheels = ("--only-binary", ":all:", "--report", str(report))
        answer, _text = self._ask([*command, *wheels, "-r", str(one.path)], self.env, refuses=1)
        if answer.pins is None:
            return answer
        found = {
            normalize(item["metadata"]["name"]): item["metadata"]["version"]
            for item in json.loads(report.read_text(encoding="utf-8"))["install"]
        }
        return Answer(found, answer.seconds)

    def _pip(self, one: Input) -> tuple[Path, str] | None:
        """Make a virtualenv with the newest pip for a Python of this machine, once; give its full version too.

        None where pip cannot take part: the last pip for Python 3.8 fetches all files even when it only resolves.
        """
        if one.platform != THIS_PLATFORM or one.python.endswith("t") or one.python in ("3.7", "3.8"):
            return None
        if one.python not in self._pips:
            python = find_python(one.python)
            self._pips[one.python] = None if python is None else self._make_pip(python, one.python)
        return self._pips[one.python]

    def _make_pip(self, python: Path, version: str) -> tuple[Path, str]:
        folder = self.scratch / f"pip-{version}"
        subprocess.run([python, "-m", "venv", folder], check=True)
        made = folder / "bin/python"
        if why_not() is None:
            newest = {**self.env, "PIP_INDEX_URL": configured_index()}
            subprocess.run([made, "-m", "pip", "install", "-q", "-U", "pip"], env=newest, check=True)
        said = subprocess.run(
            [made, "-c", "import platform; print(platform.python_version())"], capture_output=True
        )
        return made, said.stdout.decode().strip()

    @staticmethod
    def _ask(command: Sequence[str], env: Mapping[str, str], *, refuses: int) -> tuple[Answer, str]:
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command, env=dict(env), capture_output=True, text=True, check=False, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return Answer(None, time.perf_counter() - started, f"no answer after {PATIENCE} s", True), ""
        seconds = time.perf_counter() - started
        if done.returncode == 0:
            return Answer({}, seconds), done.stdout
        said = (done.stderr.strip() or done.stdout.strip()).replace("\n", " ")
        no = done.returncode == refuses and "resolution-too-deep" not in said
        return Answer(None, seconds, f"exit {done.returncode}: {said}", not no), ""


def read_pins(text: str) -> Pins:
    """Read `name==version` lines."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?={2,3}([^\s\\;]+)", text, re.MULTILINE)
    return {normalize(name): version for name, version in found}


def compare(tools: Tools, one: Input, index: FrozenIndex, *, with_pip: bool) -> Comparison:
    """Ask all, and judge each answer by itself."""
    place = tools.place(one)
    asked = {"venvery": tools.ask_venvery(one, place), "uv": tools.ask_uv(one, place)}
    if with_pip:
        asked["pip"] = tools.ask_pip(one)
    answers = {tool: answer for tool, answer in asked.items() if answer is not None}
    done = Comparison(one, place, answers)
    for tool, answer in answers.items():
        if answer.pins is not None:
            done.faults[tool] = faults(answer.pins, one.asked(), place, index)
            if tool != "venvery" and done.ours.pins is not None:
                done.differing[tool] = differing(done.ours.pins, answer.pins)
                if done.differing[tool]:
                    again = tools.ask_venvery(one, place, preset=tool)
                    done.under_its_preset[tool] = again.pins == answer.pins
    return done


def differing(ours: Pins, theirs: Pins) -> list[tuple[str, str, str, str]]:
    """Classify each pin that differs."""
    found = []
    for project in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(project), theirs.get(project)
        if mine is None or other is None:
            found.append((project, mine or "–", other or "–", "only theirs" if mine is None else "only ours"))
        elif Version(mine) != Version(other):
            kind = "ours newer" if Version(mine) > Version(other) else "theirs newer"
            if Version(mine).is_prerelease != Version(other).is_prerelease:
                kind = f"pre-release policy, {kind}"
            found.append((project, mine, other, kind))
    return found


def report(done: Sequence[Comparison], index: FrozenIndex, versions: str) -> str:
    """Write everything as Markdown."""
    lines = ["# venvery, uv and pip on the same requirements", ""]
    recording = index.recording
    lines.append(
        f"{versions}. {len(done)} requirement sets, on an index that stands still at {recording.frozen}: "
        f"{sum(page is not None for page in recording.pages.values()):,} projects with "
        f"{sum(len(page or ()) for page in recording.pages.values()):,} files, "
        f"{len(recording.metadata):,} files' metadata. Wheels only."
    )
    lines += ["", "| | uv | pip |", "| --- | ---: | ---: |"]
    for label, test in _COUNTS.items():
        cells = [str(sum(test(c, tool) for c in done)) for tool in ("uv", "pip")]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    wrong = {tool: sum(bool(c.wrong(tool)) for c in done) for tool in ("venvery", "uv", "pip")}
    judged = {tool: sum(tool in c.faults for c in done) for tool in ("venvery", "uv", "pip")}
    lines += ["", "Judged by `check_answer.py`, which reads the metadata and knows no solver:", ""]
    lines += [f"- {tool}: {wrong[tool]} of {judged[tool]} answers are wrong" for tool in wrong]
    classes = Counter(kind for c in done for pins in c.differing.values() for *_, kind in pins)
    lines += [
        "",
        "Pins that differ, by class: " + (", ".join(f"{n} × {k}" for k, n in classes.most_common()) or "none"),
    ]
    lines += [
        "",
        "| input | target | venvery | uv | pip | uv is | pip is |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for c in done:
        cells = [_cell(c.answers.get(tool)) for tool in ("venvery", "uv", "pip")]
        cells += [c.verdict("uv"), c.verdict("pip")]
        lines.append(f"| {c.input.name} | {c.place.python} {c.place.platform} | {' | '.join(cells)} |")
    for c in done:
        notes = _notes(c)
        if notes:
            lines += ["", f"## {c.input.name}", "", *notes]
    return "\n".join(lines) + "\n"


_COUNTS = {
    "same pins, or all say no": lambda c, tool: c.verdict(tool) == "same",
    "both have an answer, pins differ": lambda c, tool: "pins differ" in c.verdict(tool),
    "… of these, none under the preset of their name": lambda c, tool: "none under" in c.verdict(tool),
    "we have an answer, they say no": lambda c, tool: c.verdict(tool) == "says no",
    "they have an answer, we say no": lambda c, tool: c.verdict(tool) == "SAYS YES",
    "they answer, we give up": lambda c, tool: "WE GIVE UP" in c.verdict(tool),
    "they give up": lambda c, tool: c.verdict(tool) == "gives up",
    "cannot be asked": lambda c, tool: c.verdict(tool) == "–",
}


def _notes(c: Comparison) -> list[str]:
    notes = []
    for tool, pins in c.differing.items():
        if pins:
            notes += [f"| against {tool} | ours | theirs | |", "| --- | --- | --- | --- |"]
            notes += [f"| {project} | {mine} | {other} | {kind} |" for project, mine, other, kind in pins]
            notes.append("")
    for tool, answer in c.answers.items():
        if answer.pins is None and (answer.gave_up or any(a.pins is not None for a in c.answers.values())):
            notes.append(f"- {tool}: {answer.said[:700]}")
        if c.faults.get(tool):
            said = "is wrong" if c.wrong(tool) else "reads the standard otherwise"
            notes.append(f"- {tool} {said}: {'; '.join(c.faults[tool][:8])}")
    return notes[:-1] if notes and not notes[-1] else notes


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return "–"
    return f"{'no' if answer.pins is None else len(answer.pins)} in {answer.seconds:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="inputs, by name (all)")
    parser.add_argument("--without", choices=["pip"], action="append", default=[], help="leave a peer out")
    parser.add_argument("--record", action="store_true", help="ask the live index for what is not recorded yet")
    parser.add_argument("--frozen", help="with --record, begin anew: nothing uploaded since this moment is there")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the report goes")
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    live = configured_index() if options.record else None
    recording = Recording(options.frozen) if options.frozen else Recording.load(WORLD)
    inputs = [read_input(path) for path in sorted((HERE / "inputs").glob("*.txt"))]
    if options.names:
        inputs = [one for one in inputs if one.name in options.names]
    scratch = Path(tempfile.mkdtemp(prefix="differential-"))
    done: list[Comparison] = []
    try:
        with FrozenIndex(recording, live) as index:
            tools = Tools(scratch, uv, index.url)
            for one in inputs:
                last = compare(tools, one, index, with_pip="pip" not in options.without)
                done.append(last)
                seen = ", ".join(f"{tool} {last.verdict(tool)}" for tool in ("uv", "pip"))
                print(f"{one.name}: {seen}", *_notes(last), sep="\n    ", file=sys.stderr, flush=True)
            text = report(done, index, _versions(uv))
            for key in sorted(index.missed):
                print(f"not recorded: {key}", file=sys.stderr)
    finally:
        if live is not None:
            recording.save(WORLD)
        shutil.rmtree(scratch, ignore_errors=True)
    if not options.names:
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / "differential.md").write_text(text, encoding="utf-8")
    print(text)
    return (
        1 if any(c.faults.get("venvery") or "SAYS YES" in (c.verdict("uv"), c.verdict("pip")) for c in done) else 0
    )


def _versions(uv: Path) -> str:
    said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.split()
    return f"venvery beside uv {said[1]} and pip; {os.cpu_count()} cores"


if __name__ == "__main__":
    raise SystemExit(main())
