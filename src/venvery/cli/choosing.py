"""How to choose, as the command line says it; it loads nothing, for a lock needs nothing else."""

from __future__ import annotations

from venvery.client.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from typing import Any

    from venvery.model.requests import NameSet
    from venvery.model.requirements_text import IndexOptions

__all__ = ["option_fields"]


def option_fields(arguments: argparse.Namespace, written: IndexOptions | None = None) -> dict[str, Any]:
    """Write how to choose as the `options` of a body; the command line goes before the files."""
    fields: dict[str, Any] = {
        "prereleases": "allow" if arguments.pre or (written is not None and written.pre) else None,
        "prerelease_projects": _names(arguments.pre_of),
        "strategy": arguments.resolution,
        "preset": arguments.preset,
        "exclude_newer": arguments.exclude_newer,
        "only_binary": _names(arguments.only_binary) or (_written(written.only_binary) if written else []),
        "no_binary": _names(arguments.no_binary) or (_written(written.no_binary) if written else []),
    }
    fields |= {"excludes": _names(arguments.exclude), "sources": _pairs(arguments.source)}
    if arguments.override:
        fields["overrides"] = _overrides(arguments.override)
    if arguments.keep:
        fields |= {"preferences": _versions(arguments), "upgrade": _names(arguments.upgrade_package) or ":none:"}
    elif arguments.upgrade_package:
        raise UsageError("--upgrade-package is about a lock that is kept otherwise", hint="name it with --keep")
    return {name: value for name, value in fields.items() if value}


def _overrides(paths: Iterable[str]) -> list[dict[str, Any]]:
    from venvery.cli.asking import read_files

    return [{"requirement": one.text, "origin": one.origin} for one in read_files(paths).requirements]


def _versions(arguments: argparse.Namespace) -> dict[str, str]:
    """Read the versions of an earlier lock. Raises `BadInput`."""
    from venvery.cli.lock_input import read_file, targets_here
    from venvery.services.lock_files import read_lock

    targets = targets_here(arguments.python, arguments.platform)
    lock = read_lock(read_file(arguments.keep), origin=arguments.keep, targets=targets)
    return {str(pin.project): str(pin.version) for pin in reversed(lock.pins)}


def _pairs(values: Iterable[str] | None) -> dict[str, str]:
    pairs = [value.partition("=") for value in values or ()]
    for project, _, source in pairs:
        if not project or not source:
            raise UsageError("--source takes NAME=SOURCE", hint="as in --source acme-web=internal")
    return {project: source for project, _, source in pairs}


def _names(values: Iterable[str] | None) -> str | list[str]:
    names = [name for value in values or () for name in value.split(",") if name]
    return ":all:" if ":all:" in names else names


def _written(names: NameSet) -> str | list[str]:
    return ":all:" if names.every else sorted(names.names)
