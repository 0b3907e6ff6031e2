"""The words for "no"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from inline_snapshot import snapshot
from packaging.requirements import Requirement

from tests.resolve.brute_force import Entry
from tests.resolve.test_brute_force import MIXED, _shelf, _worlds
from tests.resolve.worlds import Release, request, run, world
from venvery.errors import Unsatisfiable
from venvery.model.requests import EVERY, ResolveRequest
from venvery.model.requirements import parse_requirement
from venvery.resolve import MemoryShelf, story


def told(asked: ResolveRequest, shelf: MemoryShelf) -> str:
    with pytest.raises(Unsatisfiable) as caught:
        run(asked, shelf)
    assert str(caught.value) == caught.value.explanation["says"]
    text = story(caught.value.explanation)
    return f"{text}\nhint: {caught.value.hint}" if caught.value.hint else text


def test_two_requirements_clash_through_a_chain() -> None:
    shelf = world(
        web={"1": ["core<2"], "2": ["core>=2"]},
        core={"1": [], "2": ["base>=5"], "3": ["base>=5"]},
        base={"4": [], "5": []},
    )
    asked = request("web", "base")
    asked = replace(
        asked,
        requirements=(
            parse_requirement("web>=2", origin="requirements.txt", line=1),
            parse_requirement("base<5", origin="requirements.txt", line=4),
        ),
    )
    assert told(asked, shelf) == snapshot("""\
web>=2 (requirements.txt:1) and base<5 (requirements.txt:4) cannot be satisfied together
  - you ask for web>=2 (requirements.txt:1)
  - you ask for base<5 (requirements.txt:4)
  - web 2 depends on core>=2
  - core>=2 depends on base>=5\
""")


def test_a_version_that_does_not_exist() -> None:
    assert told(request("a>=2"), world(a={"1": [], "1.1": []})) == snapshot("""\
a>=2 cannot be satisfied
  - you ask for a>=2
    - there is no a>=2, only 1 and 1.1\
""")


def test_a_project_that_does_not_exist() -> None:
    assert told(request("nmpy"), world()) == snapshot("""\
no source has a project named nmpy
  - you ask for nmpy
    - no source has a project named nmpy\
""")
    assert told(request("a"), world(a={"1": ["gone>1"]})) == snapshot("""\
no source has a project named gone
  - you ask for a
  - a 1 depends on gone>1
    - no source has a project named gone\
""")


def test_a_python_that_is_too_old() -> None:
    shelf = world(a={str(n): Release(requires_python=">=3.13") for n in range(1, 9)})
    assert told(request("a"), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
    - every version of a is for Python >=3.13, and this is Python 3.12.0
hint: choose another Python\
""")


