"""Policies: the places where readers of the standards differ, each with a name, and two presets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from venvery.model.requests import Options

__all__ = ["PRESETS", "Policies", "policies_of"]


@dataclass(frozen=True, slots=True)
class Policies:
    """How to read the standards where they leave room."""

    prereleases: Literal["when-nothing-else-matches", "when-nothing-else-works"]
    """Without leave, a pre-release is taken only when no final release *matches* all requirements on the
    project (PEP 440), or already when none of them *works* with the rest of the answer."""
    named_prereleases: Literal["newest", "last-resort"]
    """What a requirement that names a pre-release (`>=2.0b1`) opens: the newest release of any kind, or
    pre-releases after all final releases."""
    yanked: Literal["any-pin", "requested-pin"]
    """Whose `==` pin reaches a yanked release (PEP 592): anybody's, or only one in the request itself."""
    python_upper_bounds: bool
    """Whether `Requires-Python` counts from above too."""

    def names(self) -> tuple[str, ...]:
        """Name each policy with its value."""
        return (
            f"prereleases={self.prereleases}",
            f"named-prereleases={self.named_prereleases}",
            f"yanked={self.yanked}",
            f"python-upper-bounds={'honoured' if self.python_upper_bounds else 'ignored'}",
        )


PRESETS: dict[str, Policies] = {
    "pip": Policies("when-nothing-else-matches", "newest", "any-pin", True),
    "uv": Policies("when-nothing-else-works", "last-resort", "requested-pin", False),
}


def policies_of(options: Options) -> Policies:
    """Give the policies of a request."""
    return PRESETS[options.preset]
