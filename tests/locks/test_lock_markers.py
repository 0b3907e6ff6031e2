"""Markers that tell the targets of a lock apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker

from tests.locks.building import LINUX, MUSL, target_lists
from venvery.errors import BadLock
from venvery.model.targets import Target, exact_target, short_target
from venvery.resolve.writers.markers import environments, marker_for

PYTHONS = ("3.9", "3.10", "3.11", "3.12")
GRID = tuple(
    short_target(python, platform)
    for python in PYTHONS
    for platform in ("linux-x86_64", "macos-arm64", "windows-x86_64")
)


def what_markers_see(target: Target) -> tuple[str, ...]:
    names = ("python_full_version", "sys_platform", "platform_machine", "platform_python_implementation")
    return tuple(target.marker_environment[name] for name in names)


@settings(deadline=None)
@given(st.data())
def test_a_marker_is_true_exactly_on_its_targets(data: st.DataObject) -> None:
    targets = data.draw(target_lists)
    inside = set(data.draw(st.lists(st.sampled_from(range(len(targets))), min_size=1)))
    seen_inside = {what_markers_see(targets[index]) for index in inside}
    seen_outside = {what_markers_see(target) for i, target in enumerate(targets) if i not in inside}
    if seen_inside & seen_outside:
        with pytest.raises(BadLock, match="no environment marker tells"):
            marker_for(targets, inside)
        return
    text = marker_for(targets, inside)
    true_on = {
        index
        for index, target in enumerate(targets)
        if text is None or Marker(text).evaluate(target.marker_environment)
    }
    assert true_on == inside
    assert (text is None) == (len(inside) == len(targets))


@pytest.mark.parametrize(
    ("inside", "marker"),
    [
        (range(3), 'python_version < "3.10"'),
        (range(6, 12), 'python_version >= "3.11"'),
        (range(3, 6), 'python_version == "3.10"'),
        (range(3, 9), 'python_version >= "3.10" and python_version < "3.12"'),
        ((0, 3, 6, 9), 'sys_platform == "linux"'),
        ((1, 2, 4, 5, 7, 8, 10, 11), 'sys_platform != "linux"'),
        ((4,), 'python_version == "3.10" and sys_platform == "darwin"'),
        ((0, 1, 2, 5, 8, 11), 'sys_platform == "win32" or python_version < "3.10"'),
        (range(12), None),
    ],
)
def test_a_marker_has_as_few_terms_as_it_needs(inside: tuple[int, ...], marker: str | None) -> None:
    assert marker_for(GRID, inside) == marker


def test_patch_releases_of_one_python_are_told_apart_by_the_full_version() -> None:
    targets = (short_target("3.11.2", "linux-x86_64"), short_target("3.11.9", "linux-x86_64"))
    assert marker_for(targets, (1,)) == 'python_full_version >= "3.11.9"'


def test_a_pre_release_of_python_is_not_taken_for_the_release() -> None:
    targets = tuple(short_target(python, "linux-x86_64") for python in ("3.14", "3.15.0rc1", "3.15.0"))
    assert marker_for(targets, (1,)) == 'python_full_version == "3.15.0rc1"'
    assert marker_for(targets, (0,)) == 'python_version < "3.15"'


def test_the_c_library_is_beyond_markers() -> None:
    with pytest.raises(BadLock, match=r"tells Python 3\.11\.0 on musl-x86_64 from .* on linux-x86_64"):
        marker_for((LINUX, MUSL), (1,))
    assert marker_for((LINUX, MUSL), (0, 1)) is None


def test_a_pin_on_no_target_is_refused() -> None:
    with pytest.raises(BadLock, match="none of its targets"):
        marker_for((LINUX, MUSL), ())


def test_a_target_from_outside_cannot_smuggle_text_into_a_marker() -> None:
    markers = {**LINUX.marker_environment, "platform_machine": 'x" or "1" == "1'}
    with pytest.raises(BadLock, match="cannot be written into a marker"):
        exact = Target(python="3.11.0", platform="linux-x86_64", markers=tuple(markers.items()), tags=LINUX.tags)
        marker_for((LINUX, exact), (0,))
    with pytest.raises(BadLock, match="cannot be written into a marker"):
        environments((exact,))


def test_the_environments_of_targets_are_written_once_each() -> None:
    same = exact_target(LINUX.marker_environment, LINUX.tags)
    assert environments((LINUX, MUSL, same)) == (
        (
            'python_version == "3.11" and sys_platform == "linux" and platform_machine == "x86_64"'
            ' and implementation_name == "cpython"'
        ),
    )
