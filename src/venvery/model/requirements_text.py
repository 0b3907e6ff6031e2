"""Requirements as people write them down: requirements.txt, and lists of texts in a request.

The format is pip's "Requirements File Format". Nothing is read or expanded here: files that a text includes
come through a function, and `${NAME}` is refused, for it could carry a secret of this machine into a URL.
A text whose origin is a script or a pyproject.toml goes to `venvery.model.requirements_toml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from venvery.errors import BadRequirement, LimitExceeded
from venvery.model.names import is_valid_name, normalize
from venvery.model.requests import NameSet
from venvery.model.requirements import Requirement, parse_requirement
from venvery.model.requirements_lines import (
    BUILD_OPTIONS,
    Line,
    Option,
    fail,
    logical_lines,
    place_of,
    split_options,
)
from venvery.model.requirements_toml import read_pyproject, read_script

__all__ = [
    "MAX_BYTES",
    "MAX_INCLUDES",
    "MAX_LENGTH",
    "MAX_NESTING",
    "MAX_REQUIREMENTS",
    "IndexOptions",
    "Load",
    "RequirementsText",
    "decode_requirements",
    "parse_requirements_text",
    "split_requirement_list",
]

MAX_BYTES = 1024 * 1024
"""Of a text and all that it includes, in UTF-8."""
MAX_REQUIREMENTS = 10_000
"""Requirements and constraints together."""
MAX_INCLUDES = 1_000
MAX_LENGTH = 16_384
"""Characters of one requirement."""
MAX_NESTING = 100
"""Opening parentheses in one requirement: whoever walks through its marker goes a level deeper at each."""
MAX_ORIGIN = 1_000
"""Characters of the origin that a request may state for a requirement."""

Load = Callable[[str, str], tuple[str, str]]
"""`load(reference, from_origin)` gives the origin and the text of an included file."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_FIRST_OPTION = re.compile(r"(?:^|(?<=\s))-")
_VCS = re.compile(r"(?:git|hg|svn|bzr)(?:\+[a-z]+)?(?:://|:|@)", re.IGNORECASE)
_URL = re.compile(r"(?:https?|file|ftp):", re.IGNORECASE)
_LOCAL = re.compile(
    r"[./~\\]|[A-Za-z]:[/\\]|[^\s\[;@<>=!]*[/\\]|\S+\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)(?:\[|\s|\Z)"
)
_HASH = re.compile(r"sha256:[0-9a-f]{64}\Z")


_NONE = NameSet()


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What a requirements.txt says about where files come from and which may be taken."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[tuple[str, str], ...] = ()
    """(path or URL, origin of the file that says so): a relative path is relative to that file's folder."""
    no_index: bool = False
    pre: bool = False
    prefer_binary: bool = False
    only_binary: NameSet = _NONE
    """A project named here or in `no_binary` follows its name, whatever the other says about every project."""
    no_binary: NameSet = _NONE
    trusted_hosts: tuple[str, ...] = ()
    require_hashes: bool = False


@dataclass(frozen=True, slots=True)
class RequirementsText:
    """What a text asks for."""

    requirements: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    index_options: IndexOptions = field(default_factory=IndexOptions)
    requires_python: str | None = None
    """What a script (PEP 723) or a pyproject.toml asks of Python."""


