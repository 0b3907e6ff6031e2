"""Draws horizontal bars as SVG, with nothing but the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

__all__ = ["Bar", "bar_chart"]

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
