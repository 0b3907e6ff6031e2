"""Sizes in bytes as people write them: `50 GB` (1000s, SI), `50 GiB` (1024s, IEC 80000-13), or a plain number."""

from __future__ import annotations

import re

from venvery.errors import BadInput

__all__ = ["parse_size", "show_size"]

_UNITS = {"": 1, "b": 1}
_UNITS |= {f"{letter}{end}": 1000**n for n, letter in enumerate("kmgt", 1) for end in ("", "b")}
_UNITS |= {f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*\Z")


def parse_size(text: str) -> int:
    """Read a size. Raises `BadInput`."""
    match = _SIZE.match(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise BadInput(f"{text[:80]!r} is not a size", hint="as in 50GB, 500 MB, 20 GiB or a number of bytes")
    return int(float(match[1]) * unit)


def show_size(size: float) -> str:
    """Write a size for a person, with three digits or so."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
