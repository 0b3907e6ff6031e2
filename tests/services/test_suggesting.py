"""What is said of names that are not found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from tests.catalog.opened import of
from tests.services.opening import TARGET, Opened, ask, in_house
from tests.support.index_server import IndexServer
from tests.support.wheels import make_wheel
from venvery.errors import Unsatisfiable
from venvery.model.sources import SourceSpec
from venvery.resolve import story
from venvery.services.suggesting import closest

ServeIndex = Callable[..., IndexServer]
NAMES = ["numpy", "pandas", "acme-billing", "python-dateutil", "requests", "django"]


def told(data: Path, sources: Sequence[SourceSpec], *requirements: str, union: str = "merge") -> str:
    async def work(opened: Opened) -> str:
        with pytest.raises(Unsatisfiable) as caught:
            await ask(opened, {"requirements": list(requirements), "target": TARGET})
        return f"{story(caught.value.explanation)}\nhint: {caught.value.hint}"

    return in_house(data, sources, work, union=union)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("nmpy", ["numpy"]),
        ("reqeusts", ["requests"]),
        ("acme_biling", ["acme-billing"]),
        ("acmebilling", ["acme-billing"]),
        ("dateutil", ["python-dateutil"]),
        ("pandsa", ["pandas"]),
        ("kubernetes", []),
        ("x", []),
    ],
)
def test_the_closest_names(typed: str, meant: list[str]) -> None:
    assert closest(typed.replace("_", "-"), NAMES) == meant


@given(st.sampled_from([name for name in NAMES if len(name) > 5]), st.data())
def test_one_slip_of_the_finger_is_seen_through(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 2))
    slips = [
        name[:place] + name[place + 1 :],
        name[:place] + name[place] + name[place:],
        name[:place] + name[place + 1] + name[place] + name[place + 2 :],
    ]
    typed = data.draw(st.sampled_from(slips)).strip("-")
    assert typed == name or closest(typed, NAMES)[0] == name


def test_a_name_is_mistyped(serve_index: ServeIndex, data_dir: Path) -> None:
    index = serve_index([make_wheel("numpy", "2"), make_wheel("acme-billing", "1")])
    assert told(data_dir, [of(index)], "nmpy") == snapshot("""\
no source has a project named nmpy
  - you ask for nmpy
    - no source has a project named nmpy
hint: did you mean numpy?\
""")
    assert told(data_dir, [of(index)], "acme-biling") == snapshot("""\
no source has a project named acme-biling
  - you ask for acme-biling
    - no source has a project named acme-biling
hint: did you mean acme-billing?\
""")


def test_the_name_of_a_module_is_not_that_of_its_project(serve_index: ServeIndex, data_dir: Path) -> None:
    index = serve_index([make_wheel("opencv-python", "4")])
    assert told(data_dir, [of(index)], "cv2") == snapshot("""\
no source has a project named cv2
  - you ask for cv2
    - no source has a project named cv2
hint: did you mean opencv-python?\
""")
    assert told(data_dir, [of(index)], "sklearn") == snapshot("""\
no source has a project named sklearn
  - you ask for sklearn
    - no source has a project named sklearn
hint: None\
""")


def test_an_index_that_is_large_or_does_not_say_is_not_listed(
    serve_index: ServeIndex, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = serve_index([make_wheel("acme-billing", "1")])
    with monkeypatch.context() as patched:
        patched.setattr("venvery.catalog.sources.index._SHORT", 20)
        assert "did you mean" not in told(data_dir, [of(index)], "acme-biling")
    index.fault("/simple/", "status", status=404)
    assert "did you mean" not in told(data_dir, [of(index)], "acme-biling")


def test_the_name_is_in_another_source_only(serve_index: ServeIndex, data_dir: Path) -> None:
    public = serve_index([make_wheel("acme-web", "6.6"), make_wheel("web", "1")])
    private = SourceSpec("private", "index", of(serve_index([make_wheel("x", "1")])).location, ("acme-*",))
    assert told(data_dir, [of(public, "public"), private], "acme-web") == snapshot("""\
no source has a project named acme-web
  - you ask for acme-web
    - no source has a project named acme-web
      - private is the source for this name; it is not looked up in public
hint: None\
""")
    assert not [one for one in public.requests if "acme" in one.path]


def test_the_version_is_in_another_source_only(serve_index: ServeIndex, data_dir: Path) -> None:
    first = of(serve_index([make_wheel("web", "1")]), "private")
    second = of(serve_index([make_wheel("web", "2")]), "public")
    assert told(data_dir, [first, second], "web>=2", union="priority") == snapshot("""\
web>=2 cannot be satisfied
  - you ask for web>=2
    - there is no web>=2, only 1
      - private is the source for this name; it is not looked up in public
hint: None\
""")
