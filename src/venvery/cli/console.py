"""Talk to the person: everything on stderr; colours and bars only on a terminal."""

from __future__ import annotations

import sys

__all__ = ["say", "say_error"]


def say(text: str) -> None:
    """Write a line for the person."""
    print(text, file=sys.stderr)


def say_error(message: str, hint: str | None = None) -> None:
    """Write an error, and what to do next."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