def decode_requirements(data: bytes, *, origin: str) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises `BadRequirement` with line and column."""
    if len(data) > MAX_BYTES:
        raise LimitExceeded(f"{origin} is larger than {MAX_BYTES} bytes", limit="text-bytes", most=MAX_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = place_of(before, len(before))
        raise BadRequirement(
            f"{origin}, line {line}, column {column}: not UTF-8 text", origin=origin, line=line, column=column
        ) from None


def parse_requirements_text(
    text: str,
    *,
    origin: str,
    load: Load | None = None,
    groups: Sequence[str] = (),
    extras: Sequence[str] = (),
) -> RequirementsText:
    """Read a requirements.txt, a script with inline metadata (PEP 723) or a pyproject.toml (PEP 621, 735).

    The origin's name decides which: `*.py`, `*.toml`, anything else. `groups` and `extras` choose among the
    dependency groups and optional dependencies of a pyproject.toml. Raises `BadRequirement`, which names line
    and column of the text as written, and `LimitExceeded`.
    """
    reading = _Reading(load)
    if origin.endswith((".py", ".toml")):
        text = reading.check(text, origin, controls=False)
        found = (
            read_pyproject(text, origin, groups, extras) if origin.endswith(".toml") else read_script(text, origin)
        )
        for requirement in found.requirements:
            reading.add(requirement, constraint=False)
        return replace(reading.result(), requires_python=found.requires_python)
    reading.read(text, origin, constraint=False, within=())
    return reading.result()


def split_requirement_list(items: object) -> tuple[Requirement, ...]:
    """Read a list of requirements from a request: texts, or `{"requirement", "origin"?, "hashes"?}` objects.

    Raises `BadRequirement` with the place in the list, `requirements[3]`, as origin, and `LimitExceeded`.
    """
    if not isinstance(items, list | tuple):
        raise BadRequirement("requirements must be a list of texts", origin="requirements")
    if len(items) > MAX_REQUIREMENTS:
        raise _too_many()
    return tuple(_listed(item, f"requirements[{index}]") for index, item in enumerate(items))


def _too_many() -> LimitExceeded:
    return LimitExceeded(
        f"more than {MAX_REQUIREMENTS} requirements in one request", limit="requirements", most=MAX_REQUIREMENTS
    )


def _listed(item: object, place: str) -> Requirement:
    fields = item if isinstance(item, Mapping) else {"requirement": item}
    text, origin = fields.get("requirement"), fields.get("origin")
    hashes = fields.get("hashes") or []
    unknown = sorted(map(str, set(fields) - {"requirement", "origin", "hashes"}))
    if unknown:
        raise BadRequirement(f"{place} has no field {unknown[0][:80]!r}", origin=place)
    if not isinstance(text, str) or not isinstance(origin, str | None):
        raise BadRequirement(f"{place} must be a text, or an object with the text as requirement", origin=place)
    if not isinstance(hashes, list) or not all(isinstance(h, str) and _HASH.match(h) for h in hashes):
        raise BadRequirement(f"{place}: hashes must be a list of sha256: and 64 hex digits each", origin=place)
    if origin is not None and (len(origin) > MAX_ORIGIN or not origin.isprintable()):
        raise BadRequirement(f"{place}: the origin is not one printable line", origin=place)
    stripped = text.strip()
    column = len(text) - len(text.lstrip()) + 1
    shown = origin or place
    found = _parse(stripped, shown, lambda offset: (1, column + offset), tuple(hashes), line_in_origin=None)
    return replace(found, origin=origin)


class _Reading:
    """The state of reading one text and all that it includes."""

    def __init__(self, load: Load | None) -> None:
        self.load = load
        self.requirements: list[Requirement] = []
        self.constraints: list[Requirement] = []
        self.options = IndexOptions()
        self.size = 0
        self.includes = 0

    def result(self) -> RequirementsText:
        return RequirementsText(tuple(self.requirements), tuple(self.constraints), self.options)

    def add(self, requirement: Requirement, *, constraint: bool) -> None:
        (self.constraints if constraint else self.requirements).append(requirement)
        if len(self.requirements) + len(self.constraints) > MAX_REQUIREMENTS:
            raise _too_many()

    def check(self, text: str, origin: str, *, controls: bool = True) -> str:
        """Refuse texts that are too large or hold control characters; take the byte order mark off.

        TOML has rules of its own for control characters, and Python code may hold them.
        """
        self.size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if self.size > MAX_BYTES:
            raise LimitExceeded(
                f"the requirements are larger than {MAX_BYTES} bytes", limit="text-bytes", most=MAX_BYTES
            )
        text = text.removeprefix("\ufeff")
        odd = controls and _CONTROL.search(text.replace("\r", "\n"))
        if odd:
            line, column = place_of(text, odd.start())
            fail(f"a control character, U+{ord(odd[0]):04X}", text="", origin=origin, at=(line, column))
        return text

    def read(self, text: str, origin: str, *, constraint: bool, within: tuple[str, ...]) -> None:
        text = self.check(text, origin)
        for line in logical_lines(text, origin):
            self.take(line, constraint=constraint, within=(*within, origin))

    def take(self, line: Line, *, constraint: bool, within: tuple[str, ...]) -> None:
        variable = _VARIABLE.search(line.text)
        if variable is not None:
            line.fail(
                variable.start(),
                f"{variable[0][:80]} is not expanded",
                hint="write the value itself, or keep credentials in the configuration of the index",
            )
        first = _FIRST_OPTION.search(line.text)
        head = line.text[: first.start()] if first else line.text
        options = list(split_options(line, first.start())) if first else []
        if head.strip():
            self.add_requirement(line, head, options, constraint=constraint)
        else:
            for option in options:
                self.apply(line, option, within=within)

    def add_requirement(self, line: Line, head: str, options: list[Option], *, constraint: bool) -> None:
        hashes = []
        for option in options:
            if option.name in BUILD_OPTIONS:
                line.fail(option.offset, f"{option.name} is not taken", hint="venvery builds without options")
            if option.name != "--hash":
                line.fail(option.offset, f"{option.name} must stand on a line of its own")
            hashes.append(_hash(line, option))
        found = _parse(head.rstrip(), line.origin, line.position, tuple(hashes), line_in_origin=line.number)
        if constraint and found.extras:
            line.fail(0, "a constraint cannot have extras", hint="write the extras at the requirement")
        self.add(found, constraint=constraint)

    def apply(self, line: Line, option: Option, *, within: tuple[str, ...]) -> None:
        """Do what an option that stands alone says."""
        options, value = self.options, option.value
        match option.name:
            case "--requirement" | "--constraint":
                self.include(line, option, within)
            case "--index-url":
                options = replace(options, index_url=value)
            case "--extra-index-url":
                options = replace(options, extra_index_urls=(*options.extra_index_urls, value))
            case "--find-links":
                options = replace(options, find_links=(*options.find_links, (value, line.origin)))
            case "--trusted-host":
                options = replace(options, trusted_hosts=(*options.trusted_hosts, value))
            case "--no-index":
                options = replace(options, no_index=True)
            case "--pre":
                options = replace(options, pre=True)
            case "--prefer-binary":
                options = replace(options, prefer_binary=True)
            case "--require-hashes":
                options = replace(options, require_hashes=True)
            case "--only-binary" | "--no-binary":
                options = _control_formats(options, line, option)
            case "--editable":
                line.fail(option.offset, "an editable install (-e) is not possible", hint=_HINT_BUILD)
            case "--hash":
                line.fail(option.offset, "--hash must follow a requirement on the same line")
            case "--config-settings" | "--config-setting" | "--global-option":
                line.fail(option.offset, f"{option.name} is not taken", hint="venvery builds without options")
        if option.name not in ("--requirement", "--constraint"):
            self.options = options

    def include(self, line: Line, option: Option, within: tuple[str, ...]) -> None:
        """Read an included file. In one named by -c, as pip has it, -r still gives requirements."""
        if self.load is None:
            line.fail(
                option.offset,
                "includes cannot be used in a request body",
                hint="send the included lines themselves",
            )
        self.includes += 1
        if self.includes > MAX_INCLUDES:
            raise LimitExceeded(
                f"more than {MAX_INCLUDES} included files", limit="included-files", most=MAX_INCLUDES
            )
        origin, text = self.load(option.value, line.origin)
        if origin in within:
            line.fail(option.offset, f"{origin} includes itself" + _through(within, origin))
        self.read(text, origin, constraint=option.name == "--constraint", within=within)


_HINT_BUILD = "build a wheel of it and upload it, or add its folder as a source"


def _through(within: tuple[str, ...], origin: str) -> str:
    chain = within[within.index(origin) + 1 :]
    return f", through {' and '.join(chain)}" if chain else ""


def _hash(line: Line, option: Option) -> str:
    algorithm, colon, value = option.value.lower().partition(":")
    if not colon or algorithm != "sha256":
        line.fail(
            option.offset,
            f"{option.value[:40]!r} is not a SHA-256 hash",
            hint="write --hash=sha256: and 64 hex digits; venvery takes no other algorithm",
        )
    if not _HASH.match(f"sha256:{value}"):
        line.fail(option.offset, "a SHA-256 hash has 64 hex digits")
    return f"sha256:{value}"


def _control_formats(options: IndexOptions, line: Line, option: Option) -> IndexOptions:
    """Apply --only-binary or --no-binary as pip does: in order, a name is in one of the two at most."""
    mine, other = options.only_binary, options.no_binary
    if option.name == "--no-binary":
        mine, other = other, mine
    for word in filter(None, option.value.split(",")):
        if word == ":all:":
            mine, other = NameSet(every=True), NameSet()
        elif word == ":none:":
            mine = NameSet()
        elif is_valid_name(word):
            name = frozenset({normalize(word)})
            mine, other = replace(mine, names=mine.names | name), replace(other, names=other.names - name)
        else:
            line.fail(option.offset, f"{word[:80]!r} is not a project name, :all: or :none:")
    if option.name == "--no-binary":
        mine, other = other, mine
    return replace(options, only_binary=mine, no_binary=other)


def _parse(
    text: str,
    origin: str,
    position: Callable[[int], tuple[int, int]],
    hashes: tuple[str, ...],
    *,
    line_in_origin: int | None,
) -> Requirement:
    """Parse one requirement, and give its mistakes the position in the text as written."""
    if len(text) > MAX_LENGTH:
        raise LimitExceeded(
            f"{origin}: a requirement of more than {MAX_LENGTH} characters",
            limit="requirement-characters",
            most=MAX_LENGTH,
        )
    if text.count("(") > MAX_NESTING:
        raise LimitExceeded(
            f"{origin}: a requirement with more than {MAX_NESTING} parentheses",
            limit="requirement-parentheses",
            most=MAX_NESTING,
        )
    _refuse_what_no_index_answers(text, origin, position)
    number = line_in_origin
    try:
        return parse_requirement(text, origin=origin, line=number, hashes=hashes)
    except BadRequirement as error:
        offset = (error.column or 1) - 1
        line, column = position(offset)
        if number is None and line == 1:
            parse_requirement(text, origin=origin, column=column - offset)
        parse_requirement(text, origin=origin, line=line, column=column - offset)
        raise


def _refuse_what_no_index_answers(text: str, origin: str, position: Callable[[int], tuple[int, int]]) -> None:
    """Refuse version control, bare URLs and local paths, which PEP 508 would answer with a riddle."""
    name, at, reference = text.partition("@")
    named = bool(at) and is_valid_name(name.split("[")[0].strip())
    target = reference.strip() if named else text
    is_url = "://" in target or target.lower().startswith("file:")
    offset = len(text) - len(reference.lstrip()) if named else 0
    if named and not is_url and _VCS.match(text):
        offset = 0  # git@host:path
    if _VCS.match(target) or (named and offset == 0):
        said, hint = "a requirement from version control is not possible", _HINT_BUILD
    elif named and not is_url:
        said, hint = f"{target[:80]!r} after @ is not a URL", "a version is written with ==, a URL with https://"
    elif named:
        return
    elif _URL.match(target):
        said, hint = "a URL needs the project's name before it", "write it as name @ URL"
    elif _LOCAL.match(target):
        said, hint = "a local path is not possible", _HINT_BUILD
    else:
        return
    fail(said, text=text, origin=origin, at=position(offset), hint=hint)
