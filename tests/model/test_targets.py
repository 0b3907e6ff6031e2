"""Targets by their short and exact names, held against what `packaging` says of the interpreter at hand."""

from __future__ import annotations

import sys

import pytest
from packaging import tags
from packaging.markers import default_environment

from venvery.client.interpreter import this_interpreter
from venvery.errors import BadTarget
from venvery.model.targets import PLATFORMS, exact_target, short_target, target_from_json


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.8", "3.11.7", "3.13", "3.13t"])
def test_every_platform_has_a_target(python: str, platform: str) -> None:
    target = short_target(python, platform)
    assert target.platform == platform
    assert target.tags[-1].startswith("py3") and target.tags[-1].endswith("-none-any")
    assert len(set(target.tags)) == len(target.tags)
    assert target.threads == ("t" if python.endswith("t") else "")
    assert short_target(python, platform) == target


@pytest.mark.skipif(sys.platform != "linux", reason="the interpreter at hand is not a Linux one")
def test_the_short_name_of_this_interpreter_has_its_very_tags() -> None:
    here = this_interpreter().target
    assert list(short_target(**here).tags) == [str(tag) for tag in tags.sys_tags()]


def test_markers_are_those_of_this_interpreter() -> None:
    ours = short_target(**this_interpreter().target).marker_environment
    theirs = {name: str(value) for name, value in default_environment().items()}
    unknown = {"platform_release", "platform_version"}  # a short name does not say them
    assert {name: value for name, value in ours.items() if name not in unknown} == {
        name: theirs[name] for name in ours if name not in unknown
    }


@pytest.mark.parametrize(
    ("platform", "fits", "does_not"),
    [
        (
            "linux-x86_64",
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp311-cp311-manylinux_2_34_x86_64",
        ),
        ("manylinux_2_36_x86_64", "cp311-abi3-manylinux_2_34_x86_64", "cp311-cp311-musllinux_1_2_x86_64"),
        ("musl-x86_64", "cp39-abi3-musllinux_1_1_x86_64", "cp311-cp311-manylinux_2_17_x86_64"),
        ("macos-arm64", "cp311-cp311-macosx_11_0_universal2", "cp311-cp311-macosx_10_9_x86_64"),
        ("macosx_12_0_arm64", "cp311-cp311-macosx_12_0_arm64", "cp311-cp311-macosx_14_0_arm64"),
        ("windows-x86_64", "cp311-cp311-win_amd64", "cp311-cp311-win32"),
    ],
)
def test_which_wheels_fit(platform: str, fits: str, does_not: str) -> None:
    target = short_target("3.11", platform)
    assert target.rank(fits) is not None
    assert target.rank(does_not) is None
    assert target.rank("py2.py3-none-any") is not None


def test_free_threaded_builds_take_no_abi3() -> None:
    target = short_target("3.13t", "linux-x86_64")
    assert target.rank("cp313-cp313t-manylinux_2_28_x86_64") == 1
    assert target.rank("cp39-abi3-manylinux_2_28_x86_64") is None
    assert target.family.purelib == "lib/python3.13t/site-packages"


def test_a_target_survives_being_written_down() -> None:
    short = short_target("3.12", "windows-x86_64")
    exact = exact_target(short.marker_environment, short.tags)
    for target in (short, exact):
        read = target_from_json(target.to_json(), default_platform="linux-x86_64", default_python="3.11")
        assert (read, read.fingerprint, read.family) == (target, target.fingerprint, target.family)


@pytest.mark.parametrize(
    ("python", "platform"),
    [
        ("2.7", "linux-x86_64"), ("3.6", "linux-x86_64"), ("4.0", "linux-x86_64"), ("3", "linux-x86_64"),
        ("3.11; rm", "linux-x86_64"), ("3.12t", "linux-x86_64"), ("3.11", "amiga"), ("3.11", "linux-sparc"),
        ("3.11", "manylinux_3_1_x86_64"), ("3.11", "macosx_1_0_arm64"), ("", ""),
    ],
)  # fmt: skip
def test_what_is_no_target(python: str, platform: str) -> None:
    with pytest.raises(BadTarget):
        short_target(python, platform)


@pytest.mark.parametrize(
    "value",
    [
        [], "3.11", {"python": 3.11}, {"phyton": "3.11"}, {"marker_environment": {}, "tags": []}, {"tags": ["x"]},
        {"marker_environment": dict(short_target("3.11", "linux-x86_64").markers), "tags": ["nonsense"]},
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_a_target(value: object) -> None:
    with pytest.raises(BadTarget):
        target_from_json(value, default_platform="linux-x86_64", default_python="3.11")
