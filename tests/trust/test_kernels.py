"""Jupyter kernels start the environment's interpreter, whoever starts them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.environments.workshop import WINDOWS, Workshop, members, tree
from tests.support.machine import find_python
from tests.support.wheels import make_wheel
from venvery.environments import HeadOptions, LayerInfo, make_head

ARGV = ["python", "-m", "kernel", "-f", "{connection_file}"]
SPEC = {"argv": ARGV, "display_name": "Größe", "language": "python", "metadata": {"debugger": True}}
PLACE = "share/jupyter/kernels/python3/kernel.json"


def wheel(spec: object = SPEC, **options: object):  # type: ignore[no-untyped-def]
    text = spec if isinstance(spec, str) else json.dumps(spec)
    return make_wheel(
        "kernel",
        "1.0",
        data={f"data/{PLACE}": text, "data/share/jupyter/kernels/python3/logo.svg": "<svg/>"},
        **options,
    )  # type: ignore[arg-type]


def test_it_names_the_interpreter_of_the_prefix(workshop: Workshop, tmp_path: Path) -> None:
    place = tmp_path / "my env"
    workshop.install([wheel()], place, python=str(find_python("3.11")))
    spec = json.loads((place / PLACE).read_bytes())
    assert spec == SPEC | {"argv": [f"{place}/bin/python", *ARGV[1:]]}
    assert (place / "share/jupyter/kernels/python3/logo.svg").read_text() == "<svg/>"
    record = (place / "lib/python3.11/site-packages/kernel-1.0.dist-info/RECORD").read_text()
    assert f"../../../{PLACE},,\n" in record


def test_the_layer_is_the_same_for_every_prefix(workshop: Workshop) -> None:
    manifest, layers = workshop.environment([wheel()])
    assert PLACE not in workshop.files(layers[0])
    first = members(make_head(manifest, layers, HeadOptions("/srv/a")))[PLACE][1]
    assert json.loads(first)["argv"][0] == "/srv/a/bin/python"
    assert LayerInfo.from_json(json.loads(json.dumps(layers[0].to_json()))) == layers[0]


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("python3", "/srv/env/bin/python"),
        ("python3.11", "/srv/env/bin/python"),
        ("start-kernel", "/srv/env/bin/start-kernel"),
        ("bash", None),
        ("/opt/elsewhere/bin/python", None),
        ("python2", None),
    ],
)
def test_what_else_may_start_a_kernel(workshop: Workshop, word: str, becomes: str | None) -> None:
    spec = SPEC | {"argv": [word]}
    made = wheel(spec, entry_points={"console_scripts": {"start-kernel": "kernel:main"}})
    manifest, layers = workshop.environment([made])
    head = members(make_head(manifest, layers, HeadOptions("/srv/env")))
    if becomes is None:
        assert PLACE not in head
        assert json.loads(workshop.files(layers[0])[PLACE]) == spec
    else:
        assert json.loads(head[PLACE][1])["argv"] == [becomes]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"argv": []}', '{"argv": [1]}', '{"argv": "python"}', "[" * 100_000]
)
def test_what_is_no_kernel_specification_stays_in_the_layer(workshop: Workshop, text: str) -> None:
    manifest, layers = workshop.environment([wheel(text)])
    assert workshop.files(layers[0])[PLACE].decode() == text
    assert PLACE not in members(make_head(manifest, layers, HeadOptions("/srv/env")))


def test_on_windows(workshop: Workshop) -> None:
    manifest, layers = workshop.environment([wheel()], WINDOWS)
    head = members(make_head(manifest, layers, HeadOptions("C:\\env")))
    assert json.loads(head[PLACE][1])["argv"][0] == "C:\\env\\Scripts\\python.exe"


def test_one_that_may_be_moved_leaves_it_to_jupyter(workshop: Workshop, tmp_path: Path) -> None:
    workshop.install([wheel()], tmp_path / "env", relocatable=True)
    shutil.move(tmp_path / "env", tmp_path / "moved")
    assert json.loads(tree(tmp_path / "moved")[PLACE][1]) == SPEC