def test_only_a_source_distribution() -> None:
    shelf = world(a={"1": Release(tags=["cp312-cp312-win_amd64"], sdist=True)})
    assert told(request("a", only_binary=EVERY), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
    - a 1 is without a wheel for Python 3.12.0 on linux-x86_64, and source distributions are not allowed for it
hint: allow source distributions of a\
""")


def test_only_a_yanked_release() -> None:
    assert told(request("a>1"), world(a={"1": [], "2": Release(yanked="CVE")})) == snapshot("""\
a>1 cannot be satisfied
  - you ask for a>1
  - a 2 is yanked, and nobody asks for it with ==
hint: pin a with == to take a yanked release\
""")
    assert told(request("a>1", preset="uv"), world(a={"1": [], "2": Release(yanked="CVE")})) == snapshot("""\
a>1 cannot be satisfied
  - you ask for a>1
    - a 2 is yanked (CVE)
hint: ask for the yanked release of a with ==\
""")


def test_a_constraint() -> None:
    shelf = world(a={"1": ["b>=2"]}, b={"1": [], "2": [], "3": []})
    assert told(request("a", constraints=["b<2"]), shelf) == snapshot("""\
a and b<2 cannot be satisfied together
  - you ask for a
  - you allow only b<2 as a constraint
  - a 1 depends on b>=2\
""")


def test_an_extra() -> None:
    shelf = world(a={"1": Release(extras={"x": ["b==2"]})}, b={"1": [], "2": []})
    assert told(request("a[x]", "b<2"), shelf) == snapshot("""\
a[x] and b<2 cannot be satisfied together
  - you ask for a[x]
  - you ask for b<2
  - the extra x of a 1 depends on b==2\
""")


def test_an_override() -> None:
    shelf = world(a={"1": ["b"]}, b={"1": []})
    assert told(request("a", "b", overrides=["b>=2"]), shelf) == snapshot("""\
b cannot be satisfied
  - you ask for b, which is overridden by b>=2
    - there is no b>=2, only 1\
""")


def test_a_long_walk_is_told_in_few_sentences() -> None:
    shelf = world(
        a={f"1.{n}": [f"b>=1.{n}", "c"] for n in range(60)},
        b={f"1.{n}": ["d<2" if n % 2 else "d<1.5"] for n in range(70)},
        c={"1": ["d>=2"]},
        d={"1": [], "1.5": [], "2": [], "3": []},
    )
    text = told(request("a"), shelf)
    assert text == snapshot("""\
a cannot be satisfied
  - you ask for a
  - every version of a depends on b, each in its own way: b>=1.0 (the oldest) to b>=1.59 (the newest)
  - every version of a depends on c
  - 35 versions of b (1.0 … 1.68) depend on d<1.5
  - 35 versions of b (1.1 … 1.69) depend on d<2
  - c 1 depends on d>=2\
""")
    assert text.count("\n") < 12


def test_many_branches_come_with_conclusions_in_between() -> None:
    shelf = world(
        **{f"top{n}": {"1": [f"mid{n}"], "2": [f"mid{n}"]} for n in range(4)},
        **{f"mid{n}": {"1": [f"low{n}==1"], "2": [f"low{n}==2"]} for n in range(4)},
        **{f"low{n}": {"1": ["base==1"], "2": ["base==2"], "3": []} for n in range(4)},
        base={"1": ["top0==2", "end<1"], "2": ["top1==2", "end<1"]},
        end={"1": []},
    )
    text = told(request("top0", "top1", "top2", "top3"), shelf)
    assert text == snapshot("""\
top0 cannot be satisfied
  - you ask for top0
  - every version of top0 depends on mid0
  - mid0 2 depends on low0==2
  - mid0 1 depends on low0==1
  - low0 2 depends on base==2
  - low0 1 depends on base==1
  - every version of base depends on end<1
    - there is no end<1, only 1\
""")


# ---------------------------------------------------------------------- the leaves


@given(_worlds(MIXED, yanked=True))
@settings(max_examples=80, deadline=None)
def test_the_leaves_are_facts_of_the_input(drawn: Any) -> None:
    entries, roots = drawn
    try:
        run(request(*roots), _shelf(entries))
    except Unsatisfiable as no:
        leaves = list(_facts(no.explanation))
        assert leaves
        for fact in leaves:
            _check(fact, entries, [str(Requirement(root)) for root in roots])


def _facts(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    assert node["says"]
    if "fact" in node:
        yield node["fact"]
    else:
        assert node.get("because") or node["says"].startswith("…") or "as told above" in node["says"]
    for child in node.get("because", ()):
        yield from _facts(child)


def _check(fact: dict[str, Any], world: dict[str, dict[str, Entry]], roots: list[str]) -> None:
    kind = fact["kind"]
    if kind == "requested":
        assert fact["requirement"] in roots
    elif kind in ("requires", "requires-each"):
        for told in fact.get("requirements", [fact]):
            for version in told["versions"]:
                entry = world[fact["project"]][version]
                extra = fact.get("extra")
                stated = entry.requires if extra is None else entry.extras[extra]
                assert told["requirement"].partition(";")[0].strip() in stated
    elif kind == "unknown":
        assert fact["project"] not in world
    elif kind == "no-such-version":
        wanted = Requirement(fact["project"] + fact["specifier"]).specifier
        assert not any(wanted.contains(v, prereleases=True) for v in world[fact["project"]])
    elif kind == "yanked":
        assert all(world[fact["project"]][version].yanked for version in fact["versions"])
    elif kind == "prerelease":
        assert all(version in world[fact["project"]] for version in fact["versions"])
    else:
        raise AssertionError(kind)


def test_what_would_not_help_is_not_told() -> None:
    shelf = world(
        a={"1": ["b<3"]},
        b={
            "1": Release(tags=["cp39-cp39-win_amd64"]),
            "2": [],
            "4": [],
            "5": Release(requires_python=">=3.13"),
        },
    )
    assert told(request("a", "b>=4"), shelf) == snapshot("""\
a and b>=4 cannot be satisfied together
  - you ask for a
  - you ask for b>=4
  - a 1 depends on b<3\
""")
    assert told(request("b>4"), shelf) == snapshot("""\
b>4 cannot be satisfied
  - you ask for b>4
    - b 5 is for Python >=3.13, and this is Python 3.12.0
hint: choose another Python\
""")
    assert told(request("b>4", "b<9"), shelf) == snapshot("""\
b>4 cannot be satisfied
  - you ask for b>4
    - b 5 is for Python >=3.13, and this is Python 3.12.0
hint: choose another Python\
""")


def test_what_the_wheels_are_for() -> None:
    tags = [f"cp{minor}-cp{minor}-{platform}" for minor in (37, 38) for platform in ("linux_x86_64", "win_amd64")]
    shelf = world(
        a={"1": Release(tags=tags)},
        b={"1": Release(tags=["cp312-cp312-win_amd64", "cp312-cp312-macosx_11_0_arm64"])},
    )
    assert told(request("a"), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
    - a 1 is without a wheel for Python 3.12.0 on linux-x86_64 (it has some for Python 3.7 and 3.8)
hint: choose Python 3.8\
""")
    assert told(request("b"), shelf) == snapshot("""\
b cannot be satisfied
  - you ask for b
    - b 1 is without a wheel for Python 3.12.0 on linux-x86_64 (it has some for Windows and macOS)
hint: choose another target\
""")


