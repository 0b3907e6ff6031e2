"""Random worlds, served by a real index, against uv and pip themselves.

`VENVERY_PEER_WORLDS=2000` tries that many against uv, and a tenth of it against pip. What is asked for may
have several equally good answers; so one world in fifty may have other pins, where the tool itself accepts ours
and is not better off in one project and worse in none. A tool that gives up too early counts as such too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.resolve.random_worlds import PYTHON, RandomWorld, add_to_index, random_world
from tests.resolve.worlds import Release, request, run, universe
from tests.support.index_server import IndexServer
from tests.support.machine import find_uv
from tests.support.running import clean_environment
from tests.support.wheels import normalize
from tests.support.world import World
from venvery.errors import Unsatisfiable
from venvery.model.targets import short_target
from venvery.model.versions import Version, parse_version
from venvery.resolve import MemoryShelf

COUNT = int(os.environ.get("VENVERY_PEER_WORLDS", "120"))
HERE = short_target(PYTHON, "linux-x86_64")

Pins = Mapping[str, str]


@pytest.fixture(scope="module")
def index() -> Iterator[IndexServer]:
    world = World()
    for seed in range(COUNT):
        add_to_index(random_world(seed)[0], world)
    with IndexServer(world) as running:
        yield running


def _ours(made: RandomWorld, preset: str) -> Pins | None:
    projects, roots = made
    shelf = MemoryShelf()
    for name, releases in projects.items():
        shelf.put(universe(name, releases))
    try:
        lock = run(request(*roots, targets=(HERE,), preset=preset), shelf).lock
    except Unsatisfiable:
        return None
    return {str(pin.project): str(pin.version) for pin in lock.pins}


class Uv:
    """uv, asked for one lock after another."""

    def __init__(self, index: str, folder: Path) -> None:
        found = find_uv()
        assert found is not None, "uv is in the test extra"
        self.command = [
            str(found), "pip", "compile", "-", "-q", "--no-header", "--no-annotate", "--python", sys.executable,
            "--python-version", PYTHON, "--cache-dir", str(folder / "uv-cache"), "--default-index", index,
        ]  # fmt: skip
        self.environment = clean_environment(folder)

    def __call__(self, roots: Sequence[str], constraints: Path | None = None) -> Pins | None:
        command = self.command + (["-c", str(constraints)] if constraints else [])
        done = subprocess.run(
            command, input="\n".join(roots), env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            assert "No solution found" in done.stderr, done.stderr
            return None
        lines = [line.split(";")[0].strip() for line in done.stdout.splitlines() if "==" in line]
        return {normalize(re.sub(r"\[.*\]", "", line.split("==")[0])): line.split("==")[1] for line in lines}


class Pip:
    """This interpreter's pip, asked what it would install."""

    def __init__(self, index: str, folder: Path) -> None:
        self.command = [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
            "--disable-pip-version-check", "--index-url", index,
        ]  # fmt: skip
        self.environment = clean_environment(folder, PIP_CONFIG_FILE=os.devnull)

    def __call__(self, roots: Sequence[str], constraints: Path | None = None) -> Pins | None:
        command = [*self.command, *(["-c", str(constraints)] if constraints else []), *roots]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            assert re.search("ResolutionImpossible|No matching distribution", done.stderr), done.stderr
            return None
        told = [one["metadata"] for one in json.loads(done.stdout)["install"]]
        return {normalize(one["name"]): one["version"] for one in told}


def _compare(peer: Uv | Pip, preset: str, seeds: int, folder: Path) -> None:
    """Fail unless the peer answers as we do."""
    wrong, trades = [], []
    for seed in range(seeds):
        made = random_world(seed)
        ours, theirs = _ours(made, preset), peer(made[1])
        if ours != theirs:
            is_trade = (
                ours is not None
                and (theirs is None or _is_trade(ours, theirs))
                and peer(made[1], _as_constraints(ours, folder)) == ours
            )
            said = f"world {seed}, {made[1]}\n  ours: {ours}\n  {preset}: {theirs}"
            (trades if is_trade else wrong).append(said)
    assert not wrong, "\n".join(wrong)
    assert len(trades) <= 1 + seeds // 50, "\n".join(trades)


def _is_trade(ours: Pins, theirs: Pins) -> bool:
    both = [(_worth(ours[name]), _worth(theirs[name])) for name in ours.keys() & theirs.keys()]
    return any(mine > other for mine, other in both) or all(mine == other for mine, other in both)


def _worth(version: str) -> tuple[bool, Version]:
    """Order versions by what is preferred: final releases first, then the newer."""
    parsed = parse_version(version)
    return not parsed.is_prerelease, parsed


def _as_constraints(pins: Pins, folder: Path) -> Path:
    file = folder / "pins.txt"
    file.write_text("\n".join(f"{name}=={version}" for name, version in pins.items()), encoding="utf-8")
    return file


def test_uv_answers_the_same(index: IndexServer, tmp_path: Path) -> None:
    _compare(Uv(index.url, tmp_path), "uv", COUNT, tmp_path)


def test_pip_answers_the_same(index: IndexServer, tmp_path: Path) -> None:
    _compare(Pip(index.url, tmp_path), "pip", COUNT // 10, tmp_path)


def test_the_worlds_are_worth_asking_about() -> None:
    answers = [_ours(random_world(seed), "uv") for seed in range(60)]
    answered = [answer for answer in answers if answer is not None]
    assert 15 <= len(answered) <= 45
    assert sum(len(answer) > 1 for answer in answered) > 10


@pytest.mark.parametrize("root", ["a<2.0.dev0", "b"])
def test_an_upper_bound_may_name_a_pre_release(root: str, tmp_path: Path) -> None:
    made: RandomWorld = (
        {
            "a": {"1.0": Release(), "1.5rc1": Release()},
            "b": {"1.0": Release(["a<2.0.dev0"])},
        },
        [root],
    )
    world = World()
    add_to_index(made[0], world)
    with IndexServer(world) as index:
        ours, as_uv = _ours(made, "pip"), _ours(made, "uv")
        assert Pip(index.url, tmp_path)([root]) == ours and ours is not None and ours["a"] == "1.5rc1"
        assert Uv(index.url, tmp_path)([root]) == as_uv and as_uv is not None and as_uv["a"] == "1.0"
