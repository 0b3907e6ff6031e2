"""The lines of a requirements.txt: joined, freed of comments, options split, every place remembered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from venvery.errors import BadRequirement

__all__ = ["BUILD_OPTIONS", "Line", "Option", "fail", "logical_lines", "place_of", "split_options"]

_COMMENT = re.compile(r"(?:^|\s+)#.*\Z", re.DOTALL)
_NEWLINE = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_STRAY_BACKSLASH = re.compile(r"\\(?=\s|\Z)")

BUILD_OPTIONS = frozenset({"--config-settings", "--config-setting", "--global-option"})
_FLAGS = frozenset({"--no-index", "--pre", "--prefer-binary", "--require-hashes"})
_SHORT = {
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
    "-r": "--requirement",
}
_WITH_VALUE = BUILD_OPTIONS | {
    "--extra-index-url",
    "--hash",
    "--no-binary",
    "--only-binary",
    "--trusted-host",
    "--use-feature",
    *_SHORT.values(),
}
_ALIASES = {"--pypi-url": "--index-url"}


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line, and where each of its parts stands in the text as written."""

    text: str
    origin: str
    parts: tuple[tuple[int, int, int], ...]
    """(offset in the text, line, column) of the parts that were joined."""

    @property
    def number(self) -> int:
        return self.parts[0][1]

    def position(self, offset: int) -> tuple[int, int]:
        start, line, column = next(part for part in reversed(self.parts) if part[0] <= max(offset, 0))
        return line, column + offset - start

    def fail(self, offset: int, said: str, *, hint: str | None = None) -> NoReturn:
        fail(said, text=self.text.strip(), origin=self.origin, at=self.position(offset), hint=hint)


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    value: str
    offset: int


def fail(said: str, *, text: str, origin: str, at: tuple[int, int], hint: str | None = None) -> NoReturn:
    line, column = at
    raise BadRequirement(
        f"{origin}, line {line}, column {column}: {said}",
        text=text,
        origin=origin,
        line=line,
        column=column,
        hint=hint,
    )


def place_of(text: str, offset: int) -> tuple[int, int]:
    starts = [match.end() for match in _NEWLINE.finditer(text, 0, offset)]
    return len(starts) + 1, offset - (starts[-1] if starts else 0) + 1


def logical_lines(text: str, origin: str) -> Iterator[Line]:
    """Join lines that end in a backslash, as pip does: a comment line ends the joining. Drop comments."""
    parts: list[tuple[int, int, int]] = []
    joined = ""
    for number, line in enumerate(_NEWLINE.split(text), 1):
        comment = _COMMENT.match(line) is not None
        parts.append((len(joined), number, 1))
        if line.endswith("\\") and not comment:
            joined += line.rstrip("\\")
            continue
        joined += f" {line}" if comment else line
        yield from _line(joined, parts, origin)
        parts, joined = [], ""
    if joined:
        yield from _line(joined, parts, origin)


def _line(joined: str, parts: list[tuple[int, int, int]], origin: str) -> Iterator[Line]:
    text = _COMMENT.sub("", joined).rstrip()
    blank = len(text) - len(text.lstrip())
    if not text:
        return
    shifted = tuple((offset - blank, number, column) for offset, number, column in parts)
    line = Line(text[blank:], origin, shifted)
    if (stray := _STRAY_BACKSLASH.search(line.text)) is not None:
        line.fail(stray.start(), "a backslash that does not end its line", hint="remove what follows it")
    yield line


def split_options(line: Line, start: int) -> Iterator[Option]:
    """Split the options of a line. Raises for unknown ones, missing values and stray words."""
    words = [(match[0], match.start()) for match in _WORD.finditer(line.text, start)]
    if _WORD.sub("", line.text[start:]).strip():
        line.fail(start, "a quote that is not closed")
    queue = iter(words)
    for word, offset in queue:
        name, equals, value = word.partition("=")
        if name.startswith("-") and not name.startswith("--") and name[:2] in _SHORT:
            attached = word[2:]
            name, equals, value = _SHORT[name[:2]], "=" if attached else "", attached.removeprefix("=")
        name = _ALIASES.get(name, name)
        if name in _FLAGS and not equals:
            yield Option(name, "", offset)
        elif name in _WITH_VALUE:
            if not equals:
                value = next(queue, ("", 0))[0]
            value = _unquoted(value)
            if not value:
                line.fail(offset, f"{name} needs a value")
            yield Option(name, value, offset)
        else:
            _unknown_option(line, word if name in _FLAGS else name, offset)


def _unquoted(word: str) -> str:
    return re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda match: match[1] or match[2] or "", word)


def _unknown_option(line: Line, name: str, offset: int) -> NoReturn:
    if not name.startswith("-"):
        line.fail(offset, f"{name[:80]!r} is not expected here")
    close = get_close_matches(name, sorted(_FLAGS | _WITH_VALUE), 1)
    line.fail(
        offset,
        f"{name[:80]} is not an option of a requirements file",
        hint=f"did you mean {close[0]}?" if close else None,
    )
