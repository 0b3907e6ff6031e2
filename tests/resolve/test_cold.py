"""The solver with nothing at hand: it asks in batches, and answers as if it had known all along."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from hypothesis import given, settings

from tests.resolve.test_brute_force import MIXED, _shelf, _worlds
from tests.resolve.worlds import request, run, universe, world
from venvery.errors import Unsatisfiable
from venvery.model.names import NormalizedName, normalize
from venvery.model.requests import ResolveRequest
from venvery.resolve import MemoryShelf, Need, Resolution, Universe, solve


class ColdDriver:
    """Gives what is asked for and nothing else, and writes down what was asked."""

    def __init__(self, warm: MemoryShelf) -> None:
        self.warm = warm
        self.shelf = MemoryShelf()
        self.needs: list[Need] = []

    def run(self, asked: ResolveRequest) -> Resolution:
        steps = solve(asked, self.shelf)
        try:
            need = next(steps)
            while True:
                self.needs.append(need)
                self._supply(need)
                need = steps.send(None)
        except StopIteration as done:
            resolution: Resolution = done.value
            return resolution

    def _supply(self, need: Need) -> None:
        assert need.listings or need.metadata
        for project in need.listings:
            assert self.shelf.universe(project) is None, "asked for what is there"
            self.shelf.put(Universe(self._known(project).listing))
        for file in need.metadata:
            held = self.shelf.universe(file.project)
            assert held is not None
            assert held.metadata(file) is None, "asked for what is there"
            told = self._known(file.project).metadata(file)
            assert told is not None
            held.set_metadata(file, told)

    def _known(self, project: NormalizedName) -> Universe:
        return self.warm.universe(project) or universe(project, {}, known=False)


def test_needs_come_in_batches() -> None:
    warm = world(
        a={"1": ["c", "d"]},
        b={"1": ["e", "f"]},
        c={"1": []},
        d={"1": []},
        e={"1": []},
        f={"1": ["g"]},
        g={"1": []},
    )
    driver = ColdDriver(warm)
    driver.run(request("a", "b"))
    asked = [(sorted(need.listings), sorted(file.filename[0] for file in need.metadata)) for need in driver.needs]
    assert asked == [
        (["a", "b"], []),
        ([], ["a", "b"]),
        (["c", "d", "e", "f"], []),
        ([], ["c", "d", "e", "f"]),
        (["g"], []),
        ([], ["g"]),
    ]


def test_a_walk_back_asks_for_more_each_time() -> None:
    warm = world(
        a={str(n): [f"b=={n}"] for n in range(1, 301)},
        b={str(n): ["c<2"] if n == 7 else ["c>=2"] for n in range(1, 301)},
        c={"1": [], "2": []},
    )
    driver = ColdDriver(warm)
    resolution = driver.run(request("a", "c<2"))
    assert {str(pin.project): str(pin.version) for pin in resolution.lock.pins} == {"a": "7", "b": "7", "c": "1"}
    assert len(driver.needs) < 40
    files = [file.filename for need in driver.needs for file in need.metadata]
    assert len(files) == len(set(files))


def test_a_neighbour_s_metadata_hints_at_what_comes_next() -> None:
    warm = world(a={"1": ["b", "c"], "2": ["b", "d"]}, b={"1": []}, c={"1": []}, d={"1": []})
    driver = ColdDriver(warm)
    held = Universe(warm.universes[normalize("a")].listing)
    older = next(file for file in held.listing.files if str(file.version) == "1")
    told = driver._known(normalize("a")).metadata(older)
    assert told is not None
    held.set_metadata(older, told)
    driver.shelf.put(held)
    driver.run(request("a"))
    assert [(need.listings, need.likely_listings) for need in driver.needs] == [
        ((), ("b", "c")),
        (("b", "d"), ()),
        ((), ()),
    ]


@given(_worlds(MIXED, yanked=True))
@settings(max_examples=60, deadline=None)
def test_cold_and_hot_say_the_same(drawn: Any) -> None:
    told, roots = drawn
    warm = _shelf(told)
    driver = ColdDriver(warm)
    try:
        cold = driver.run(request(*roots)).lock
    except Unsatisfiable:
        cold = None
    try:
        hot = run(request(*roots), warm).lock
    except Unsatisfiable:
        hot = None
    assert (cold is None) == (hot is None)
    for need in driver.needs:
        assert len(need.metadata) == len({file.key for file in need.metadata})


PROGRAM = """
from tests.resolve.test_cold import SETS, puzzle
from tests.resolve.worlds import request, run
from venvery.errors import Unsatisfiable
for roots in SETS:
    try:
        done = run(request(*roots), puzzle())
        pins = [(pin.project, str(pin.version), pin.extras) for pin in done.lock.pins]
        print(roots, pins, done.decisions, done.conflicts)
    except Unsatisfiable as no:
        print(roots, no, no.explanation)
"""

SETS = (["p0", "p1"], ["p3[x]", "p7<9"], ["p0>5", "p9<3"], ["p2", "p4", "p6", "p8"], ["p1==3", "p2==9"])


def puzzle() -> MemoryShelf:
    """Make a world with many conflicts: each project leans on two others, at versions near its own."""
    projects = {}
    for number in range(10):
        left, right = (number * 3 + 1) % 10, (number * 7 + 2) % 10
        projects[f"p{number}"] = {
            str(v): [f"p{left}>={v - number % 3}", f"p{right}<{v + 3}", f"p{(number + 5) % 10}!={v}"]
            for v in range(1, 12)
        }
    return world(**projects)


def test_the_answer_and_its_cost_do_not_depend_on_the_hash_seed() -> None:
    said = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        said.add(done.stdout)
    assert len(said) == 1
    assert said.pop().count("\n") == len(SETS)
    assert puzzle().universe(normalize("p0")) is not None
