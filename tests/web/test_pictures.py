"""Graphs and treemaps: everything is there once, nothing lies on anything else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resolve.worlds import request, run, world
from venvery.web.graph import MOST_DRAWN, Drawing, draw
from venvery.web.treemap import tiles


def _drawing(edges: dict[str, list[str]], roots: list[str]) -> Drawing:
    shelf = world(**{name: {"1.0": needs} for name, needs in edges.items()})
    return draw(run(request(*roots), shelf).lock)


NAMES = ["a", "b", "c", "d", "e", "f"]
GRAPHS = st.fixed_dictionaries({name: st.lists(st.sampled_from(NAMES), max_size=3, unique=True) for name in NAMES})


@given(GRAPHS, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_every_project_is_drawn_once_and_apart(edges: dict[str, list[str]], roots: list[str]) -> None:
    drawing = _drawing(edges, roots)
    reached, ahead = set(roots), list(roots)
    while ahead:
        for other in edges[ahead.pop()]:
            if other not in reached:
                reached.add(other)
                ahead.append(other)
    assert sorted(node.project for node in drawing.nodes) == sorted(reached)
    assert {(edge.start, edge.end) for edge in drawing.edges} == {
        (name, other) for name in reached for other in edges[name] if other != name
    }
    for one in drawing.nodes:
        assert 0 <= one.x <= one.x + one.width <= drawing.width
        assert 0 <= one.y <= one.y + one.height <= drawing.height
        for other in drawing.nodes:
            if one.project != other.project and one.y == other.y:
                assert one.x + one.width <= other.x or other.x + other.width <= one.x


def test_who_requires_stands_above_unless_they_require_each_other() -> None:
    drawing = _drawing({"a": ["b", "c"], "b": ["c"], "c": ["d"], "d": ["c"]}, ["a"])
    y = {node.project: node.y for node in drawing.nodes}
    assert y["a"] < y["b"] < y["c"] < y["d"]


def test_a_large_graph_folds_its_leaves() -> None:
    leaves = [f"leaf{n}" for n in range(MOST_DRAWN)]
    drawing = _drawing({"top": [*leaves, "inner"], "inner": ["leaf0"], **{leaf: [] for leaf in leaves}}, ["top"])
    nodes = {node.project: node for node in drawing.nodes}
    assert set(nodes) == {"top", "inner", "leaf0"}
    assert nodes["top"].folded == tuple(sorted(leaves[1:]))


@given(st.lists(st.integers(0, 10**9), max_size=40))
def test_tiles_are_as_large_as_what_they_stand_for(sizes: list[int]) -> None:
    named = [(f"p{index}", size) for index, size in enumerate(sizes)]
    made = tiles(named, 960, 360)
    assert sorted((tile.name, tile.size) for tile in made) == sorted(one for one in named if one[1])
    total = sum(sizes)
    for tile in made:
        assert tile.width * tile.height == pytest.approx(960 * 360 * tile.size / total, rel=1e-6)
        assert tile.x >= -1e-6
        assert tile.y >= -1e-6
        assert tile.x + tile.width <= 960 + 1e-6
        assert tile.y + tile.height <= 360 + 1e-6
    assert math.isclose(sum(tile.width * tile.height for tile in made), 960 * 360 if made else 0, rel_tol=1e-6)
