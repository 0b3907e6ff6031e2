"""The judge of the differential benchmark must find each kind of wrong answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from check_answer import Place, faults
from frozen_index import FrozenIndex, Recording

PLACE = Place("3.11.7", "linux-x86_64")
ASKED = ["web[fast]>=1", 'winonly ; sys_platform == "win32"']
GOOD = {"web": "1.0", "core": "2.0", "speed": "1.0"}


def metadata(name: str, version: str, *lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])


@pytest.fixture(scope="module")
def index() -> FrozenIndex:
    wheels = {
        "web-1.0-py3-none-any.whl": metadata(
            "web",
            "1.0",
            "Requires-Dist: core>=2",
            "Requires-Dist: speed ; extra == 'fast'",
            "Provides-Extra: fast",
        ),
        "core-1.0-py3-none-any.whl": metadata("core", "1.0"),
        "core-2.0-cp311-cp311-manylinux_2_17_x86_64.whl": metadata("core", "2.0"),
        "core-2.1-cp312-cp312-manylinux_2_17_x86_64.whl": metadata("core", "2.1"),
        "core-3.0-py3-none-any.whl": metadata("core", "3.0", "Requires-Python: >=3.12"),
        "core-4.0-py3-none-any.whl": metadata("core", "4.0"),
        "core-5.0rc1-py3-none-any.whl": metadata("core", "5.0rc1"),
        "speed-1.0-py3-none-any.whl": metadata("speed", "1.0"),
    }
    recording = Recording("2026-11-20T00:00:00+00:00", metadata=dict(wheels))
    for filename in wheels:
        yanked = "broken" if "4.0" in filename else None
        page = recording.pages.setdefault(filename.split("-")[0], [])
        assert page is not None
        page.append([filename, None, yanked])
    return FrozenIndex(recording)


def test_a_right_answer(index: FrozenIndex) -> None:
    assert faults(GOOD, ASKED, PLACE, index) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"core": None}, "web 1.0 requires core>=2, and it is not there"),
        ({"core": "1.0"}, "web 1.0 requires core>=2, and 1.0 is there"),
        ({"core": "2.1"}, "core 2.1 has no wheel for the place"),
        ({"core": "3.0"}, "core 3.0 needs Python >=3.12"),
        ({"core": "4.0"}, "core 4.0 is yanked, and nobody pins it"),
        ({"core": "5.0rc1"}, "policy: core 5.0rc1 is a pre-release, final releases match, and nobody names one"),
        ({"speed": None}, 'web 1.0[fast] requires speed; extra == "fast", and it is not there'),
        ({"web": None}, "the request requires web[fast]>=1, and it is not there"),
        ({"winonly": "1"}, "nobody asks for winonly"),
    ],
)
def test_each_wrong_answer_is_found(index: FrozenIndex, change: dict[str, str | None], said: str) -> None:
    pins = {name: version for name, version in {**GOOD, **change}.items() if version is not None}
    assert said in faults(pins, ASKED, PLACE, index)
