"""Locks and their parts, made by hand and by hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from venvery.model.files import DistFile, parse_filename
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.requirements import parse_requirement
from venvery.model.targets import PLATFORMS, Target, exact_target, short_target

LINUX = short_target("3.11", "linux-x86_64")
MAC = short_target("3.11", "macos-arm64")
WINDOWS = short_target("3.12", "windows-x86_64")
MUSL = short_target("3.11", "musl-x86_64")


def dist_file(filename: str, **further: Any) -> DistFile:
    """Make a listed file with a SHA-256 that depends on its name."""
    parsed = parse_filename(filename)
    assert parsed is not None
    digest = format(sum(map(ord, filename)), "04x") * 16
    return DistFile(
        **{
            "filename": filename,
            "url": f"https://files.example/{filename}",
            "project": parsed.project,
            "version": parsed.version,
            "kind": parsed.kind,
            "tag": parsed.tag,
            "build": parsed.build,
            "sha256": digest,
            "source": "main",
            **further,
        }
    )


def pin(*filenames: str, targets: tuple[int, ...] = (0,), **further: Any) -> Pin:
    """Make a pin of the project and version of its first file."""
    files = tuple(dist_file(name) for name in filenames)
    return Pin(
        **{
            "project": files[0].project,
            "version": files[0].version,
            "files": files,
            "targets": targets,
            **further,
        }
    )


def edge(project: str, requirement: str, *targets: int) -> Edge:
    return Edge(canonicalize_name(project), requirement, targets or (0,))


def two_target_lock() -> Lock:
    """Linux and Windows; one project is on one of them only, and one has a version for each."""
    return Lock(
        targets=(LINUX, WINDOWS),
        requirements=(
            parse_requirement("Web[fast]>=2", origin="requirements.txt", line=3),
            parse_requirement("numbers"),
        ),
        pins=(
            pin(
                "colours-1.0-py3-none-any.whl",
                targets=(1,),
                requires_python=">=3.8",
            ),
            pin("numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl", targets=(0,), requested=True),
            pin("numbers-2.0-cp312-cp312-win_amd64.whl", targets=(1,), requested=True),
            Pin(
                project=canonicalize_name("web"),
                version=dist_file("web-2.1-py3-none-any.whl").version,
                files=(
                    dist_file(
                        "web-2.1-py3-none-any.whl",
                        size=1234,
                        upload_time=datetime(2026, 1, 31, 12, tzinfo=UTC),
                        core_metadata="",
                        yanked="",
                    ),
                    dist_file("web-2.1.tar.gz", sha256=None, hashes=(("md5", "0" * 32), ("sha512", "ab" * 64))),
                ),
                targets=(0, 1),
                extras=(canonicalize_name("fast"),),
                edges=(
                    edge("colours", 'colours ; sys_platform == "win32"', 1),
                    edge("numbers", 'numbers>=1 ; extra == "fast"', 0, 1),
                ),
                requested=True,
            ),
        ),
        warnings=("web 2.1 is yanked",),
    )


short_targets = st.builds(
    short_target,
    st.sampled_from(["3.9", "3.11", "3.11.7", "3.12", "3.13", "3.13t", "3.14", "3.15.0rc1", "3.15"]),
    st.sampled_from([*PLATFORMS, "manylinux_2_34_x86_64"]),
)


def as_exact(target: Target) -> Target:
    """Give the same target as an interpreter describes itself."""
    return exact_target(target.marker_environment, target.tags)


targets = st.one_of(short_targets, short_targets.map(as_exact))
target_lists = st.lists(targets, min_size=1, max_size=7, unique_by=lambda target: target.fingerprint).map(tuple)

_names = st.sampled_from(["alpha", "beta", "gamma", "delta"])
_versions = st.sampled_from(["1.0", "2!1.0.post3", "1.0rc1", "3.0+cu121", "0"])
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def files(draw: st.DrawFn, project: str, version: str) -> DistFile:
    tag = draw(st.sampled_from(["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "1-py3-none-any", ""]))
    filename = f"{project}-{version}-{tag}.whl" if tag else f"{project}-{version}.tar.gz"
    return dist_file(
        filename,
        url=draw(st.sampled_from(["https://files.example/a b", "file:///srv/w/x.whl"])).replace(" ", "%20"),
        sha256=draw(st.sampled_from([None, "0" * 64, "ab" * 32])),
        size=draw(st.none() | st.integers(1, 2**40)),
        requires_python=draw(st.none() | st.just(">=3.8")),
        yanked=draw(st.none() | _texts),
        upload_time=draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        core_metadata=draw(st.sampled_from([None, "", "cd" * 32])),
        source=draw(_texts),
        hashes=draw(st.sampled_from([(), (("sha512", "ab" * 64),), (("md5", "0" * 32), ("blake2b", "1" * 64))])),
    )


@st.composite
def pins(draw: st.DrawFn, project: str, where: tuple[int, ...]) -> Pin:
    version = draw(_versions)
    some_targets = st.lists(st.sampled_from(where), min_size=1, unique=True).map(sorted).map(tuple)
    edges = st.builds(lambda name, text, on: Edge(canonicalize_name(name), text, on), _names, _texts, some_targets)
    found = draw(st.lists(files(project, version), max_size=3))
    return Pin(
        project=canonicalize_name(project),
        version=dist_file(f"{project}-{version}-py3-none-any.whl").version,
        files=tuple(found),
        targets=where,
        extras=draw(st.sampled_from([(), ("fast",), ("fast", "slow")])),
        requires_python=draw(st.none() | st.just(">=3.8,<4")),
        edges=tuple(draw(st.lists(edges, max_size=3))),
        requested=draw(st.booleans()),
        hashes=draw(st.sampled_from([(), ("sha256:" + "ab" * 32,)])),
    )


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Any lock: each project is on a part of the targets, or split over them in two versions."""
    chosen = draw(target_lists)
    everywhere = tuple(range(len(chosen)))
    found: list[Pin] = []
    for project in draw(st.lists(_names, unique=True).map(sorted)):
        split = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(chosen), max_size=len(chosen)))
        for part in (1, 2):
            where = tuple(index for index in everywhere if split[index] == part)
            if where:
                found.append(draw(pins(project, where)))
    requirement = st.builds(
        lambda text, origin, hashes: parse_requirement(text, origin=origin, hashes=hashes),
        st.sampled_from(["alpha", "Beta[x,Y.z]>=1,<2 ; python_version<'3.12'", "gamma @ https://a.example/g.whl"]),
        st.none() | _texts.filter(bool),
        st.sampled_from([(), ("sha256:" + "0" * 64,)]),
    )
    return Lock(
        targets=chosen,
        pins=tuple(found),
        requirements=tuple(draw(st.lists(requirement, max_size=3))),
        warnings=tuple(draw(st.lists(_texts, max_size=2))),
    )
