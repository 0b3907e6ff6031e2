"""pylock.toml (PEP 751), built with `packaging.pylock`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import tomli_w
from packaging.markers import Marker
from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet

from venvery.errors import BadLock
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.sources import without_credentials
from venvery.model.versions import Version, parse_version
from venvery.resolve.writers.files import direct_reference, files_of, hashes_of
from venvery.resolve.writers.markers import environments, marker_for

__all__ = ["lock_to_pylock", "write_pylock"]


def write_pylock(lock: Lock, *, indexes: Mapping[str, str] | None = None) -> str:
    """Write a lock as pylock.toml. `indexes` gives the URL of each source, by the source's name."""
    return tomli_w.dumps(dict(lock_to_pylock(lock, indexes=indexes).to_dict()))


def lock_to_pylock(lock: Lock, *, indexes: Mapping[str, str] | None = None) -> Pylock:
    """Make the `Pylock` of a lock.

    A pin that is not on all targets has a marker. Raises `BadLock` for a file without any hash, and where no
    marker can tell the targets apart.
    """
    versions: dict[NormalizedName, set[Version]] = {}
    for pin in lock.pins:
        versions.setdefault(pin.project, set()).add(pin.version)
    several = {project for project, known in versions.items() if len(known) > 1}
    return Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(text) for text in environments(lock.targets)],
        requires_python=_requires_python(lock),
        created_by="venvery",
        packages=[_package(lock, pin, several, indexes or {}) for pin in lock.pins],
        tool={"venvery": _tool(lock)},
    )


def _requires_python(lock: Lock) -> SpecifierSet | None:
    """Give the oldest Python of the targets; a pre-release as itself, for `>=3.15` refuses 3.15.0rc1."""
    if not lock.targets:
        return None
    oldest = min(lock.targets, key=lambda target: parse_version(target.python))
    full = parse_version(oldest.python)
    return SpecifierSet(f">={full}" if full.is_prerelease else f">={full.major}.{full.minor}")


def _package(lock: Lock, pin: Pin, several: set[NormalizedName], indexes: Mapping[str, str]) -> Package:
    marker = marker_for(lock.targets, pin.targets)
    common: dict[str, Any] = {
        "name": pin.project,
        "version": pin.version,
        "marker": Marker(marker) if marker else None,
        "requires_python": SpecifierSet(pin.requires_python) if pin.requires_python else None,
        "dependencies": _dependencies(lock, pin, several) or None,
    }
    files = files_of(pin)
    if not files:
        raise BadLock(f"{pin.project} {pin.version} has no file that could be written into a lock")
    if direct_reference(lock, pin) is not None:
        return Package(**common, archive=_archive(files[0]))
    wheels = [PackageWheel(**_described(file)) for file in files if file.kind == "wheel"]
    sdists = [PackageSdist(**_described(file)) for file in files if file.kind == "sdist"]
    return Package(
        **common,
        index=_index(files, indexes),
        sdist=sdists[0] if sdists else None,
        wheels=wheels or None,
    )


def _dependencies(lock: Lock, pin: Pin, several: set[NormalizedName]) -> list[dict[str, str]]:
    """Name the other packages that a pin needs, with the version where the lock has more than one."""
    present = {(other.project, target): other.version for other in lock.pins for target in other.targets}
    found = set()
    for edge in pin.edges:
        for target in edge.targets:
            version = present.get((edge.project, target))
            if version is not None and edge.project != pin.project:
                found.add((edge.project, str(version)))
    return [
        {"name": project, "version": version} if project in several else {"name": project}
        for project, version in sorted(found)
    ]


def _described(file: DistFile) -> dict[str, Any]:
    return {
        "name": file.filename,
        "url": without_credentials(file.url),
        "upload_time": file.upload_time,
        "size": file.size,
        "hashes": hashes_of(file),
    }


def _archive(file: DistFile) -> PackageArchive:
    """Describe a direct reference. A local one is given by its path: uv takes no `file:` URL here."""
    parts = urlsplit(file.url)
    local = re.sub(r"^/(?=[A-Za-z]:/)", "", unquote(parts.path)) if parts.scheme == "file" else None
    return PackageArchive(
        url=without_credentials(file.url) if local is None else None,
        path=local,
        size=file.size,
        upload_time=file.upload_time,
        hashes=hashes_of(file),
    )


def _index(files: tuple[DistFile, ...], indexes: Mapping[str, str]) -> str | None:
    """Give the URL of the index, where all files come from one whose URL is known."""
    urls = {indexes.get(file.source) for file in files}
    only = urls.pop() if len(urls) == 1 else None
    return without_credentials(only) if only else None


def _tool(lock: Lock) -> dict[str, Any]:
    """Keep what PEP 751 has no place for, so that our own reader knows it again."""
    return {
        "targets": [
            target.to_json()
            if target.short
            else {"python": target.python + target.threads, "platform": target.platform}
            for target in lock.targets
        ],
        "requirements": [requirement.text for requirement in lock.requirements],
        "requested": sorted({pin.project for pin in lock.pins if pin.requested}),
    }
