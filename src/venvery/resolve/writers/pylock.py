"""pylock.toml (PEP 751), with one line for each file.

Written as text at once, for building and writing it with a library takes ten times as long; what is written is
held against `packaging.pylock`, the reference, by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from urllib.parse import unquote, urlsplit

from packaging.specifiers import SpecifierSet

from venvery.errors import BadLock
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.sources import without_credentials
from venvery.model.targets import Target
from venvery.model.versions import parse_version
from venvery.resolve.writers.files import direct_references, files_of, hashes_of
from venvery.resolve.writers.markers import environments, marker_for

__all__ = ["write_pylock"]


def write_pylock(lock: Lock, *, indexes: Mapping[str, str] | None = None) -> str:
    """Write a lock as pylock.toml. `indexes` gives the URL of each source, by the source's name.

    A pin that is not on all targets has a marker. Raises `BadLock` for a file without any hash, and where no
    marker can tell the targets apart.
    """
    direct = direct_references(lock)
    needs = _Needs(lock)
    lines = [*_head(lock), *([] if lock.pins else ["packages = []"])]
    for pin in lock.pins:
        lines += ("", "[[packages]]")
        lines += _package(lock, pin, needs, indexes or {}, direct=(pin.project, pin.version) in direct)
    lines += ("", "[tool.venvery]", *_tool(lock), "")
    return "\n".join(lines)


def _head(lock: Lock) -> Iterator[str]:
    yield 'lock-version = "1.0"'
    yield from _array("environments", map(_text, environments(lock.targets)))
    if lock.targets:
        yield f"requires-python = {_text(_requires_python(lock.targets))}"
    yield 'created-by = "venvery"'


def _requires_python(targets: Sequence[Target]) -> str:
    """Give the oldest Python of the targets; a pre-release as itself, for `>=3.15` refuses 3.15.0rc1."""
    full = min(parse_version(target.python) for target in targets)
    return f">={full}" if full.is_prerelease else f">={full.major}.{full.minor}"


def _package(lock: Lock, pin: Pin, needs: _Needs, indexes: Mapping[str, str], *, direct: bool) -> Iterator[str]:
    files = files_of(pin)
    if not files:
        raise BadLock(f"{pin.project} {pin.version} has no file that could be written into a lock")
    yield f"name = {_text(pin.project)}"
    yield f"version = {_text(str(pin.version))}"
    if marker := marker_for(lock.targets, pin.targets):
        yield f"marker = {_text(marker)}"
    if pin.requires_python:
        yield f"requires-python = {_specifiers(pin.requires_python)}"
    if needed := needs.of(pin):
        yield from _array("dependencies", needed)
    if direct:
        yield f"archive = {_archive(files[0])}"
        return
    if index := _index(files, indexes):
        yield f"index = {_text(index)}"
    if sdist := next((file for file in files if file.kind == "sdist"), None):
        yield f"sdist = {_file(sdist)}"
    if wheels := [_file(file) for file in files if file.kind == "wheel"]:
        yield from _array("wheels", wheels)


class _Needs:
    """Which other packages of a lock its pins need."""

    def __init__(self, lock: Lock) -> None:
        self._present = {(pin.project, target): str(pin.version) for pin in lock.pins for target in pin.targets}
        versions: dict[NormalizedName, set[str]] = {}
        for (project, _target), version in self._present.items():
            versions.setdefault(project, set()).add(version)
        self._several = {project for project, known in versions.items() if len(known) > 1}

    def of(self, pin: Pin) -> list[str]:
        """Name the packages that a pin needs, with the version where the lock has more than one."""
        found = set()
        for edge in pin.edges:
            for target in edge.targets:
                version = self._present.get((edge.project, target))
                if version is not None and edge.project != pin.project:
                    found.add((edge.project, version))
        return [
            f"{{ name = {_text(project)}, version = {_text(version)} }}"
            if project in self._several
            else f"{{ name = {_text(project)} }}"
            for project, version in sorted(found)
        ]


def _file(file: DistFile) -> str:
    return _described(f"name = {_text(file.filename)}", f"url = {_text(without_credentials(file.url))}", file)


def _archive(file: DistFile) -> str:
    """Describe a direct reference. A local one is given by its path: uv takes no `file:` URL here."""
    parts = urlsplit(file.url)
    if parts.scheme != "file":
        return _described("", f"url = {_text(without_credentials(file.url))}", file)
    path = re.sub(r"^/(?=[A-Za-z]:/)", "", unquote(parts.path))
    return _described("", f"path = {_text(path)}", file)


def _described(name: str, place: str, file: DistFile) -> str:
    """Write what is known of a file as an inline table, in the order of PEP 751."""
    hashes = ", ".join(f"{algorithm} = {_text(value)}" for algorithm, value in hashes_of(file).items())
    said = (
        name,
        f"upload-time = {file.upload_time}" if file.upload_time else "",
        place,
        f"size = {file.size}" if file.size is not None else "",
        f"hashes = {{ {hashes} }}",
    )
    return f"{{ {', '.join(filter(None, said))} }}"


def _index(files: tuple[DistFile, ...], indexes: Mapping[str, str]) -> str | None:
    """Give the URL of the index, where all files come from one whose URL is known."""
    urls = {indexes.get(file.source) for file in files} if indexes else set()
    only = urls.pop() if len(urls) == 1 else None
    return without_credentials(only) if only else None


def _tool(lock: Lock) -> Iterator[str]:
    """Keep what PEP 751 has no place for, so that our own reader knows it again."""
    yield from _array("targets", map(_target, lock.targets))
    yield from _array("requirements", [_text(requirement.text) for requirement in lock.requirements])
    yield from _array("requested", map(_text, sorted({pin.project for pin in lock.pins if pin.requested})))


def _target(target: Target) -> str:
    python, platform = target.short or (target.python + target.threads, target.platform)
    return f"{{ python = {_text(python)}, platform = {_text(platform)} }}"


def _array(name: str, items: Iterable[str]) -> tuple[str, ...]:
    """Write an array, one item on each line."""
    listed = [f"    {item}," for item in items]
    return (f"{name} = [", *listed, "]") if listed else (f"{name} = []",)


@lru_cache(maxsize=4096)
def _specifiers(text: str) -> str:
    """Write a Requires-Python in its canonical order."""
    return _text(str(SpecifierSet(text)))


def _text(text: str) -> str:
    """Write a basic string (TOML 1.0): JSON writes the same, but for DEL, which TOML wants escaped."""
    return encode_basestring(text).replace("\x7f", "\\u007f")
