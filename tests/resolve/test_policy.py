"""The administrator's policy on releases, and projects that are to come from one source."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from packaging.specifiers import SpecifierSet

from tests.resolve.test_explain import told
from tests.resolve.worlds import Release, request, run, universe, world
from venvery.errors import Unsatisfiable
from venvery.model.names import normalize
from venvery.model.policy import ReleasePolicy, parse_rule
from venvery.model.requests import ResolveRequest
from venvery.model.sources import DIRECT
from venvery.resolve import MemoryShelf, Resolution, Universe

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def under(asked: ResolveRequest, *blocked: str, now: datetime = NOW, **policy: object) -> ResolveRequest:
    made = ReleasePolicy(blocked=tuple(map(parse_rule, blocked)), **policy)  # type: ignore[arg-type]
    return replace(asked, policy=made, asked_at=now)


def taken(resolution: Resolution) -> dict[str, str]:
    return {str(pin.project): str(pin.version) for pin in resolution.lock.pins}


def test_blocked_releases_are_passed_over() -> None:
    shelf = world(a={"1": ["b"], "2": ["b"]}, b={"1": [], "2": [], "3": []})
    assert taken(run(under(request("a"), "b>=2", "a==2"), shelf)) == {"a": "1", "b": "1"}


def test_what_is_blocked_is_told() -> None:
    shelf = world(a={"1": ["evil>=2"]}, evil={"1": [], "2": [], "3": []})
    asked = under(request("a"))
    rule = replace(parse_rule("ev*>=2"), reason="CVE-2026-1")
    asked = replace(asked, policy=ReleasePolicy(blocked=(rule,)))
    assert told(asked, shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
  - a 1 depends on evil>=2
    - evil 2 and 3 are blocked by the administrator (CVE-2026-1)
hint: ask the administrator about evil\
""")


def test_what_is_not_allowed_is_told() -> None:
    shelf = world(a={"1": ["b"]}, b={"1": []})
    allowed = (parse_rule("a"),)
    assert told(under(request("a"), allowed=allowed), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
  - a 1 depends on b
    - b 1 is not among the releases that the administrator allows
hint: ask the administrator about b\
""")
    assert taken(run(under(request("a"), allowed=(*allowed, parse_rule("b<2"))), shelf)) == {"a": "1", "b": "1"}


def test_what_is_too_new_is_told() -> None:
    shelf = world(a={"1": Release(uploaded=NOW - 2 * DAY), "2": Release(uploaded=NOW - DAY)})
    assert told(under(request("a"), cool_down=7 * DAY), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
    - every version of a is too new: the cool-down is 7 days
hint: wait until 2026-11-25 12:00 UTC, or ask the administrator to exempt a from the cool-down\
""")


def test_a_release_ripens() -> None:
    shelf = world(
        a={"1": Release(["b"], uploaded=NOW - 30 * DAY), "2": Release(["b"], uploaded=NOW - 3 * DAY)},
        b={"1": Release(uploaded=NOW - 30 * DAY), "2": Release(uploaded=NOW - 5 * DAY)},
        acme_c={"1": Release(uploaded=NOW - 30 * DAY), "2": Release(uploaded=NOW)},
    )
    policy = {"cool_down": 7 * DAY, "cool_down_exempt": ("acme-*",)}
    first = run(under(request("a", "acme-c"), **policy), shelf)  # type: ignore[arg-type]
    assert (taken(first), first.ends_at) == ({"a": "1", "acme-c": "2", "b": "1"}, NOW + 2 * DAY)
    just_before = NOW + 2 * DAY - timedelta(seconds=1)
    assert taken(run(under(request("a", "acme-c"), now=just_before, **policy), shelf)) == taken(first)  # type: ignore[arg-type]
    second = run(under(request("a", "acme-c"), now=NOW + 2 * DAY, **policy), shelf)  # type: ignore[arg-type]
    assert (taken(second), second.ends_at) == ({"a": "1", "acme-c": "2", "b": "2"}, NOW + 4 * DAY)
    third = run(under(request("a", "acme-c"), now=NOW + 4 * DAY, **policy), shelf)  # type: ignore[arg-type]
    assert (taken(third), third.ends_at) == ({"a": "2", "acme-c": "2", "b": "2"}, None)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 40), st.integers(1, 20))
