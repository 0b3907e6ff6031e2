"""Small worlds for the solver: projects with versions and dependencies, written as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from venvery.model.files import CoreMetadata, DistFile, Listing, NoMetadata, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.requests import Options, ResolveRequest
from venvery.model.requirements import parse_requirement
from venvery.model.targets import Target, short_target
from venvery.model.versions import parse_version
from venvery.resolve import MemoryShelf, Need, Resolution, Universe, solve

LINUX = short_target("3.12", "linux-x86_64")


@dataclass(frozen=True)
class Release:
    """One version of a project, as a test writes it."""

    requires: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requires_python: str | None = None
    yanked: str | None = None
    tags: Sequence[str] = ("py3-none-any",)
    sdist: bool = False
    uploaded: datetime | None = None
    metadata: CoreMetadata | NoMetadata | None = None
    """In place of what the other fields say."""


def universe(project: str, releases: Mapping[str, Release], *, known: bool = True) -> Universe:
    """Make a universe whose metadata is at hand."""
    name = normalize(project)
    files: list[DistFile] = []
    metadata: list[tuple[DistFile, CoreMetadata | NoMetadata]] = []
    for version, release in releases.items():
        for filename in _filenames(project, version, release):
            file = _file(filename, release)
            files.append(file)
            metadata.append((file, release.metadata or _metadata(name, version, release)))
    digest = hashlib.sha256(repr([(f.filename, f.yanked) for f in files]).encode()).hexdigest()
    made = Universe(Listing(name, f"sha256:{digest}", tuple(files), known))
    for file, told in metadata:
        made.set_metadata(file, told)
    return made


def _filenames(project: str, version: str, release: Release) -> Iterable[str]:
    stem = f"{normalize(project).replace('-', '_')}-{version}"
    yield from (f"{stem}-{tag}.whl" for tag in release.tags)
    if release.sdist:
        yield f"{stem}.tar.gz"


def _file(filename: str, release: Release) -> DistFile:
    parsed = parse_filename(filename)
    assert parsed is not None, filename
    return DistFile(
        filename=filename,
        url=f"https://index.test/{filename}",
        project=parsed.project,
        version=parsed.version,
        kind=parsed.kind,
        tag=parsed.tag,
        build=parsed.build,
        sha256=hashlib.sha256(filename.encode()).hexdigest(),
        requires_python=release.requires_python,
        yanked=release.yanked,
        upload_time=release.uploaded,
        source="test",
    )


def _metadata(project: NormalizedName, version: str, release: Release) -> CoreMetadata:
    requires = list(release.requires)
    for extra, wanted in release.extras.items():
        for text in wanted:
            stated, _, marker = text.partition(";")
            condition = f"extra == '{normalize(extra)}'"
            requires.append(f"{stated.strip()} ; " + (f"({marker}) and {condition}" if marker else condition))
    return CoreMetadata(
        project=project,
        version=parse_version(version),
        requires_python=release.requires_python,
        requires_dist=tuple(requires),
        provides_extra=tuple(normalize(extra) for extra in release.extras),
    )


def world(**projects: Mapping[str, Sequence[str] | Release]) -> MemoryShelf:
    """Make a shelf from `name={version: requirements or Release}`; `_` in a name stands for `-`."""
    shelf = MemoryShelf()
    for name, versions in projects.items():
        releases = {
            version: told if isinstance(told, Release) else Release(requires=told)
            for version, told in versions.items()
        }
        shelf.put(universe(name.replace("_", "-"), releases))
    return shelf


def request(
    *requirements: str,
    targets: Sequence[Target] = (LINUX,),
    constraints: Sequence[str] = (),
    **options: Any,
) -> ResolveRequest:
    """Make a request from texts."""
    if "overrides" in options:
        options["overrides"] = tuple(parse_requirement(text) for text in options["overrides"])
    return ResolveRequest(
        requirements=tuple(parse_requirement(text) for text in requirements),
        targets=tuple(targets),
        constraints=tuple(parse_requirement(text) for text in constraints),
        options=Options(**options),
    )


def run(asked: ResolveRequest, shelf: MemoryShelf) -> Resolution:
    """Solve; projects that are asked for and not on the shelf do not exist."""
    steps = solve(asked, shelf)
    try:
        need: Need = next(steps)
        while True:
            assert not need.metadata, need.metadata
            assert need.listings, "a need for nothing"
            for project in need.listings:
                assert shelf.universe(project) is None
                shelf.put(universe(project, {}, known=False))
            need = steps.send(None)
    except StopIteration as done:
        resolution: Resolution = done.value
        return resolution


def pins(asked: ResolveRequest, shelf: MemoryShelf, target: int = 0) -> dict[str, str]:
    """Solve, and give the pins of one target as texts."""
    lock = run(asked, shelf).lock
    return {str(pin.project): str(pin.version) for pin in lock.pins_for(target)}
