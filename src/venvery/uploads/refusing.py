"""Saying why a file is not published."""

from __future__ import annotations

from typing import NoReturn

from venvery.errors import UploadRefused

__all__ = ["refuse"]


def refuse(filename: str, why: str, *, hint: str | None = None) -> NoReturn:
    """Refuse a file, with the reason. Raises `UploadRefused`."""
    raise UploadRefused(f"{shown(filename)}: {why}", hint=hint, file=filename)


def shown(text: str) -> str:
    """Write what came from outside on one line, fit for any terminal and header."""
    plain = "".join(character if character.isprintable() else "?" for character in text[:200])
    return plain or "?"
