"""Read pylock.toml (PEP 751) into a lock, with `packaging.pylock`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.tags import Tag

from venvery.errors import BadLock, BadRequirement, LimitExceeded
from venvery.model.files import MAX_SIZE, DistFile, parse_filename
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requirements import Requirement, parse_requirement
from venvery.model.sources import UPLOADED
from venvery.model.targets import Target

__all__ = ["MAX_CHARACTERS", "read_pylock"]

MAX_CHARACTERS = 32 * 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def read_pylock(
    text: str,
    *,
    origin: str,
    targets: Sequence[Target],
    directory: PurePath | None = None,
    extras: Collection[str] = (),
    groups: Collection[str] | None = None,
) -> Lock:
    """Read what a pylock.toml means for some targets.

    `directory` is the absolute folder that files named by relative path lie under. `extras` and `groups`
    (None: the file's default groups) choose among what it offers. Files that serve no target are left out.
    Raises `BadLock` for what PEP 751 does not allow, for a target that the file is not made for, and for
    entries that are directories, version control or archives other than one wheel.
    """
    pylock = _parse(text, origin)
    chosen: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        for package in _select(pylock, target, origin, extras, groups):
            chosen.setdefault(package, []).append(index)
    ours = _our_tool(pylock)
    pins = tuple(
        _pin(package, tuple(chosen[place]), targets, pylock, f"{origin}: {package.name}", directory)
        for place, package in enumerate(pylock.packages)
        if place in chosen
    )
    return Lock(
        targets=tuple(targets),
        pins=_requested(tuple(sorted(pins, key=lambda pin: (pin.project, pin.version))), ours),
        requirements=(*_requirements(ours), *_direct(pylock, pins, ours)),
    )


def _parse(text: str, origin: str) -> Pylock:
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded(f"{origin} is larger than {MAX_CHARACTERS} characters")
    try:
        return Pylock.from_dict(tomllib.loads(text.removeprefix("\ufeff")))
    except tomllib.TOMLDecodeError as error:
        raise BadLock(f"{origin} is not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except PylockValidationError as error:
        raise BadLock(f"{origin} is not a valid pylock file: {error}") from None
    except RecursionError:
        raise BadLock(f"{origin} is not TOML: nested too deeply") from None


def _select(
    pylock: Pylock, target: Target, origin: str, extras: Collection[str], groups: Collection[str] | None
) -> list[int]:
    """Give the places of the packages that are installed on a target."""
    places = {id(package): place for place, package in enumerate(pylock.packages)}
    tags = [Tag(*tag.split("-")) for tag in target.tags]
    try:
        selected = pylock.select(
            environment=cast("Environment", target.marker_environment),
            tags=tags,
            extras=extras,
            dependency_groups=groups,
        )
        return [places[id(package)] for package, _file in selected]
    except PylockSelectError as error:
        said = " ".join(str(error).split())
        raise BadLock(
            f"{origin} cannot be used for {target}: {said[:1].lower()}{said[1:]}",
            hint="make a lock for that target, or choose another target",
        ) from None


def _pin(
    package: Package,
    on: tuple[int, ...],
    targets: Sequence[Target],
    pylock: Pylock,
    place: str,
    directory: PurePath | None,
) -> Pin:
    if package.vcs is not None:
        raise BadLock(f"{place} comes from version control, which venvery does not install")
    if package.directory is not None:
        raise BadLock(f"{place} is a local directory, which venvery does not install")
    given: list[PackageWheel | PackageSdist | PackageArchive] = [*(package.wheels or ())]
    given += [package.archive] if package.archive is not None else []
    given += [package.sdist] if package.sdist is not None else []
    files = [_file(package, entry, place, directory) for entry in given]
    served = [targets[index] for index in on]
    ranked = [(_rank(file, served), file) for file in files]
    best_first = sorted(
        (entry for entry in ranked if entry[0] is not None), key=lambda entry: (entry[0], entry[1].filename)
    )
    return Pin(
        project=package.name,
        version=package.version or files[0].version,
        files=tuple(file for _rank, file in best_first),
        targets=on,
        requires_python=str(package.requires_python) if package.requires_python is not None else None,
        edges=tuple(Edge(project, project, on) for project in sorted(_dependency_names(package, pylock, place))),
    )


def _rank(file: DistFile, targets: Sequence[Target]) -> tuple[int, int] | None:
    """Give the place of a file among its pin's: wheels by their best tag, then sdists; None serves nobody."""
    if file.kind == "sdist":
        return (1, 0)
    ranks = [rank for target in targets if (rank := target.rank(file.tag)) is not None]
    return (0, min(ranks)) if ranks else None


def _dependency_names(package: Package, pylock: Pylock, place: str) -> set[NormalizedName]:
    known = {str(other.name): other.name for other in pylock.packages}
    names = [str(entry.get("name")) for entry in package.dependencies or ()]
    unknown = sorted(name for name in names if name not in known)
    if unknown:
        raise BadLock(f"{place} depends on {unknown[0][:80]!r}, which the file does not have")
    return {known[name] for name in names} - {package.name}


def _file(
    package: Package,
    entry: PackageWheel | PackageSdist | PackageArchive,
    place: str,
    directory: PurePath | None,
) -> DistFile:
    if isinstance(entry, PackageArchive):
        filename = _archive_name(entry, place)
    else:
        filename = entry.filename
    parsed = None if "/" in filename or "\\" in filename else parse_filename(filename)
    if parsed is None or parsed.project != package.name:
        raise BadLock(f"{place} has a file with an unusable name, {filename[:120]!r}")
    hashes = {name.lower(): value.lower() for name, value in entry.hashes.items()}
    sha256 = hashes.get("sha256")
    if sha256 is not None and not _SHA256.match(sha256):
        raise BadLock(f"{place}: the sha256 of {filename} is not 64 hex digits")
    if entry.size is not None and not 0 <= entry.size <= MAX_SIZE:
        raise BadLock(f"{place}: the size of {filename} is no number of bytes")
    return DistFile(
        filename=filename,
        url=_url(entry, place, directory),
        project=parsed.project,
        version=parsed.version,
        kind=parsed.kind,
        tag=parsed.tag,
        build=parsed.build,
        sha256=sha256,
        size=entry.size,
        upload_time=entry.upload_time,
        hashes=tuple(sorted((name, value) for name, value in hashes.items() if name != "sha256")),
    )


def _archive_name(archive: PackageArchive, place: str) -> str:
    name = unquote(urlsplit(archive.url or archive.path or "").path.rsplit("/", 1)[-1])
    if archive.subdirectory or not name.endswith(".whl"):
        raise BadLock(
            f"{place} is an archive that has to be built first, which venvery does not do from a lock",
            hint=f"it names {name[:120]!r}; an archive may only be a wheel",
        )
    return name


def _url(entry: PackageWheel | PackageSdist | PackageArchive, place: str, directory: PurePath | None) -> str:
    if entry.url:
        if urlsplit(entry.url).scheme not in ("http", "https", "file") and not entry.url.startswith(UPLOADED):
            raise BadLock(f"{place} names a file by a URL that is not http, https or file")
        return entry.url
    path = PurePath(entry.path or "")
    if directory is None and not path.is_absolute():
        raise BadLock(f"{place} names a file by its path, which cannot be followed here")
    return (path if directory is None else directory / path).as_uri()


def _our_tool(pylock: Pylock) -> Mapping[str, Any]:
    ours = (pylock.tool or {}).get("venvery")
    return ours if isinstance(ours, Mapping) else {}


def _requested(pins: tuple[Pin, ...], ours: Mapping[str, Any]) -> tuple[Pin, ...]:
    """Mark what was asked for: as our own writer noted it, else whatever no other package depends on."""
    noted = ours.get("requested")
    if isinstance(noted, list):
        asked = {name for name in noted if isinstance(name, str)}
    else:
        needed = {edge.project for pin in pins for edge in pin.edges}
        asked = {str(pin.project) for pin in pins} - needed
    return tuple(replace(pin, requested=pin.project in asked) for pin in pins)


def _requirements(ours: Mapping[str, Any]) -> list[Requirement]:
    """Read the requirements that our own writer noted; they only inform, so a broken one is passed over."""
    found = []
    for text in ours.get("requirements") or ():
        try:
            found.append(parse_requirement(text))
        except (BadRequirement, TypeError, AttributeError):
            continue
    return found


def _direct(pylock: Pylock, pins: Iterable[Pin], ours: Mapping[str, Any]) -> list[Requirement]:
    """Give a `name @ URL` for every archive, unless the noted requirements have it."""
    archives = {package.name for package in pylock.packages if package.archive}
    known = {requirement.project for requirement in _requirements(ours) if requirement.url}
    return [
        parse_requirement(f"{pin.project} @ {pin.files[0].url}")
        for pin in pins
        if pin.project in archives - known and pin.files
    ]
