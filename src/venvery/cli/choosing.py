"""How to choose, as the command line says it; it loads nothing, for a lock needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from venvery.model.requests import NameSet
    from venvery.model.requirements_text import IndexOptions

__all__ = ["option_fields"]


def option_fields(arguments: argparse.Namespace, written: IndexOptions | None = None) -> dict[str, Any]:
    """Write how to choose as the `options` of a body; the command line goes before the files."""
    fields: dict[str, Any] = {
        "prereleases": "allow" if arguments.pre or (written is not None and written.pre) else None,
        "strategy": arguments.resolution,
        "preset": arguments.preset,
        "exclude_newer": arguments.exclude_newer,
        "only_binary": _names(arguments.only_binary) or (_written(written.only_binary) if written else []),
        "no_binary": _names(arguments.no_binary) or (_written(written.no_binary) if written else []),
    }
    return {name: value for name, value in fields.items() if value}


def _names(values: Iterable[str] | None) -> str | list[str]:
    names = [name for value in values or () for name in value.split(",") if name]
    return ":all:" if ":all:" in names else names


def _written(names: NameSet) -> str | list[str]:
    return ":all:" if names.every else sorted(names.names)
