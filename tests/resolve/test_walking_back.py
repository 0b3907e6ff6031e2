"""Long ways back: a step for each release elsewhere, one step here; and right when new releases come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resolve.worlds import Release, pins, request, run, universe, world
from venvery.errors import Unsatisfiable
from venvery.resolve import MemoryShelf, story

MANY = 600


def chain(*, right: int | None) -> MemoryShelf:
    """Make `top`, whose versions each need one of `core`, whose versions need a new `base`, but for the oldest."""
    return world(
        top={str(n): [f"core=={n}"] for n in range(1, MANY)},
        core={str(n): ["base<2"] if right is not None and n <= right else ["base>=2"] for n in range(1, MANY)},
        base={"1": [], "2": []},
    )


def test_a_walk_back_through_hundreds_of_releases_takes_a_few_tries() -> None:
    found = run(request("top", "base<2"), chain(right=7))
    assert [(str(pin.project), str(pin.version)) for pin in found.lock.pins] == [
        ("base", "1"),
        ("core", "7"),
        ("top", "7"),
    ]
    assert found.decisions <= 8
    assert found.conflicts <= 4


def test_no_answer_among_hundreds_of_releases_is_told_in_a_few_sentences() -> None:
    with pytest.raises(Unsatisfiable) as caught:
        run(request("top", "base<2"), chain(right=None))
    assert str(caught.value) == "top and base<2 cannot be satisfied together"
    assert story(caught.value.explanation).count("\n") <= 6


def test_releases_in_lock_step_at_both_ends() -> None:
    shelf = world(
        left={str(n): [f"core=={n}"] for n in range(1, MANY)},
        right={str(n): [f"core=={n}"] for n in range(2, MANY, 7)},
        core={str(n): ["base<2"] if n < 100 else ["base>=2"] for n in range(1, MANY)},
        base={"1": [], "2": []},
    )
    found = run(request("left", "right", "base<2"), shelf)
    assert {str(pin.version) for pin in found.lock.pins_for(0) if pin.project != "base"} == {"93"}
    assert found.decisions <= 12


def test_an_override_holds_on_the_way_back_too() -> None:
    assert pins(request("top", "base<2", overrides=["base==1"]), chain(right=7))["top"] == str(MANY - 1)
    held = pins(request("top", "base<2", overrides=["core==5"]), chain(right=7))
    assert held == {"top": str(MANY - 1), "core": "5", "base": "1"}
    with pytest.raises(Unsatisfiable):
        run(request("top", "base<2", overrides=["core==9"]), chain(right=7))


@given(st.lists(st.sampled_from(["1.5", "2.5", "3", "0.5"]), min_size=1, max_size=3, unique=True))
@settings(max_examples=30, deadline=None)
def test_new_releases_on_the_way_are_seen(new: list[str]) -> None:
    """What was worked out of one project's versions is not used with another listing, in which ranks differ."""
    old = {"1": Release(), "2": Release()}
    newer = old | {version: Release() for version in new}

    def walkers() -> MemoryShelf:
        return world(a={str(n): [f"b<{(20 - n) / 10}"] for n in range(2, 20)})

    shelf, fresh = walkers(), walkers()
    shelf.put(universe("b", old))
    before = pins(request("a", "b>=1"), shelf)
    shelf.put(universe("b", newer))
    fresh.put(universe("b", newer))
    assert pins(request("a", "b>=1"), shelf) == pins(request("a", "b>=1"), fresh)
    shelf.put(universe("b", old))
    assert pins(request("a", "b>=1"), shelf) == before == {"a": "9", "b": "1"}
