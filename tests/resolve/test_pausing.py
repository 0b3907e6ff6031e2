"""A driver can let others go first, and end a search that takes too long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.resolve.worlds import request, run, world
from venvery.resolve import MemoryShelf, Need, Resolution, solve

WORLD = {"a": {"1": ["b", "c"]}, "b": {"1": ["c"], "2": ["c<2"]}, "c": {"1": [], "2": []}}


class Pausing(MemoryShelf):
    """A shelf whose driver wants a say before each step."""

    def __init__(self, pause: Callable[[], bool]) -> None:
        super().__init__(world(**WORLD).universes)
        self.pause = pause


def test_a_paused_search_goes_on_to_the_same_answer() -> None:
    search = solve(request("a"), Pausing(lambda: True))
    pauses = []
    try:
        while True:
            pauses.append(next(search))
    except StopIteration as done:
        paused: Resolution = done.value
    assert set(pauses) == {Need()}
    straight = run(request("a"), world(**WORLD))
    assert paused.lock == straight.lock
    assert paused.decisions == straight.decisions <= len(pauses)


def test_what_pause_raises_ends_the_search() -> None:
    class Enough(Exception):
        pass

    def stop() -> bool:
        raise Enough

    with pytest.raises(Enough):
        next(solve(request("a"), Pausing(stop)))
