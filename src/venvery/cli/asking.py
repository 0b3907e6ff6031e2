"""What the command line and its files ask for, as the body that goes to a server or to the house itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.cli.choosing import option_fields
from venvery.errors import BadInput
from venvery.model.requirements import Requirement
from venvery.model.requirements_text import (
    RequirementsText,
    decode_requirements,
    parse_requirements_text,
    split_requirement_list,
)

if TYPE_CHECKING:
    import argparse

__all__ = ["body_of", "read_asked", "read_files"]


def read_asked(arguments: argparse.Namespace, requirements: Iterable[str]) -> RequirementsText:
    """Read the requirements of the command line and of its files as one.

    Raises `BadInput` for a file that cannot be read, `BadRequirement` with file, line and column.
    """
    given = split_requirement_list([{"requirement": text, "origin": "command line"} for text in requirements])
    included = [f"-r {_quoted(path)}" for path in arguments.requirement]
    included += [f"-c {_quoted(path)}" for path in arguments.constraint]
    files = parse_requirements_text("\n".join(included), origin="command line", load=_load)
    if not (given or files.requirements or arguments.requirement):
        raise BadInput("no requirements are given", hint="name some, as in 'django>=1.8', or a file with -r")
    return RequirementsText(given + files.requirements, files.constraints, files.index_options)


def read_files(paths: Iterable[str]) -> RequirementsText:
    """Read requirements files alone. Raises as `read_asked` does."""
    included = "\n".join(f"-r {_quoted(path)}" for path in paths)
    return parse_requirements_text(included, origin="command line", load=_load)


def body_of(asked: RequirementsText, arguments: argparse.Namespace) -> dict[str, Any]:
    """Write what is asked for as the body of `/v1/resolve`, without targets."""
    body: dict[str, Any] = {"requirements": [_item(requirement) for requirement in asked.requirements]}
    if asked.constraints:
        body["constraints"] = [_item(requirement) for requirement in asked.constraints]
    if getattr(arguments, "view", None):
        body["view"] = arguments.view
    if options := option_fields(arguments, asked.index_options):
        body["options"] = options
    return body


def _load(reference: str, origin: str) -> tuple[str, str]:
    """Read an included file; a relative path is relative to the file that names it."""
    path = Path(reference) if origin == "command line" else Path(origin).parent / reference
    try:
        return str(path), decode_requirements(path.read_bytes(), origin=str(path))
    except OSError as error:
        named = "" if origin == "command line" else f" (named in {origin})"
        raise BadInput(f"{path}{named} cannot be read: {error.strerror}") from None


def _quoted(path: str) -> str:
    if any(character in path for character in "\n\r'\""):
        raise BadInput(f"{path!r} cannot be the name of a requirements file")
    return f"'{path}'" if " " in path or "\\" in path else path


def _item(requirement: Requirement) -> Mapping[str, Any]:
    item: dict[str, Any] = {"requirement": requirement.text, "origin": requirement.origin}
    if requirement.hashes:
        item["hashes"] = list(requirement.hashes)
    return item
