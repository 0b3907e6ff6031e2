"""Requirements inside TOML: inline script metadata (PEP 723), pyproject.toml (PEP 621, PEP 735)."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from packaging.dependency_groups import DependencyGroupInclude, DependencyGroupResolver

from venvery.errors import BadRequirement
from venvery.model.names import NormalizedName, normalize
from venvery.model.requirements import Requirement, parse_requirement

__all__ = ["FoundInToml", "read_pyproject", "read_script"]

_QUOTED = re.compile(r"""\"[^\"\n]*\"|'[^'\n]*'""")
_NEWLINE = re.compile(r"\r\n|\n|\r")
_TOML_PLACE = re.compile(r"^(?P<said>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class FoundInToml:
    """The requirements of a TOML document, and what it asks of Python."""

    requirements: tuple[Requirement, ...]
    requires_python: str | None = None


class _Source:
    """TOML text, and how its places map to the file it was taken from."""

    def __init__(self, text: str, origin: str, *, first_line: int = 1, margin: int = 0) -> None:
        self.text, self.origin = text, origin
        self.first_line, self.margin = first_line, margin
        """`margin`: characters that were taken off the front of each line."""

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @cached_property
    def _quoted(self) -> dict[str, list[int]]:
        """Where each quoted text begins, in the order of the file."""
        found: dict[str, list[int]] = {}
        for match in _QUOTED.finditer(self.text):
            found.setdefault(match[0][1:-1], []).append(match.start() + 1)
        return found

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return self.first_line + line - 1, offset - self._line_starts[line - 1] + 1 + self.margin

    def fail(self, said: str, at: tuple[int, int], *, hint: str | None = None) -> NoReturn:
        raise BadRequirement(
            f"{self.origin}, line {at[0]}, column {at[1]}: {said}",
            origin=self.origin,
            line=at[0],
            column=at[1],
            hint=hint,
        )

    def load(self) -> dict[str, Any]:
        """Parse the TOML. Raises `BadRequirement` with the place in the file."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            match = _TOML_PLACE.match(str(error))
            said = match["said"] if match else str(error)
            if match and match["line"]:
                at = int(match["line"]) + self.first_line - 1, int(match["column"]) + self.margin
            else:
                at = self.place(len(self.text.rstrip("\n")))
            self.fail(f"not TOML: {said[:1].lower()}{said[1:]}", at)
        except RecursionError:
            self.fail("not TOML: nested too deeply", (self.first_line, 1))

    def find(self, value: str, after: str) -> tuple[int, int]:
        """Give the place of the first character of a text inside its quotes; of `after` where not found."""
        start = self.key(after)
        places = self._quoted.get(value, []) if value else []
        index = bisect_left(places, start)
        return self.place(places[index] if index < len(places) else start)

    @cached_property
    def _keys(self) -> dict[str, int]:
        return {}

    def key(self, name: str) -> int:
        """Give the offset of the line of a key or table header; 0 where it is not found."""
        if name not in self._keys:
            anchor = re.search(rf"(?m)^[ \t]*(?:\[+[^\]\n]*)?[\"']?{re.escape(name)}\b", self.text)
            self._keys[name] = anchor.start() if anchor else 0
        return self._keys[name]

    def parse(self, item: object, key: str) -> Requirement:
        if not isinstance(item, str):
            self.fail(f"{key} must be a list of texts", self.find("", key))
        line, column = self.find(item, key)
        return parse_requirement(item, origin=self.origin, line=line, column=column)

    def parse_all(self, items: object, key: str) -> tuple[Requirement, ...]:
        if not isinstance(items, list):
            self.fail(f"{key} must be a list of texts", self.find("", key))
        return tuple(self.parse(item, key) for item in items)

    def table(self, parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = parent.get(key, {})
        if not isinstance(value, dict):
            self.fail(f"{key} must be a table", self.find("", key))
        return value

    def requires_python(self, table: Mapping[str, Any]) -> str | None:
        value = table.get("requires-python")
        if value is not None and not isinstance(value, str):
            self.fail("requires-python must be a text", self.find("", "requires-python"))
        return value


def read_script(text: str, origin: str) -> FoundInToml:
    """Read the `script` block of a Python file (PEP 723); without one it requires nothing."""
    blocks = list(_script_blocks(_NEWLINE.split(text), origin))
    if not blocks:
        return FoundInToml(())
    if len(blocks) > 1:
        blocks[1].fail("a second script block (PEP 723 allows one)", (blocks[1].first_line - 1, 1))
    source = blocks[0]
    content = source.load()
    return FoundInToml(
        source.parse_all(content.get("dependencies", []), "dependencies"), source.requires_python(content)
    )


def _script_blocks(lines: Sequence[str], origin: str) -> Iterator[_Source]:
    """Find the comment blocks between `# /// script` and the last `# ///` of the same run of comments."""
    number = 0
    while number < len(lines):
        if lines[number].rstrip() != "# /// script":
            number += 1
            continue
        first = end = number + 1
        while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
            end += 1
        closing = [at for at in range(first, end) if lines[at].rstrip() == "# ///"]
        if not closing:
            _Source("", origin).fail("a script block without its end, `# ///`", (number + 1, 1))
        content = "\n".join(line[2:] for line in lines[first : closing[-1]])
        yield _Source(content, origin, first_line=first + 1, margin=2)
        number = end


def read_pyproject(text: str, origin: str, groups: Sequence[str] = (), extras: Sequence[str] = ()) -> FoundInToml:
    """Read a pyproject.toml: the dependencies of the project, or of the groups alone where some are named.

    `extras` adds optional dependencies of the project. Raises `BadRequirement`, also for dependencies that
    only a build could tell (PEP 621, "dynamic").
    """
    source = _Source("\n".join(_NEWLINE.split(text)), origin)
    content = source.load()
    project = source.table(content, "project")
    requires_python = source.requires_python(project)
    if groups:
        found = tuple(_groups(source, source.table(content, "dependency-groups"), groups))
        return FoundInToml(found, requires_python)
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        source.fail(
            "the dependencies are dynamic, so that only a build could tell them",
            source.find("dependencies", "dynamic"),
            hint="write them under [project] dependencies",
        )
    found = source.parse_all(project.get("dependencies", []), "dependencies")
    optional = {
        normalize(name): (name, items) for name, items in source.table(project, "optional-dependencies").items()
    }
    own = project.get("name")
    own_name = normalize(own) if isinstance(own, str) else None
    chosen = _extras(source, optional, own_name, map(normalize, extras))
    return FoundInToml((*found, *chosen), requires_python)


def _extras(
    source: _Source,
    optional: Mapping[NormalizedName, tuple[str, Any]],
    project: NormalizedName | None,
    wanted: Iterable[NormalizedName],
) -> tuple[Requirement, ...]:
    """Give the optional dependencies of some extras; those on the project itself name further extras."""
    found: list[Requirement] = []
    seen: set[NormalizedName] = set()
    queue = list(wanted)
    while queue:
        extra = queue.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in optional:
            source.fail(f"there is no extra {extra!r}", source.find("", "optional-dependencies"))
        name, items = optional[extra]
        for requirement in source.parse_all(items, name):
            if requirement.project == project and requirement.marker is None:
                queue += sorted(requirement.extras)
            else:
                found.append(requirement)
    return tuple(found)


def _groups(source: _Source, table: Mapping[str, Any], groups: Sequence[str]) -> Iterator[Requirement]:
    """Give the requirements of dependency groups. `packaging` checks them; the places are found here."""
    try:
        resolver = DependencyGroupResolver(table)
    except ExceptionGroup as error:
        source.fail(_first_sentence(error), source.find("", "dependency-groups"))
    every = (requirement for group in groups for requirement in _group(source, table, resolver, group))
    yield from dict.fromkeys(every)


def _group(
    source: _Source, table: Mapping[str, Any], resolver: DependencyGroupResolver, group: str
) -> Iterator[Requirement]:
    written = {normalize(name): name for name in table}
    name = written.get(normalize(group))
    if name is None:
        source.fail(
            f"there is no dependency group {group!r}",
            source.find("", "dependency-groups"),
            hint=f"groups: {', '.join(table)}" if table else None,
        )
    for item in table[name] if isinstance(table[name], list) else ():
        if isinstance(item, str):
            source.parse(item, name)  # a mistake gets its line and column here
    try:
        resolver.resolve(name)
        members = resolver.lookup(name)
    except ExceptionGroup as error:
        source.fail(_first_sentence(error), source.find("", name))
    texts = iter([item for item in table[name] if isinstance(item, str)])
    for member in members:
        if isinstance(member, DependencyGroupInclude):
            yield from _group(source, table, resolver, member.include_group)
        else:
            yield source.parse(next(texts), name)


def _first_sentence(error: BaseExceptionGroup[Any] | BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = " ".join(str(error).split())
    return f"{said[:1].lower()}{said[1:]}"
