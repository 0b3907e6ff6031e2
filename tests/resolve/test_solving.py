"""What a request can say, and what the answer then holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.resolve.worlds import LINUX, Release, pins, request, run, universe, world
from venvery.errors import BadInput, LimitExceeded, Unsatisfiable, UrlNotAllowed
from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.lock import Edge
from venvery.model.names import normalize
from venvery.model.requests import EVERY, NameSet
from venvery.model.requirements import parse_requirement
from venvery.model.targets import short_target
from venvery.model.versions import parse_version
from venvery.resolve import MemoryShelf, solve, story
from venvery.resolve import solver as solver_module

OLD = short_target("3.9", "linux-x86_64")
WINDOWS = short_target("3.12", "windows-x86_64")


def only(*names: str) -> NameSet:
    return NameSet(names=frozenset(map(normalize, names)))


def refused(asked: Any, shelf: MemoryShelf) -> Unsatisfiable:
    with pytest.raises(Unsatisfiable) as caught:
        run(asked, shelf)
    return caught.value


def test_it_takes_the_newest_versions_that_fit_together() -> None:
    shelf = world(a={"1": ["b<2"], "2": ["b<3"]}, b={"1": [], "2": ["c"], "3": []}, c={"1": []})
    assert pins(request("a"), shelf) == {"a": "2", "b": "2", "c": "1"}


def test_it_backtracks_to_an_older_version() -> None:
    shelf = world(a={"1": ["c==1"], "2": ["c==2"]}, b={"1": ["c==1"]}, c={"1": [], "2": []})
    assert pins(request("a", "b"), shelf) == {"a": "1", "b": "1", "c": "1"}


def test_cycles_are_fine() -> None:
    shelf = world(a={"1": ["b"]}, b={"1": ["a"]})
    assert pins(request("a"), shelf) == {"a": "1", "b": "1"}


def test_an_empty_request_has_an_empty_answer() -> None:
    assert run(request(), world()).lock.pins == ()


def test_a_request_without_a_target_is_wrong() -> None:
    with pytest.raises(BadInput):
        run(request("a", targets=()), world())


# ---------------------------------------------------------------------- extras


def test_extras_bring_their_dependencies_and_stay_on_the_pin() -> None:
    shelf = world(a={"1": Release(requires=["b"], extras={"x": ["c"], "y": ["d"]})}, b={"1": []}, c={"1": []})
    lock = run(request("a[x]"), shelf).lock
    assert [(pin.project, pin.extras) for pin in lock.pins] == [("a", ("x",)), ("b", ()), ("c", ())]


def test_an_extra_may_name_other_extras_of_its_own_project() -> None:
    shelf = world(a={"1": Release(extras={"all": ["a[x,y]"], "x": ["b"], "y": ["c"]})}, b={"1": []}, c={"1": []})
    lock = run(request("a[all]"), shelf).lock
    assert {str(pin.project) for pin in lock.pins} == {"a", "b", "c"}
    assert lock.pins[0].extras == ("all", "x", "y")
    assert [edge.project for edge in lock.pins[0].edges] == ["b", "c"]


def test_extras_that_name_each_other_end() -> None:
    shelf = world(a={"1": Release(extras={"x": ["a[y]"], "y": ["a[x]", "b"]})}, b={"1": []})
    assert pins(request("a[x]"), shelf) == {"a": "1", "b": "1"}


def test_extras_of_dependencies_count_too() -> None:
    shelf = world(a={"1": ["b[x]"]}, b={"1": Release(extras={"x": ["c"]})}, c={"1": []})
    assert pins(request("a"), shelf) == {"a": "1", "b": "1", "c": "1"}


def test_a_missing_extra_is_a_warning() -> None:
    lock = run(request("a[nope]"), world(a={"1": []})).lock
    assert lock.warnings == ("a 1 does not provide the extra 'nope'",)
    assert lock.pins[0].extras == ("nope",)


def test_an_extra_can_rule_versions_out() -> None:
    shelf = world(
        a={"1": Release(extras={"x": ["c==1"]}), "2": Release(extras={"x": ["c==2"]})},
        b={"1": ["c==1"]},
        c={"1": [], "2": []},
    )
    assert pins(request("a[x]", "b"), shelf)["a"] == "1"
    assert pins(request("a", "b"), shelf)["a"] == "2"


# ---------------------------------------------------------------------- markers, Python, files


def test_markers_are_those_of_the_target() -> None:
    shelf = world(
        a={"1": ["b ; sys_platform == 'win32'", "c ; python_version < '3.10'"]}, b={"1": []}, c={"1": []}
    )
    assert pins(request("a"), shelf) == {"a": "1"}
    assert pins(request("a", targets=[WINDOWS]), shelf) == {"a": "1", "b": "1"}
    assert pins(request("a", targets=[OLD]), shelf) == {"a": "1", "c": "1"}
    assert pins(request("a ; sys_platform == 'win32'"), shelf) == {}


def test_requires_python_holds_from_both_sides_for_pip() -> None:
    shelf = world(a={"1": [], "2": Release(requires_python="<3.12"), "3": Release(requires_python=">=3.13")})
    assert pins(request("a"), shelf) == {"a": "1"}
    assert pins(request("a", preset="uv"), shelf) == {"a": "2"}


def test_requires_python_of_the_metadata_counts_where_the_listing_is_silent() -> None:
    told = CoreMetadata(normalize("a"), parse_version("2"), requires_python=">=3.13")
    shelf = world(a={"1": [], "2": Release(metadata=told)})
    assert pins(request("a"), shelf) == {"a": "1"}
    assert "it needs Python >=3.13" in story(refused(request("a==2"), shelf).explanation)


def test_a_wheel_must_fit_the_target() -> None:
    shelf = world(
        a={"1": [], "2": Release(tags=["cp312-cp312-win_amd64"]), "3": Release(tags=["cp311-cp311-any"])}
    )
    assert pins(request("a"), shelf) == {"a": "1"}
    assert pins(request("a", targets=[WINDOWS]), shelf) == {"a": "2"}
    assert "without a wheel for Python 3.12.0" in story(refused(request("a>1"), shelf).explanation)


def test_source_distributions_count_unless_only_binary_says_otherwise() -> None:
    shelf = world(a={"1": [], "2": Release(tags=[], sdist=True)})
    assert pins(request("a"), shelf) == {"a": "2"}
    assert pins(request("a", only_binary=EVERY), shelf) == {"a": "1"}
    assert pins(request("a", only_binary=only("a")), shelf) == {"a": "1"}
    assert pins(request("a", only_binary=only("b")), shelf) == {"a": "2"}


def test_no_binary_leaves_wheels_out() -> None:
    shelf = world(a={"1": Release(sdist=True), "2": []})
    asked = request("a", no_binary=only("a"))
    (pin,) = run(asked, shelf).lock.pins
    assert str(pin.version) == "1"
    assert [file.kind for file in pin.files] == ["sdist"]


def test_the_best_wheel_comes_first_and_the_sdist_last() -> None:
    tags = ["py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "cp312-abi3-manylinux_2_17_x86_64"]
    shelf = world(a={"1": Release(tags=[*tags, "cp312-cp312-win_amd64"], sdist=True)})
    lock = run(request("a"), shelf).lock
    assert [file.filename for file in lock.pins[0].files] == [
        "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
        "a-1-cp312-abi3-manylinux_2_17_x86_64.whl",
        "a-1-py3-none-any.whl",
        "a-1.tar.gz",
    ]
    assert lock.wheel_for(lock.pins[0]) is lock.pins[0].files[0]


def test_the_highest_build_of_a_tag_comes_first() -> None:
    shelf = world(a={"1": Release(tags=["1-py3-none-any", "10-py3-none-any", "2-py3-none-any", "py3-none-any"])})
    lock = run(request("a"), shelf).lock
    assert [file.build for file in lock.pins[0].files] == [(10, ""), (2, ""), (1, ""), ()]
    assert lock.wheel_for(lock.pins[0]) is lock.pins[0].files[0]


def test_exclude_newer_looks_at_files() -> None:
    shelf = world(
        a={
            "1": Release(uploaded=datetime(2024, 1, 1, tzinfo=UTC)),
            "2": Release(uploaded=datetime(2025, 1, 1, tzinfo=UTC)),
            "3": Release(uploaded=None),
        }
    )
    assert pins(request("a"), shelf) == {"a": "3"}
    assert pins(request("a", exclude_newer=datetime(2025, 1, 1, tzinfo=UTC)), shelf) == {"a": "1"}
    assert pins(request("a", exclude_newer=datetime(2025, 1, 2, tzinfo=UTC)), shelf) == {"a": "2"}


def test_hashes_restrict_the_files() -> None:
    shelf = world(a={"1": Release(sdist=True), "2": []})
    held = shelf.universes[normalize("a")]
    wheel = next(file for file in held.listing.files if file.filename == "a-1-py3-none-any.whl")
    digest = f"sha256:{wheel.sha256}"
    asked = request("a")
    asked = replace(asked, requirements=(parse_requirement("a", hashes=(digest,)),))
    (pin,) = run(asked, shelf).lock.pins
    assert [file.filename for file in pin.files] == ["a-1-py3-none-any.whl"]
    assert pin.hashes == (digest,)
    other = replace(asked, requirements=(parse_requirement("a", hashes=("sha256:" + "0" * 64,)),))
    assert "demanded hashes" in story(refused(other, shelf).explanation)


# ---------------------------------------------------------------------- pre-releases, yanked


def test_prereleases_need_leave() -> None:
    shelf = world(a={"1": [], "2rc1": []}, b={"1b1": []})
    assert pins(request("a", "b"), shelf) == {"a": "1", "b": "1b1"}
    assert pins(request("a>1"), shelf) == {"a": "2rc1"}
    assert pins(request("a>=1b1"), shelf) == {"a": "2rc1"}
    assert pins(request("a>=1b1", preset="uv"), shelf) == {"a": "1"}
    assert pins(request("a", prereleases="allow"), shelf) == {"a": "2rc1"}
    assert pins(request("a", prerelease_projects=only("a")), shelf) == {"a": "2rc1"}
    assert pins(request("a", prereleases="disallow", prerelease_projects=only("a")), shelf) == {"a": "2rc1"}
    assert "pre-releases are not allowed" in story(
        refused(request("b", prereleases="disallow"), shelf).explanation
    )


def test_a_final_release_that_matches_keeps_prereleases_away_under_pip() -> None:
    clash = world(a={"1": ["c==2"], "2rc1": []}, c={"1": [], "2": []})
    no = refused(request("a", "c==1"), clash)
    assert "a 2rc1 is a pre-release" in story(no.explanation)
    assert no.hint == "allow pre-releases of a"
    assert pins(request("a", "c==1", preset="uv"), clash) == {"a": "2rc1", "c": "1"}


def test_yanked_releases_are_for_pins_only() -> None:
    shelf = world(a={"1": [], "2": Release(yanked="broken")}, b={"1": ["a==2"]})
    assert pins(request("a"), shelf) == {"a": "1"}
    lock = run(request("a==2"), shelf).lock
    assert lock.warnings == ("a 2 is yanked: broken",)
    assert pins(request("a==2", preset="uv"), shelf) == {"a": "2"}
    assert pins(request("b"), shelf) == {"b": "1", "a": "2"}
    assert "yanked" in story(refused(request("b", preset="uv"), shelf).explanation)
    assert "yanked" in story(refused(request("a>=2"), shelf).explanation)
    assert "yanked" in story(refused(request("a==2.*"), shelf).explanation)


def test_a_release_with_one_good_file_is_not_yanked() -> None:
    good = universe("a", {"1": Release(sdist=True)})
    files = tuple(replace(file, yanked="bad") if file.kind == "wheel" else file for file in good.listing.files)
    from venvery.resolve import Universe

    mixed = Universe(replace(good.listing, files=files))
    for old, new in zip(good.listing.files, files, strict=True):
        told = good.metadata(old)
        assert told is not None
        mixed.set_metadata(new, told)
    shelf = MemoryShelf()
    shelf.put(mixed)
    (pin,) = run(request("a"), shelf).lock.pins
    assert [file.kind for file in pin.files] == ["sdist"]


# ---------------------------------------------------------------------- metadata that is not there, or wrong


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (NoMetadata("its metadata cannot be read"), "a 2 cannot be used: its metadata cannot be read"),
        (NoMetadata("only building can tell", needs_build=True), "a 2 cannot be used: only building can tell"),
        (
            CoreMetadata(normalize("a"), parse_version("2"), requires_dist=("b=>1",)),
            "a dependency that does not parse: 'b=>1'",
        ),
        (CoreMetadata(normalize("z"), parse_version("2")), "its metadata says that it is z 2"),
        (CoreMetadata(normalize("a"), parse_version("3")), "its metadata says that it is a 3"),
        (
            CoreMetadata(normalize("a"), parse_version("2"), requires_dist=("b @ https://evil.test/b.whl",)),
            "it depends on b by URL",
        ),
    ],
)
def test_a_version_without_usable_metadata_is_out(told: CoreMetadata | NoMetadata, words: str) -> None:
    shelf = world(a={"1": [], "2": Release(metadata=told)})
    assert pins(request("a"), shelf) == {"a": "1"}
    assert words in story(refused(request("a>=2"), shelf).explanation)


def test_a_url_that_a_marker_leaves_out_does_no_harm() -> None:
    shelf = world(a={"1": ["b @ https://evil.test/b.whl ; sys_platform == 'win32'"]})
    assert pins(request("a"), shelf) == {"a": "1"}


def test_a_url_in_an_extra_rules_the_version_out_for_that_extra_only() -> None:
    told = CoreMetadata(
        normalize("a"),
        parse_version("2"),
        requires_dist=("b @ https://evil.test/b.whl ; extra == 'x'",),
        provides_extra=(normalize("x"),),
    )
    shelf = world(a={"1": Release(extras={"x": []}), "2": Release(metadata=told)})
    assert pins(request("a"), shelf) == {"a": "2"}
    assert pins(request("a[x]"), shelf) == {"a": "1"}


def test_a_url_in_the_request_is_not_for_the_solver() -> None:
    with pytest.raises(UrlNotAllowed):
        run(request("a @ https://index.test/a-1-py3-none-any.whl"), world())


def test_foreign_wheels_lend_their_metadata_to_a_source_distribution() -> None:
    shelf = world(a={"1": Release(requires=["b"], tags=["cp312-cp312-win_amd64"], sdist=True)}, b={"1": []})
    lock = run(request("a"), shelf).lock
    assert [file.kind for file in lock.pins[0].files] == ["sdist"]
    assert [pin.project for pin in lock.pins] == ["a", "b"]


# ---------------------------------------------------------------------- constraints, overrides, excludes


def test_constraints_bound_without_asking() -> None:
    shelf = world(a={"1": [], "2": []}, b={"1": []})
    assert pins(request("a", constraints=["a<2", "b<1"]), shelf) == {"a": "1"}
    assert pins(request("a", constraints=["a<2 ; sys_platform == 'win32'"]), shelf) == {"a": "2"}
    no = refused(request("a>=2", constraints=["a<2"]), shelf)
    assert "you allow only a<2" in story(no.explanation)


def test_overrides_replace_what_anybody_says() -> None:
    shelf = world(a={"1": ["b<2"]}, b={"1": [], "2": []})
    assert pins(request("a", "b<2", overrides=["b>=2"]), shelf) == {"a": "1", "b": "2"}
    assert pins(request("a", overrides=["b ; sys_platform == 'win32'"]), shelf) == {"a": "1"}


def test_excludes_leave_projects_out() -> None:
    shelf = world(a={"1": ["b", "c"]}, c={"1": []})
    lock = run(request("a", excludes=frozenset({normalize("b")})), shelf).lock
    assert [pin.project for pin in lock.pins] == ["a", "c"]
    assert [edge.project for edge in lock.pins[0].edges] == ["c"]


# ---------------------------------------------------------------------- strategies, preferences


def test_lowest_versions() -> None:
    shelf = world(a={"1": ["b>=2"], "2": ["b>=2"]}, b={"1": [], "2": [], "3": []})
    assert pins(request("a", strategy="lowest"), shelf) == {"a": "1", "b": "2"}
    assert pins(request("a", strategy="lowest-direct"), shelf) == {"a": "1", "b": "3"}


def test_preferences_are_kept_where_they_fit() -> None:
    shelf = world(a={"1": [], "2": []}, b={"1": [], "2": []}, c={"1": ["b>=2"]})
    held = tuple((normalize(name), parse_version("1")) for name in ("a", "b", "gone"))
    asked = request("a", "b", preferences=held, upgrade=NameSet())
    assert pins(asked, shelf) == {"a": "1", "b": "1"}
    assert pins(replace(asked, options=replace(asked.options, upgrade=only("a"))), shelf) == {"a": "2", "b": "1"}
    assert pins(replace(asked, options=replace(asked.options, upgrade=EVERY)), shelf) == {"a": "2", "b": "2"}
    more = request("a", "b", "c", preferences=held, upgrade=NameSet())
    assert pins(more, shelf) == {"a": "1", "b": "2", "c": "1"}


@pytest.mark.parametrize("preset", ["pip", "uv"])
def test_a_lock_may_hold_yanked_releases_and_prereleases(preset: str) -> None:
    shelf = world(a={"1": Release(yanked="x"), "2": []}, b={"1": [], "2b1": [], "3": []})
    held = ((normalize("a"), parse_version("1")), (normalize("b"), parse_version("2b1")))
    asked = request("a", "b", preset=preset, preferences=held, upgrade=NameSet())
    assert pins(asked, shelf) == {"a": "1", "b": "2b1"}


# ---------------------------------------------------------------------- several targets


def test_targets_share_a_version_where_one_serves_all() -> None:
    shelf = world(a={"1": [], "2": Release(requires_python=">=3.10")})
    (pin,) = run(request("a", targets=[LINUX, OLD]), shelf).lock.pins
    assert (str(pin.version), pin.targets) == ("1", (0, 1))


def test_targets_have_versions_of_their_own_where_none_serves_all() -> None:
    shelf = world(a={"1": Release(requires_python="<3.10"), "2": Release(requires_python=">=3.10")})
    lock = run(request("a", targets=[LINUX, OLD]), shelf).lock
    assert [(str(pin.version), pin.targets) for pin in lock.pins] == [("1", (1,)), ("2", (0,))]


def test_a_later_target_can_pull_an_earlier_one_along() -> None:
    shelf = world(a={"1": [], "2": ["b>=2"]}, b={"1": [], "2": Release(requires_python=">=3.10")})
    lock = run(request("a", targets=[LINUX, OLD]), shelf).lock
    assert [(pin.project, str(pin.version), pin.targets) for pin in lock.pins] == [("a", "1", (0, 1))]


def test_pins_and_edges_tell_the_targets_that_they_hold_on() -> None:
    shelf = world(a={"1": ["b ; sys_platform == 'win32'", "c"]}, b={"1": []}, c={"1": []})
    lock = run(request("a", targets=[LINUX, WINDOWS]), shelf).lock
    assert [(pin.project, pin.targets, pin.requested) for pin in lock.pins] == [
        ("a", (0, 1), True),
        ("b", (1,), False),
        ("c", (0, 1), False),
    ]
    assert lock.pins[0].edges == (
        Edge(normalize("b"), "b ; sys_platform == 'win32'", (1,)),
        Edge(normalize("c"), "c", (0, 1)),
    )


def test_files_of_a_shared_pin_serve_all_its_targets() -> None:
    tags = ["cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-win_amd64", "cp312-cp312-macosx_11_0_arm64"]
    lock = run(request("a", targets=[LINUX, WINDOWS]), world(a={"1": Release(tags=tags)})).lock
    assert [file.tag for file in lock.pins[0].files] == tags[:2]
    assert lock.wheel_for(lock.pins[0], 1).tag == tags[1]


def test_the_explanation_names_the_target_that_fails() -> None:
    shelf = world(a={"1": Release(requires_python=">=3.10")})
    no = refused(request("a", targets=[LINUX, OLD]), shelf)
    assert str(no).startswith("Python 3.9.0 on linux-x86_64: ")


# ---------------------------------------------------------------------- what the answer rests on


def test_the_footprint_names_everything_that_was_looked_at() -> None:
    shelf = world(a={"1": ["b<2"], "2": ["c==5"]}, b={"1": []}, c={"1": []}, d={"1": []})
    resolution = run(request("a"), shelf)
    assert sorted(resolution.footprint) == ["a", "b", "c"]
    assert resolution.footprint[normalize("c")] == shelf.universes[normalize("c")].listing.revision


def test_the_policies_are_told() -> None:
    told = run(request("a"), world(a={"1": []})).lock.policies
    assert told[0] == "preset=pip"
    assert "yanked=any-pin" in told


def test_a_search_without_end_hits_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver_module, "MAX_TRIES", 2)
    with pytest.raises(LimitExceeded):
        run(request("a", "b", "c"), world(a={"1": []}, b={"1": []}, c={"1": []}))


def test_a_better_version_that_could_not_be_looked_at_is_told_of() -> None:
    shelf = world(
        a={"1": [], "2": Release(metadata=NoMetadata("too old")), "3": Release(metadata=NoMetadata("no PKG-INFO"))}
    )
    assert run(request("a"), shelf).lock.warnings == ("a 3 was passed over: no PKG-INFO",)
    assert run(request("a<3"), shelf).lock.warnings == ("a 2 was passed over: too old",)
    assert run(request("a<2"), shelf).lock.warnings == ()


def test_what_one_target_may_take_is_no_leave_for_another() -> None:
    shelf = world(a={"1": [], "2rc1": []}, b={"1": ["a==2rc1"]})
    asked = request("a", "b ; sys_platform == 'win32'", targets=[WINDOWS, LINUX])
    lock = run(asked, shelf).lock
    assert [(pin.project, str(pin.version), pin.targets) for pin in lock.pins] == [
        ("a", "1", (1,)),
        ("a", "2rc1", (0,)),
        ("b", "1", (0,)),
    ]


# ---------------------------------------------------------------------- asking


def test_a_driver_that_gives_nothing_is_told_so() -> None:
    steps = solve(request("a"), MemoryShelf())
    assert next(steps).listings == ("a",)
    with pytest.raises(RuntimeError, match="without giving what was asked for"):
        steps.send(None)


def test_with_everything_at_hand_it_asks_for_nothing() -> None:
    steps = solve(request("a"), world(a={"1": ["b"]}, b={"1": []}))
    with pytest.raises(StopIteration):
        next(steps)
