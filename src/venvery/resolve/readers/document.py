"""Read our own document back into a lock. It may come from anyone: every value is checked on the way.

The format stands in `venvery.resolve.writers.document`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from venvery.errors import BadInput, BadLock, LimitExceeded
from venvery.model.files import MAX_SIZE, DistFile, parse_filename
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.names import NormalizedName, normalize, parse_name
from venvery.model.requirements import Requirement, parse_requirement
from venvery.model.sources import UPLOADED
from venvery.model.targets import Target, target_from_json
from venvery.model.versions import InvalidVersion, Version, parse_version
from venvery.resolve.writers.document import FORMAT

__all__ = ["MAX_PINS", "lock_from_document", "read_json"]

MAX_PINS = 20_000

_HEX = re.compile(r"[0-9a-f]{16,128}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_URL = re.compile(rf"(?:(?:https?|file)://|{re.escape(UPLOADED)})[^\s\x00-\x1f\x7f]+\Z")
T = TypeVar("T")


def read_json(text: str | bytes, *, origin: str = "lock") -> Lock:
    """Read the document from JSON. Raises `BadLock`."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadLock(
            f"{origin}, line {error.lineno}, column {error.colno}: not JSON: {error.msg.lower()}"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise BadLock(f"{origin} is not JSON") from None
    return lock_from_document(document)


def lock_from_document(document: object) -> Lock:
    """Make the lock that a document describes.

    Raises `BadLock`, naming the place in the document, for whatever is missing, of the wrong type or in
    contradiction with the rest, and `LimitExceeded` for more than `MAX_PINS` pins.
    """
    if not isinstance(document, Mapping):
        raise BadLock("a lock is an object with targets and pins")
    top = _Place(document, "")
    version = top.value("venvery", int)
    if version != FORMAT:
        raise BadLock(f"this lock has format {version}, and this venvery knows format {FORMAT} only")
    targets = tuple(_target(*item) for item in top.items("targets"))
    pins = tuple(_pin(place, len(targets)) for place in top.places("pins", limit=MAX_PINS))
    _check_one_version(pins, targets)
    return Lock(
        targets=targets,
        pins=pins,
        requirements=tuple(_requirement(place) for place in top.places("requirements")),
        warnings=top.texts("warnings"),
        policies=top.texts("policies"),
    )


