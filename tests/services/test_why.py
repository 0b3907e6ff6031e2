"""`venvery why`: every chain from the request to a project, the shortest first."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.acceptance.helpers import refuses
from tests.resolve.worlds import request, run, world
from tests.support.running import ServerProcess, Venvery
from venvery.errors import NotFound
from venvery.model.names import normalize
from venvery.services.why import explain_pin

TARGET = ("--python", "3.11", "--platform", "linux-x86_64")


def chains(asked: list[str], most: int = 20, **projects: dict[str, list[str]]) -> list[str]:
    """Resolve in a small world and tell the chains to `goal`."""
    lock = run(request(*asked), world(**projects)).lock
    return [" ".join(link.project for link in chain) for chain in explain_pin(lock, "goal", most=most).chains]


def test_the_shortest_comes_first_and_each_comes_once() -> None:
    found = chains(
        ["a", "b"],
        a={"1": ["c", "goal"]},
        b={"1": ["c"]},
        c={"1": ["d", "goal"]},
        d={"1": ["goal", "a"]},  # a cycle
        goal={"1": ["a"]},
    )
    assert found == ["a goal", "a c goal", "b c goal", "a c d goal", "b c d goal", "b c d a goal"]


def test_what_is_asked_for_itself_is_a_chain_too() -> None:
    assert chains(["a", "goal>=1", "goal<9"], a={"1": ["goal"]}, goal={"1": []}) == ["goal", "goal", "a goal"]


def test_only_the_chains_to_it() -> None:
    lock = run(request("a", "b"), world(a={"1": ["goal"]}, b={"1": []}, goal={"1": []})).lock
    with pytest.raises(NotFound):
        explain_pin(lock, normalize("elsewhere"))
    assert [len(chain) for chain in explain_pin(lock, normalize("b")).chains] == [1]


def test_more_chains_than_anyone_can_count_end_soon() -> None:
    """A ladder of thirty steps has a billion ways down."""
    steps = 30
    ladder: dict[str, dict[str, list[str]]] = {}
    for step in range(steps):
        for side in "ab":
            below = [f"a{step + 1}", f"b{step + 1}"] if step + 1 < steps else ["goal"]
            ladder[f"{side}{step}"] = {"1": below}
    began = time.monotonic()
    found = chains(["a0", "b0"], most=7, goal={"1": []}, **ladder)
    assert len(set(found)) == 7
    assert {len(chain.split()) for chain in found} == {steps + 1}
    assert time.monotonic() - began < 5


def test_markers_tell_which_requirement_led_there() -> None:
    lock = run(
        request("goal>0 ; sys_platform == 'win32'", "goal<9 ; sys_platform == 'linux'"), world(goal={"1": []})
    ).lock
    told = str(explain_pin(lock, normalize("goal")))
    assert "goal<9" in told
    assert "win32" not in told


def test_the_command(venvery: Venvery, tmp_path: Path) -> None:
    said = venvery("why", "urllib3", "requests>=2.7", "django", *TARGET).check().stdout
    assert said.splitlines()[0] == "urllib3 2.2.0"
    assert said.splitlines()[1].startswith(
        "  requests 2.32.3 (requests>=2.7, command line) → urllib3 2.2.0 (urllib3"
    )
    found = json.loads(venvery("why", "urllib3", "requests>=2.7", *TARGET, "--json").check().stdout)
    assert [link["project"] for link in found["chains"][0]] == ["requests", "urllib3"]
    assert found["more"] is False


@pytest.mark.parametrize("form", ["json", "pylock"])
def test_a_lock_tells_it_without_any_index(venvery: Venvery, tmp_path: Path, form: str) -> None:
    lock = tmp_path / {"json": "lock.json", "pylock": "pylock.toml"}[form]
    venvery("resolve", "requests", "django", *TARGET, "--format", form, "-o", lock).check()
    said = venvery("why", "sqlparse", "--lock", lock, *TARGET, "--no-index").check().stdout
    assert "django 5.2" in said
    refuses(venvery("why", "nothing", "--lock", lock, *TARGET), 1, "nothing is not part of the lock")
    refuses(venvery("why", "sqlparse", "django", "--lock", lock, *TARGET), 2, "either a lock or requirements")


def test_through_a_server(venvery: Venvery, server: ServerProcess) -> None:
    said = venvery("why", "urllib3", "requests", *TARGET, "--server", server.url).check().stdout
    assert "requests 2.32.3 (requests, command line) → urllib3 2.2.0" in said