def test_an_answer_holds_until_it_says(ages: list[int], later: int, span: int) -> None:
    """Whatever the releases' ages: between now and `ends_at` asking again gives the same, never longer."""
    shelf = MemoryShelf()
    releases = {str(n): Release(uploaded=NOW - age * DAY) for n, age in enumerate(ages, 1)}
    shelf.put(universe("a", {"0": Release(uploaded=NOW - 999 * DAY), **releases}))
    first = run(under(request("a"), cool_down=span * DAY), shelf)
    ripe = [n for n, age in enumerate(ages, 1) if age >= span]
    assert taken(first) == {"a": str(max([0, *ripe]))}
    again = run(under(request("a"), now=NOW + later * DAY, cool_down=span * DAY), shelf)
    if first.ends_at is None or NOW + later * DAY < first.ends_at:
        assert taken(again) == taken(first)
    if first.ends_at is not None:
        assert any(NOW - age * DAY + span * DAY == first.ends_at for age in ages)


@given(st.lists(st.sampled_from(["==2", "<3", ">=4", "!=1", "~=2.1", "==3.*"]), max_size=3), st.booleans())
def test_policies_are_masks(specifiers: list[str], allow: bool) -> None:
    """What may be taken is exactly what `packaging` says that the rules leave."""
    versions = ["1", "2", "2.1", "2.2", "3", "3.1rc1", "4"]
    shelf = world(a={version: [] for version in versions})
    rules = tuple(parse_rule(f"a{specifier}") for specifier in specifiers)
    policy = ReleasePolicy(allowed=rules) if allow else ReleasePolicy(blocked=rules)
    for version in versions:
        matched = any(SpecifierSet(one).contains(version, prereleases=True) for one in specifiers)
        asked = replace(request(f"a=={version}"), policy=policy)
        if matched is allow:
            assert taken(run(asked, shelf)) == {"a": version}
        else:
            with pytest.raises(Unsatisfiable):
                run(asked, shelf)


def from_two(project: str) -> Universe:
    """Make a project of which one source has 1 and 2, another 3."""
    made = universe(project, {"1": Release(), "2": Release(), "3": Release()})
    files = tuple(replace(f, source="inside" if str(f.version) < "3" else "outside") for f in made.listing.files)
    return _with_files(made, files)


def _with_files(made: Universe, files: tuple[object, ...]) -> Universe:
    changed = Universe(replace(made.listing, files=files))  # type: ignore[arg-type]
    for before, after in zip(made.listing.files, changed.listing.files, strict=True):
        metadata = made.metadata(before)
        assert metadata is not None
        changed.set_metadata(after, metadata)
    return changed


def test_a_project_may_come_from_one_source_only() -> None:
    shelf = MemoryShelf()
    shelf.put(from_two("a"))
    assert taken(run(request("a"), shelf)) == {"a": "3"}
    assert taken(run(request("a", sources=((normalize("a"), "inside"),)), shelf)) == {"a": "2"}
    assert told(request("a>2", sources=((normalize("a"), "inside"),)), shelf) == snapshot("""\
a>2 cannot be satisfied
  - you ask for a>2
    - a 3 is only in outside, and a is to come from inside
hint: let a come from any source\
""")


def test_a_file_that_is_named_by_url_has_no_age() -> None:
    made = universe("a", {"1": Release()})
    files = tuple(replace(file, source=DIRECT) for file in made.listing.files)
    shelf = MemoryShelf({normalize("a"): _with_files(made, files)})
    asked = under(request("a", exclude_newer=NOW), cool_down=DAY)
    assert taken(run(asked, shelf)) == {"a": "1"}
    with pytest.raises(Unsatisfiable):
        run(under(request("a"), "a"), shelf)


def test_an_upper_bound_names_a_pre_release_too() -> None:
    shelf = world(a={"1": ["b<2.0.dev0"]}, b={"1.0": [], "1.5rc1": [], "2.0": []})
    assert taken(run(request("a"), shelf)) == {"a": "1", "b": "1.5rc1"}
    assert taken(run(request("a", preset="uv"), shelf)) == {"a": "1", "b": "1.0"}
    assert taken(run(request("a", prereleases="disallow"), shelf)) == {"a": "1", "b": "1.0"}


def test_the_lock_says_what_was_ruled() -> None:
    rules = (parse_rule("a"),)
    asked = under(request("a"), "evil", "b<1", allowed=rules, cool_down=7 * DAY)
    said = run(asked, world(a={"1": Release(uploaded=NOW - 30 * DAY)})).lock.policies
    assert said[0] == "preset=pip"
    assert said[-3:] == ("blocked=2 rules", "allowed=1 rules", "cool-down=7 days")