class _Place:
    """An object inside the document, and the way to it."""

    def __init__(self, fields: Mapping[str, Any], path: str) -> None:
        self.fields, self.path = fields, path

    def wrong(self, name: str, said: str) -> BadLock:
        return BadLock(f"lock: {self.at(name)} {said}", place=self.at(name))

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """Give a field's value; None when it is absent. `True` is no number here."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(name, f"must be {_KINDS[kind]}, not {type(value).__name__}")
        return value

    def value(self, name: str, kind: type[T]) -> T:
        value = self.maybe(name, kind)
        if value is None:
            raise self.wrong(name, "is missing")
        return value

    def items(self, name: str) -> Iterator[tuple[str, Any]]:
        for index, item in enumerate(self.maybe(name, list) or ()):
            yield f"{self.at(name)}[{index}]", item

    def places(self, name: str, *, limit: int = MAX_PINS) -> Iterator[_Place]:
        if len(self.maybe(name, list) or ()) > limit:
            raise LimitExceeded(f"lock: {self.at(name)} has more than {limit} entries")
        for path, item in self.items(name):
            if not isinstance(item, Mapping):
                raise BadLock(f"lock: {path} must be an object", place=path)
            yield _Place(item, path)

    def texts(self, name: str) -> tuple[str, ...]:
        found = tuple(item for _path, item in self.items(name))
        if not all(isinstance(item, str) for item in found):
            raise self.wrong(name, "must be a list of texts")
        return found

    def indexes(self, name: str, count: int) -> tuple[int, ...]:
        found = tuple(item for _path, item in self.items(name))
        if not all(type(item) is int and 0 <= item < count for item in found):
            raise self.wrong(name, f"must be a list of indexes into the lock's {count} targets")
        return found

    def hashes(self, name: str) -> tuple[str, ...]:
        """Give `sha256:…` texts."""
        found = self.texts(name)
        if not all(text.startswith("sha256:") and _SHA256.match(text[7:]) for text in found):
            raise self.wrong(name, "must be a list of sha256: and 64 hex digits each")
        return found

    def specifier(self, name: str) -> str | None:
        text = self.maybe(name, str)
        try:
            SpecifierSet(text or "")
        except InvalidSpecifier:
            raise self.wrong(name, "is not a version specifier") from None
        return text

    def name(self, name: str) -> NormalizedName:
        text = self.value(name, str)
        try:
            return parse_name(text)
        except BadInput:
            raise self.wrong(name, "is not a valid project name") from None


_KINDS: dict[type, str] = {
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _target(path: str, value: object) -> Target:
    try:
        return target_from_json(value, default_platform="", default_python="")
    except BadInput as error:
        raise BadLock(f"lock: {path}: {error}", hint=error.hint, place=path) from None


def _requirement(place: _Place) -> Requirement:
    return parse_requirement(
        place.value("requirement", str), origin=place.maybe("origin", str), hashes=place.hashes("hashes")
    )


def _pin(place: _Place, targets: int) -> Pin:
    project = place.name("project")
    try:
        version = parse_version(place.value("version", str))
    except InvalidVersion:
        raise place.wrong("version", "is not a version") from None
    return Pin(
        project=project,
        version=version,
        files=tuple(_file(file, project, version) for file in place.places("files")),
        targets=place.indexes("targets", targets),
        extras=tuple(normalize(extra) for extra in place.texts("extras")),
        requires_python=place.specifier("requires_python"),
        edges=tuple(_edge(edge, targets) for edge in place.places("dependencies")),
        requested=bool(place.maybe("requested", bool)),
        hashes=place.hashes("hashes"),
    )


def _edge(place: _Place, targets: int) -> Edge:
    return Edge(
        project=place.name("project"),
        requirement=place.value("requirement", str),
        targets=place.indexes("targets", targets),
    )


def _file(place: _Place, project: NormalizedName, version: Version) -> DistFile:
    filename = place.value("filename", str)
    parsed = None if re.search(r"[/\\\x00-\x1f\x7f]", filename) else parse_filename(filename)
    if parsed is None:
        raise place.wrong("filename", f"is not the name of a wheel or source distribution: {filename[:120]!r}")
    if (parsed.project, parsed.version) != (project, version):
        raise place.wrong("filename", f"is not of {project} {version}: {filename[:120]!r}")
    url = place.value("url", str)
    if not _URL.match(url):
        raise place.wrong("url", "is not an http, https or file URL")
    size = place.maybe("size", int)
    if size is not None and not 0 <= size <= MAX_SIZE:
        raise place.wrong("size", "is no number of bytes")
    return DistFile(
        filename=filename,
        url=url,
        project=project,
        version=version,
        kind=parsed.kind,
        tag=parsed.tag,
        build=parsed.build,
        sha256=_hex(place, "sha256"),
        size=size,
        requires_python=place.maybe("requires_python", str),
        yanked=place.maybe("yanked", str),
        upload_time=_time(place, "upload_time"),
        core_metadata=place.maybe("core_metadata", str),
        source=place.maybe("source", str) or "",
        hashes=_further_hashes(place),
    )


def _hex(place: _Place, name: str) -> str | None:
    value = place.maybe(name, str)
    if value is not None and not _SHA256.match(value):
        raise place.wrong(name, "is not 64 lower-case hex digits")
    return value


def _further_hashes(place: _Place) -> tuple[tuple[str, str], ...]:
    found = place.maybe("hashes", dict) or {}
    for value in found.values():
        if not isinstance(value, str) or not _HEX.match(value):
            raise place.wrong("hashes", "must give hex digits for each algorithm")
    return tuple(found.items())


def _time(place: _Place, name: str) -> datetime | None:
    text = place.maybe(name, str)
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise place.wrong(name, "is not a time as in 2026-01-31T12:00:00Z") from None
    if time is not None and time.tzinfo is None:
        raise place.wrong(name, "has no time zone")
    return time


def _check_one_version(pins: tuple[Pin, ...], targets: tuple[Target, ...]) -> None:
    """Refuse a lock that has a project twice on one target."""
    seen: set[tuple[NormalizedName, int]] = set()
    for pin in pins:
        for index in pin.targets:
            if (pin.project, index) in seen:
                raise BadLock(f"lock: {pin.project} is pinned more than once for {targets[index]}")
            seen.add((pin.project, index))
