"""The bodies of `/v1/resolve` and `/v1/environments`, read into values. The embedded mode sends the same bodies.

{"requirements": [text | {"requirement": text, "origin": text}] | "text": requirements.txt,
 "constraints": [...], "target": {...} | "targets": [...], "options": {...}, "lock": {...},
 "prefix": "/abs", "python": "/abs/python3.11" | "3.11", "have": [digest], "bytecode": true,
 "relocatable": false, "view": "prod"}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, get_args

from venvery.config import Limits
from venvery.errors import BadInput, BadRequirement, LimitExceeded
from venvery.model.digests import parse_digest
from venvery.model.lock import Lock
from venvery.model.names import parse_name
from venvery.model.requests import EVERY, NameSet, Options, Prereleases, Preset, ResolveRequest, Strategy
from venvery.model.requirements import Requirement
from venvery.model.requirements_text import (
    IndexOptions,
    parse_requirements_text,
    split_requirement_list,
)
from venvery.model.targets import Target, target_from_json
from venvery.model.versions import InvalidVersion, parse_version
from venvery.resolve.readers import lock_from_document

__all__ = ["Asked", "Defaults", "Place", "check_most", "read_body", "read_options", "read_place", "split_pins"]

MAX_HAVE = 100_000
_REMEMBERED = 1 << 20
"""Characters of a lock below which its text is kept in memory."""

_FIELDS = {
    "requirements", "text", "constraints", "target", "targets", "options", "lock", "pylock",
    "prefix", "python", "have", "bytecode", "prompt", "relocatable", "view",
}  # fmt: skip
_BASE_PYTHON = re.compile(r"python(3\.\d+t?)(?:\.exe)?\Z")
_FULL_VERSION = re.compile(r"(3\.\d{1,3}\.\d{1,3}(?:(?:a|b|rc)\d{1,3})?)[t+]?\Z")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The target that a request means when it names none: this machine's, in its short form."""

    python: str
    platform: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment will live, and what is there already."""

    prefix: str | None = None
    python: str | None = None
    """The absolute path of the base interpreter there; None: found at first use."""
    python_version: str | None = None
    """The full version of that interpreter, `3.11.7`, where the request says it."""
    prompt: str | None = None
    have: frozenset[str] = frozenset()
    """Digests of layers that need not be sent."""
    bytecode: bool = True
    relocatable: bool = False
    """Scripts and activation shall find the environment by where they are."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whole: what to resolve (or the lock that is the answer already) and what to make of it."""

    resolve: ResolveRequest
    lock: Lock | None
    place: Place
    warnings: tuple[str, ...] = ()
    view: str | None = None
    """The view whose sources are asked; None: the default one."""


def read_body(body: Mapping[str, Any], defaults: Defaults, limits: Limits | None = None) -> Asked:
    """Read a request. Raises `BadInput` or one of its children, or `LimitExceeded`."""
    limits = limits or Limits()
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise BadInput(
            f"the request has an unknown field {unknown[0]!r}", hint="fields: " + ", ".join(sorted(_FIELDS))
        )
    version, _path = _read_python(body.get("python"))
    targets = _read_targets(body, replace(defaults, python=version or defaults.python), limits.targets)
    _check_count(body, limits.requirements)
    options = read_options(_mapping(body, "options"))
    requirements, constraints, written = _read_requirements(body)
    check_most("requirements", len(requirements) + len(constraints), limits.requirements)
    lock = _read_lock(body, targets)
    if lock is None and not requirements and not ({"requirements", "text"} & set(body)):
        raise BadInput("the request names no requirements", hint='send "requirements", "text" or "lock"')
    return Asked(
        resolve=ResolveRequest(requirements, targets, constraints, _with_written(options, written)),
        lock=lock,
        place=read_place(body),
        warnings=_warnings(written),
        view=_text(body, "view"),
    )


