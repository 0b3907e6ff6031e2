"""What a source tree says of how it is built: `[build-system]` of its pyproject.toml (PEP 517, 518)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from venvery.errors import BuildFailed

__all__ = ["LEGACY", "BuildSystem", "read_build_system"]


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """The build back end, and what it takes to run it."""

    requires: tuple[str, ...]
    """Requirements (PEP 508) that must be there before anything is asked of the back end."""
    backend: str
    backend_path: tuple[str, ...] = ()
    """Folders of the source tree that the back end is imported from."""


LEGACY = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__")
"""A project without a pyproject.toml, or with one that names no back end: setup.py rules."""


def read_build_system(text: bytes | None) -> BuildSystem:
    """Read a pyproject.toml; None: there is none. Raises `BuildFailed`."""
    if text is None:
        return LEGACY
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BuildFailed(f"its pyproject.toml cannot be read: {str(error)[:200]}") from None
    table = document.get("build-system")
    if table is None:
        return LEGACY
    if not isinstance(table, dict) or not isinstance(table.get("requires"), list):
        raise BuildFailed("its pyproject.toml has a [build-system] without a list of what it requires (PEP 518)")
    backend = table.get("build-backend")
    if backend is None:
        return BuildSystem(_texts(table, "requires"), LEGACY.backend)
    if not isinstance(backend, str):
        raise BuildFailed("its pyproject.toml has a build-backend that is no text (PEP 517)")
    return BuildSystem(_texts(table, "requires"), backend, _texts(table, "backend-path"))


def _texts(table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BuildFailed(f"its pyproject.toml has a {key} that is no list of texts (PEP 517)")
    return tuple(value)