def test_a_project_that_does_not_exist_is_one_of_several_reasons() -> None:
    shelf = world(a={"1": ["b<2"], "2": ["gone"]}, b={"1": [], "2": []})
    assert told(request("a", "b>=2"), shelf) == snapshot("""\
a and b>=2 cannot be satisfied together
  - you ask for a
  - you ask for b>=2
  - a 1 depends on b<2
  - a 2 depends on gone
    - no source has a project named gone\
""")


def test_each_version_depends_in_its_own_way() -> None:
    shelf = world(
        a={f"1.{n}": [f"b==1.{n}.*"] for n in range(10, 30)},
        b={f"1.{n}": [] for n in range(5, 40)},
    )
    assert told(request("a", "b<1.8"), shelf) == snapshot("""\
a and b<1.8 cannot be satisfied together
  - you ask for a
  - you ask for b<1.8
  - every version of a depends on b, each in its own way: b==1.10.* (the oldest) to b==1.29.* (the newest)\
""")


def test_a_dependency_is_overridden() -> None:
    shelf = world(a={"1": ["b<2"]}, b={"1": [], "2": []})
    assert told(request("a", overrides=["b>2"]), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
  - a 1 depends on b, which is overridden by b>2
    - there is no b>2, only 1 and 2\
""")


def test_the_closest_versions_to_a_pin_are_named() -> None:
    shelf = world(a={**{f"2.{n}": [] for n in range(20)}, "2.20rc1": [], "3.0": []})
    assert told(request("a==2.20"), shelf) == snapshot("""\
a==2.20 cannot be satisfied
  - you ask for a==2.20
    - there is no a==2.20; the closest of its 22 versions are 2.19 and 3.0\
""")
    assert told(request("a==2.5+cpu"), shelf) == snapshot("""\
a==2.5+cpu cannot be satisfied
  - you ask for a==2.5+cpu
    - there is no a==2.5+cpu; the closest of its 22 versions are 2.5 and 2.6\
""")
    assert told(request("a==9"), shelf) == snapshot("""\
a==9 cannot be satisfied
  - you ask for a==9
    - there is no a==9; the closest of its 22 versions is 3.0\
""")
    assert told(request("a==9.*"), shelf) == snapshot("""\
a==9.* cannot be satisfied
  - you ask for a==9.*
    - there is no a==9.*, only 22 versions from 2.0 to 3.0\
""")


def test_nothing_is_told_twice_and_no_hint_leads_nowhere() -> None:
    out = {f"1.{n}": Release(requires_python=">=3.13") for n in range(3)}
    shelf = world(
        a={"1": ["c<2"], "2": ["c<2", "d"], "3rc1": ["c<2"]},
        c={**out, "2": []},
        d={"1": ["c<2"]},
    )
    assert told(request("a", "c"), shelf) == snapshot("""\
a cannot be satisfied
  - you ask for a
  - every version of a depends on c<2
    - c 1.0, 1.1 and 1.2 are for Python >=3.13, and this is Python 3.12.0
hint: choose another Python\
""")


def test_a_note_is_told_once_in_a_long_story() -> None:
    old = {str(n): Release(requires_python=">=3.13") for n in range(1, 5)}
    shelf = world(
        a={str(n): [f"b{n}"] for n in range(1, 13)},
        d={**old, "5": []},
        **{f"b{n}": {"1": ["d>=1" if n % 2 else "d<9"]} for n in range(1, 13)},
    )
    text = told(request("a", constraints=["d<5"]), shelf)
    assert text.count("d 1 to 4 are for Python >=3.13, and this is Python 3.12.0") == 1
    assert text.endswith("hint: choose another Python")