def split_pins(body: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Take the text of a lock out of a body of `/v1/outdated`; the rest may do without requirements.

    A body that has nothing but a text means that text. Raises `BadInput`.
    """
    rest = dict(body)
    pins = _text(rest, "pins")
    if pins is None and not {"lock", "pylock", "requirements"} & set(rest):
        pins = _text(rest, "text")
        rest.pop("text", None)
    rest.pop("pins", None)
    return pins, {"requirements": []} | rest


def read_place(body: Mapping[str, Any]) -> Place:
    """Read the part of a request that says where the environment will live. Raises `BadInput`."""
    _version, python = _read_python(body.get("python"))
    return Place(
        prefix=_text(body, "prefix"),
        python=python,
        python_version=_full_version(body),
        prompt=_text(body, "prompt"),
        have=_read_have(body.get("have")),
        bytecode=_flag(body, "bytecode", default=True),
        relocatable=_flag(body, "relocatable", default=False),
    )


def read_options(options: Mapping[str, Any]) -> Options:
    """Read the `options` of a request. Raises `BadInput`."""
    readers: dict[str, Callable[[str, Any], Any]] = {
        "preset": _one_of(get_args(Preset)),
        "strategy": _one_of(get_args(Strategy)),
        "prereleases": _one_of(get_args(Prereleases)),
        "prerelease_projects": _names,
        "only_binary": _names,
        "no_binary": _names,
        "exclude_newer": _instant,
        "overrides": lambda name, value: split_requirement_list(_list(name, value)),
        "excludes": lambda name, value: frozenset(parse_name(item) for item in _list(name, value)),
        "preferences": _preferences,
        "upgrade": _names,
        "sources": _sources,
    }
    unknown = sorted(set(options) - set(readers))
    if unknown:
        raise BadInput(f"there is no option {unknown[0]!r}", hint="options: " + ", ".join(readers))
    read = {name: readers[name](name, value) for name, value in options.items() if value is not None}
    if "preferences" in read:
        read.setdefault("upgrade", NameSet())  # whoever brings an earlier lock wants it kept
    return Options(**read)


def _read_python(value: Any) -> tuple[str | None, str | None]:
    """Tell a version from a path: give (version, path); a path's version is read off its name where it shows."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    version = path = None
    for item in values:
        if not isinstance(item, str):
            raise BadInput('"python" is a version or the absolute path of an interpreter')
        if "/" in item or "\\" in item:
            path = item
        else:
            version = item
    if path and not version and (match := _BASE_PYTHON.search(path)):
        version = match[1]
    return version, path


def _full_version(body: Mapping[str, Any]) -> str | None:
    """Give the interpreter's full version where the target or the request names all three of its numbers."""
    version, _path = _read_python(body.get("python"))
    target = body.get("target")
    said = target if isinstance(target, Mapping) else {}
    markers = said.get("marker_environment")
    exact = markers.get("python_full_version") if isinstance(markers, Mapping) else None
    for text in (version, exact, said.get("python")):
        if isinstance(text, str) and (match := _FULL_VERSION.match(text)):
            return match[1]
    return None


def _check_count(body: Mapping[str, Any], most: int) -> None:
    """Count what is listed before any of it is parsed."""
    options = body.get("options")
    overrides = options.get("overrides") if isinstance(options, Mapping) else None
    listed = (body.get("requirements"), body.get("constraints"), overrides)
    check_most("requirements", sum(len(part) for part in listed if isinstance(part, list)), most)


def check_most(limit: str, count: int, most: int) -> None:
    """Hold a count against its limit. Raises `LimitExceeded`."""
    if count > most:
        raise LimitExceeded(
            f"{count} {limit} in one request; at most {most} are taken",
            hint="split the request, or raise the limit in the configuration",
            limit=limit,
            most=most,
        )


def _read_targets(body: Mapping[str, Any], defaults: Defaults, most: int) -> tuple[Target, ...]:
    if "target" in body and "targets" in body:
        raise BadInput('a request has "target" or "targets", not both')
    given = body.get("targets") if "targets" in body else [body.get("target")]
    if not isinstance(given, list) or not given:
        raise BadInput('"targets" is a list of targets')
    check_most("targets", len(given), most)
    read = [
        target_from_json(value, default_platform=defaults.platform, default_python=defaults.python)
        for value in given
    ]
    return tuple(dict.fromkeys(read))


def _read_requirements(
    body: Mapping[str, Any],
) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...], IndexOptions | None]:
    requirements = split_requirement_list(_list("requirements", body.get("requirements", [])))
    constraints = split_requirement_list(_list("constraints", body.get("constraints", [])))
    text = _text(body, "text")
    if text is None:
        return requirements, constraints, None
    parsed = parse_requirements_text(text, origin="requirements")
    return requirements + parsed.requirements, constraints + parsed.constraints, parsed.index_options


