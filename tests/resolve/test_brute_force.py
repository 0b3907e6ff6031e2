"""The solver against trying everything, over small random worlds."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resolve.brute_force import Answer, Entry, answers
from tests.resolve.worlds import LINUX, Release, request, run, universe
from venvery.errors import Unsatisfiable
from venvery.resolve import MemoryShelf
from venvery.resolve.packages import OFF, ON
from venvery.resolve.question import Question, Wishes
from venvery.resolve.solver import NoAnswer, TargetSolver

NAMES = ("a", "b", "c", "d")
FINAL = ("1", "2", "3", "4")
MIXED = ("1", "2", "3rc1", "3", "4b1", "4b2")
EXTRAS = ("x", "y")
Drawn = dict[str, dict[str, Entry]]


def _specifiers(versions: tuple[str, ...]) -> st.SearchStrategy[str]:
    one = st.tuples(st.sampled_from(["", "", "==", ">=", "<", "<=", "!=", ">"]), st.sampled_from(versions))
    return one.map(lambda pair: "".join(pair) if pair[0] else "")


def _requirements(versions: tuple[str, ...], extras: bool) -> st.SearchStrategy[str]:
    bracket = st.sampled_from(["", "", "", "[x]", "[y]", "[x,y]"] if extras else [""])
    return st.tuples(st.sampled_from(NAMES), bracket, _specifiers(versions)).map("".join)


@st.composite
def _worlds(draw: st.DrawFn, versions: tuple[str, ...], *, extras: bool = True, yanked: bool = False) -> Any:
    wants = st.lists(_requirements(versions, extras), max_size=2)
    world: Drawn = {}
    for name in NAMES[: draw(st.integers(2, 4))]:
        world[name] = {
            version: Entry(
                requires=draw(wants),
                extras={extra: draw(wants) for extra in draw(st.sets(st.sampled_from(EXTRAS)))} if extras else {},
                yanked=yanked and draw(st.integers(0, 3)) == 0,
            )
            for version in sorted(draw(st.sets(st.sampled_from(versions), min_size=1)))
        }
    roots = draw(st.lists(_requirements(versions, extras), min_size=1, max_size=3))
    return world, roots


def _shelf(world: Drawn) -> MemoryShelf:
    shelf = MemoryShelf()
    for name in NAMES:
        releases = {
            version: Release(
                requires=entry.requires,
                extras=dict(sorted(entry.extras.items())),
                yanked="bad" if entry.yanked else None,
            )
            for version, entry in world.get(name, {}).items()
        }
        shelf.put(universe(name, releases, known=name in world))
    return shelf


def _answer(world: Drawn, roots: list[str], preset: str) -> Answer | None:
    try:
        lock = run(request(*roots, preset=preset), _shelf(world)).lock
    except Unsatisfiable:
        return None
    return {str(pin.project): (str(pin.version), frozenset(pin.extras)) for pin in lock.pins}


@given(_worlds(FINAL), st.sampled_from(["pip", "uv"]))
@settings(max_examples=80, deadline=None)
def test_it_finds_an_answer_exactly_when_there_is_one(drawn: Any, preset: str) -> None:
    world, roots = drawn
    every = list(answers(world, roots, preset=preset))
    found = _answer(world, roots, preset)
    assert (found in every) if every else found is None


@given(_worlds(MIXED, yanked=True), st.sampled_from(["pip", "uv"]))
@settings(max_examples=80, deadline=None)
def test_prereleases_and_yanked_releases_are_taken_only_with_leave(drawn: Any, preset: str) -> None:
    world, roots = drawn
    every = list(answers(world, roots, preset=preset))
    found = _answer(world, roots, preset)
    assert (found in every) if every else found is None


@given(_worlds(FINAL))
@settings(max_examples=80, deadline=None)
def test_everything_that_is_learned_is_true(drawn: Any) -> None:
    world, roots = drawn
    solver = TargetSolver(Question(request(*roots), LINUX, Wishes()), _shelf(world))
    try:
        for need in solver.run():
            raise AssertionError(need)
    except NoAnswer:
        pass
    for answer in answers(world, roots):
        values = [_value(solver, number, answer) for number in range(len(solver.engine.domain))]
        for terms in solver.engine.terms:
            assert not all(values[package] & mask for package, mask, _rest in terms), (terms, answer)


def _value(solver: TargetSolver, number: int, answer: Answer) -> int:
    package = solver.packages.find(number)
    if package is not None:
        picked = answer.get(str(package.project))
        return 1 if picked is None else package.universe.mask(f"=={picked[0]}")
    owner, extra = solver.packages.owners[number]
    picked = answer.get(str(solver.packages[owner].project))
    return ON if picked is not None and extra in picked[1] else OFF
