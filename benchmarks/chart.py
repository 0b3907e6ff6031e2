"""Draws horizontal bars and lines as SVG, with nothing but the standard library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

__all__ = ["Bar", "Line", "bar_chart", "line_chart"]

_ROW, _BAR, _TOP, _LABELS, _PLOT, _MARGIN = 30, 18, 58, 300, 420, 70
_COLOURS = {"ours": "#2f6f5e", "peer": "#b9bec7"}
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .quiet { fill: #6a737d; font-size: 12px }
  .grid { stroke: #e4e7eb }
  .range { stroke: #1f2328; stroke-opacity: .55 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 }
    .grid { stroke: #2a313c } .range { stroke: #e6edf3 }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its length, and the span of what was measured."""

    label: str
    value: float
    low: float
    high: float
    ours: bool


def bar_chart(title: str, subtitle: str, bars: Sequence[Bar], *, unit: str = "s") -> str:
    """Draw bars from zero, with a thin line from the smallest to the largest measurement."""
    longest = max((bar.high for bar in bars), default=1.0) or 1.0
    scale = _PLOT / longest
    height = _TOP + _ROW * len(bars) + 30
    width = _LABELS + _PLOT + _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title, quote=True)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
        f'<text class="quiet" x="12" y="41">{escape(subtitle)}</text>',
    ]
    parts += _grid(longest, scale, height, unit)
    for number, bar in enumerate(bars):
        parts += _bar(bar, _TOP + _ROW * number, scale, unit)
    return "\n".join([*parts, "</svg>", ""])


def _grid(longest: float, scale: float, height: int, unit: str) -> list[str]:
    step = _step(longest)
    lines = []
    for number in range(floor(longest / step) + 1):
        x = _LABELS + number * step * scale
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{height - 24}"/>')
        words = f"{number * step:g} {unit}"
        lines.append(f'<text class="quiet" x="{x:.1f}" y="{height - 9}" text-anchor="middle">{words}</text>')
    return lines


def _step(longest: float) -> float:
    """Choose 1, 2 or 5 times a power of ten, so that there are four to nine lines."""
    power: float = 10.0 ** floor(log10(longest / 4))
    return max((factor * power for factor in (1, 2, 5) if longest / (factor * power) >= 4), default=power)


def _bar(bar: Bar, top: int, scale: float, unit: str) -> list[str]:
    middle, length = top + _BAR / 2, bar.value * scale
    low, high = _LABELS + bar.low * scale, _LABELS + bar.high * scale
    colour = _COLOURS["ours" if bar.ours else "peer"]
    return [
        f'<text x="{_LABELS - 10}" y="{middle + 4.5}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{_LABELS}" y="{top}" width="{max(length, 1):.1f}" height="{_BAR}" rx="2" fill="{colour}"/>',
        f'<line class="range" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>',
        f'<text x="{max(high, _LABELS + length) + 8:.1f}" y="{middle + 4.5}">{bar.value:.2f} {unit}</text>',
    ]


@dataclass(frozen=True, slots=True)
class Line:
    """One line through (x, y), both above zero."""

    label: str
    points: Sequence[tuple[float, float]]


_INKS = ("#2f6f5e", "#b5651d", "#3f6fb5", "#8a4fa3", "#a33b4a", "#6a737d")
_HEIGHT = 340


def line_chart(title: str, subtitle: str, lines: Sequence[Line], *, across: str) -> str:
    """Draw lines on two logarithmic axes, each named at its end."""
    xs, ys = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    x_axis, y_axis = _powers(xs), _powers(ys)
    left, width, height = 70, 70 + _PLOT + 300, _TOP + _HEIGHT + 50

    def place(x: float, y: float) -> tuple[float, float]:
        right = (log10(x) - x_axis[0]) / (x_axis[-1] - x_axis[0])
        up = (log10(y) - y_axis[0]) / (y_axis[-1] - y_axis[0])
        return left + right * _PLOT, _TOP + _HEIGHT * (1 - up)

    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title, quote=True)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
        f'<text class="quiet" x="12" y="41">{escape(subtitle)}</text>',
    ]
    for power in x_axis:
        x, bottom = place(10.0**power, 10.0 ** y_axis[0])
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(
            f'<text class="quiet" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{10**power:,}</text>'
        )
    parts.append(f'<text class="quiet" x="{left}" y="{height - 8}">{escape(across)}</text>')
    for power in y_axis:
        x, y = place(10.0 ** x_axis[0], 10.0**power)
        parts.append(f'<line class="grid" x1="{x}" y1="{y:.1f}" x2="{left + _PLOT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="quiet" x="{x - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>')
    return "\n".join([*parts, *_lines(lines, place), "</svg>", ""])


def _lines(lines: Sequence[Line], place: Callable[[float, float], tuple[float, float]]) -> list[str]:
    """Draw the lines; labels that would cover each other are moved apart."""
    parts, ends = [], []
    for line, ink in zip(lines, _INKS, strict=False):
        points = [place(*point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>' for x, y in points]
        ends.append((points[-1][1], points[-1][0], f"{line.label}: {line.points[-1][1]:,.3g}", ink))
    free = 0.0
    for y, x, words, ink in sorted(ends):
        free = max(y, free + 17)
        parts.append(f'<text x="{x + 10:.1f}" y="{free + 4:.1f}" style="fill: {ink}">{escape(words)}</text>')
    return parts


def _powers(values: Sequence[float]) -> range:
    """Give the powers of ten around some values."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return range(low, max(high, low + 1) + 1)