def _read_lock(body: Mapping[str, Any], targets: Sequence[Target]) -> Lock | None:
    if body.get("pylock") is not None:
        text = _text(body, "pylock") or ""
        return (_pylock if len(text) < _REMEMBERED else _pylock.__wrapped__)(text, tuple(targets))
    if body.get("lock") is None:
        return None
    return lock_from_document(_mapping(body, "lock"))


@lru_cache(maxsize=64)
def _pylock(text: str, targets: tuple[Target, ...]) -> Lock:
    """Read a lock; the same text gives the same object, for a CI sends the same one all day."""
    from venvery.resolve.readers import read_pylock  # with a library that nothing else here needs

    return read_pylock(text, origin="pylock.toml", targets=targets)


def _read_have(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or len(value) > MAX_HAVE:
        raise BadInput(f'"have" is a list of at most {MAX_HAVE} layer digests')
    return frozenset(parse_digest(str(digest)) for digest in value)


def _with_written(options: Options, written: IndexOptions | None) -> Options:
    """Add what the requirements text itself says of pre-releases and of binaries."""
    if written is None:
        return options
    return replace(
        options,
        prereleases="allow" if written.pre else options.prereleases,
        only_binary=_union(options.only_binary, written.only_binary),
        no_binary=_union(options.no_binary, written.no_binary),
    )


def _union(first: NameSet, second: NameSet) -> NameSet:
    return NameSet(first.every or second.every, first.names | second.names)


def _warnings(written: IndexOptions | None) -> tuple[str, ...]:
    # A request never chooses a URL to fetch: the sources are the configuration's.
    if written is None or not (
        written.index_url or written.extra_index_urls or written.find_links or written.no_index
    ):
        return ()
    return ("the index options in the requirements text were not used: the sources are those of the server",)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadInput(f"{name!r} is a text")
    return value


def _flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise BadInput(f"{name!r} is true or false")
    return value


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadInput(f"{name!r} is an object")
    return value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadInput(f"{name!r} is a list")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in choices:
            raise BadInput(f"{name!r} is one of {', '.join(choices)}, not {str(value)[:80]!r}")
        return str(value)

    return read


def _names(name: str, value: Any) -> NameSet:
    if value == ":all:" or value == [":all:"]:
        return EVERY
    if value in (":none:", [":none:"]):
        return NameSet()
    return NameSet(names=frozenset(parse_name(str(item)) for item in _list(name, value)))


def _instant(name: str, value: Any) -> datetime:
    """Read an RFC 3339 time, or a date, which means the end of that day in UTC (as uv reads it)."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadInput(f"{name!r} is a time such as 2026-11-20T00:00:00Z, not {str(value)[:80]!r}") from None
    if len(str(value)) == len("2026-11-20"):
        instant = instant.replace(hour=23, minute=59, second=59, microsecond=999999)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _preferences(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{name!r} is an object of project and version")
    try:
        return tuple(
            sorted((parse_name(project), parse_version(str(version))) for project, version in value.items())
        )
    except InvalidVersion as error:
        raise BadRequirement(f"{name!r}: {error}") from None


def _sources(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, Mapping) or not all(isinstance(source, str) for source in value.values()):
        raise BadInput(f"{name!r} is an object of project and source")
    return tuple(sorted((parse_name(project), source) for project, source in value.items()))
