"""The picture of a lock: its projects in layers, whoever requires another above it (after Sugiyama).

Only places are computed here; a template draws them. Large graphs are thinned: what hangs under a single
project and requires nothing itself is counted there instead of drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from venvery.model.lock import Lock

__all__ = ["Drawing", "Edge", "Node", "draw"]

ROW = 76
HEIGHT = 34
GAP = 18
MARGIN = 16
CHARACTER = 7.4
"""Pixels; of a character, on average, at the size that the style sheet gives a node."""
MOST_DRAWN = 60
"""Nodes from which on leaves are folded into the one project that requires them."""
MOST_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Node:
    """One project, and where it is drawn (pixels)."""

    project: str
    version: str
    requested: bool
    folded: tuple[str, ...]
    """Projects that are not drawn, because only this one requires them."""
    x: float
    y: float
    width: float
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Edge:
    """A requirement of one project on another, as an SVG path."""

    start: str
    end: str
    requirement: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that is drawn."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def draw(lock: Lock, target: int = 0) -> Drawing:
    """Place the projects of one target of a lock."""
    pins = {str(pin.project): pin for pin in lock.pins_for(target)}
    needs: dict[str, dict[str, str]] = {name: {} for name in pins}
    for name, pin in pins.items():
        for edge in pin.edges:
            if target in edge.targets and str(edge.project) in pins and str(edge.project) != name:
                needs[name].setdefault(str(edge.project), edge.requirement)
    requested = {name for name, pin in pins.items() if pin.requested}
    folded = _fold(needs, requested)
    rows = _order(_rank(needs, requested), needs)
    widths = {
        name: max(60.0, 24 + CHARACTER * (len(_label(name, str(pins[name].version))) + 3 * bool(folded[name])))
        for name in needs
    }
    places = _place(rows, needs, widths)
    nodes = tuple(
        Node(name, str(pins[name].version), name in requested, folded[name], x, y, widths[name])
        for name, (x, y) in places.items()
    )
    edges = tuple(
        Edge(start, end, requirement, _path(places[start], widths[start], places[end], widths[end]))
        for start, found in needs.items()
        for end, requirement in found.items()
    )
    width = max((node.x + node.width for node in nodes), default=0) + MARGIN
    return Drawing(width, max(1, len(rows)) * ROW - (ROW - HEIGHT) + 2 * MARGIN, nodes, edges)


def _label(name: str, version: str) -> str:
    return f"{name} {version}"


def _fold(needs: dict[str, dict[str, str]], requested: set[str]) -> dict[str, tuple[str, ...]]:
    """Take leaves that one project alone requires out of a large graph, and say under whom they are."""
    folded: dict[str, list[str]] = {name: [] for name in needs}
    if len(needs) > MOST_DRAWN:
        required_by: dict[str, list[str]] = {name: [] for name in needs}
        for name, found in needs.items():
            for other in found:
                required_by[other].append(name)
        for name in [name for name, found in needs.items() if not found and name not in requested]:
            if len(required_by[name]) == 1:
                (parent,) = required_by[name]
                folded[parent].append(name)
                del needs[parent][name], needs[name]
    return {name: tuple(sorted(folded[name])) for name in needs}


def _rank(needs: Mapping[str, Mapping[str, str]], requested: set[str]) -> dict[str, int]:
    """Give each project its row: below all that require it, as far as cycles allow."""
    rank: dict[str, int] = {}
    ahead: list[str] = []
    seen: set[str] = set()
    back: set[tuple[str, str]] = set()
    for root in [*sorted(requested & needs.keys()), *sorted(needs)]:
        _walk(root, needs, seen, ahead, back)
    for name in reversed(ahead):
        rank.setdefault(name, 0)
        for other in needs[name]:
            if (name, other) not in back:
                rank[other] = max(rank.get(other, 0), rank[name] + 1)
    return rank


def _walk(
    root: str,
    needs: Mapping[str, Mapping[str, str]],
    seen: set[str],
    finished: list[str],
    back: set[tuple[str, str]],
) -> None:
    """Walk depth first, without recursion; edges that lead back to where the walk is close a cycle."""
    if root in seen:
        return
    seen.add(root)
    on_way, stack = {root}, [(root, iter(sorted(needs[root])))]
    while stack:
        name, others = stack[-1]
        for other in others:
            if other in on_way:
                back.add((name, other))
            elif other not in seen:
                seen.add(other)
                on_way.add(other)
                stack.append((other, iter(sorted(needs[other]))))
                break
        else:
            stack.pop()
            on_way.discard(name)
            finished.append(name)


def _order(rank: Mapping[str, int], needs: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """Order each row by where its neighbours are, up and down in turn, so that few edges cross."""
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name in sorted(rank):
        rows[rank[name]].append(name)
    neighbours: dict[str, list[str]] = {name: list(found) for name, found in needs.items()}
    for name, found in needs.items():
        for other in found:
            neighbours[other].append(name)
    for turn in range(MOST_ROUNDS):
        place = {name: index / max(1, len(row)) for row in rows for index, name in enumerate(row)}
        for row in rows if turn % 2 == 0 else reversed(rows):
            middle = {name: _middle([place[other] for other in neighbours[name]], place[name]) for name in row}
            row.sort(key=lambda name: (middle[name], name))
            place |= {name: index / max(1, len(row)) for index, name in enumerate(row)}
    return rows


def _middle(places: Sequence[float], own: float) -> float:
    return sum(places) / len(places) if places else own


def _place(
    rows: Sequence[Sequence[str]], needs: Mapping[str, Mapping[str, str]], widths: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Give each project its left upper corner; rows stand centred under each other."""
    totals = [sum(widths[name] for name in row) + GAP * max(0, len(row) - 1) for row in rows]
    widest = max(totals, default=0)
    places = {}
    for level, (row, total) in enumerate(zip(rows, totals, strict=True)):
        x = MARGIN + (widest - total) / 2
        for name in row:
            places[name] = (round(x, 1), float(MARGIN + level * ROW))
            x += widths[name] + GAP
    return places


def _path(start: tuple[float, float], start_width: float, end: tuple[float, float], end_width: float) -> str:
    x1, y1 = start[0] + start_width / 2, start[1] + HEIGHT
    x2, y2 = end[0] + end_width / 2, end[1]
    if y2 <= y1:  # it closes a cycle: around the side
        y1, y2 = start[1] + HEIGHT / 2, end[1] + HEIGHT / 2
    bend = max(20.0, abs(y2 - y1) / 2)
    return f"M{x1:.1f},{y1:.1f} C{x1:.1f},{y1 + bend:.1f} {x2:.1f},{y2 - bend:.1f} {x2:.1f},{y2:.1f}"
