"""A treemap: rectangles whose areas are sizes (squarified, after Bruls, Huizing and van Wijk)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Tile", "tiles"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One rectangle, in the units of the whole."""

    name: str
    size: int
    x: float
    y: float
    width: float
    height: float


def tiles(sizes: Sequence[tuple[str, int]], width: float, height: float) -> list[Tile]:
    """Fill a rectangle with one tile for each name, the largest first; sizes of 0 have none."""
    left = sorted(((name, size) for name, size in sizes if size > 0), key=lambda one: (-one[1], one[0]))
    total = sum(size for _name, size in left)
    scale = width * height / total if total else 0.0
    x = y = 0.0
    made: list[Tile] = []
    while left:
        short = min(width - x, height - y)
        row = _row([size * scale for _name, size in left], short)
        taken, left = left[:row], left[row:]
        depth = sum(size for _name, size in taken) * scale / short
        along = 0.0
        upright = width - x >= height - y
        for name, size in taken:
            length = size * scale / depth
            if upright:
                made.append(Tile(name, size, x, y + along, depth, length))
            else:
                made.append(Tile(name, size, x + along, y, length, depth))
            along += length
        x, y = (x + depth, y) if upright else (x, y + depth)
    return made


def _row(areas: Sequence[float], short: float) -> int:
    """Count how many of the areas lie side by side along the short side, so that they are as square as can be."""
    best, total = float("inf"), 0.0
    for count, area in enumerate(areas, 1):
        total += area
        worst = max(short * short * areas[0] / total**2, total**2 / (short * short * areas[count - 1]))
        if worst > best:
            return count - 1
        best = worst
    return len(areas)
