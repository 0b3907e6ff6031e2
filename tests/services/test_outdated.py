"""`venvery outdated`: which updates there are, which would be taken, and who holds back the others."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import refuses
from tests.catalog.opened import Clock
from tests.services.opening import TARGET, Opened, in_house
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel
from venvery.errors import BadInput, BadLock, LimitExceeded
from venvery.resolve.writers import lock_to_document

HERE = ("--python", "3.11", "--platform", "linux-x86_64")


def outdated(index: IndexServer, data: Path, requirements: list[str], change: Any, **body: Any) -> dict[str, Any]:
    """Lock, let the world change, and look what is newer."""
    clock = Clock()

    async def work(opened: Opened) -> dict[str, Any]:
        house = opened.house
        lock = (await house.resolve(house.read({"requirements": requirements, "target": TARGET}))).lock
        change(index.world)
        clock.now += 601
        return (await house.outdated({"lock": lock_to_document(lock)} | body)).to_json()

    return in_house(data, index, work, clock=clock)


def updates(found: dict[str, Any]) -> dict[str, tuple[str, str | None, str]]:
    return {one["project"]: (one["version"], one["taken"], one["newest"]) for one in found["updates"]}


def test_nothing_is_newer(index: IndexServer, data_dir: Path) -> None:
    found = outdated(index, data_dir, ["idna"], lambda _world: None)
    assert found == {"outdated": False, "updates": [], "added": []}


def test_an_update_that_would_be_taken(index: IndexServer, data_dir: Path) -> None:
    found = outdated(index, data_dir, ["requests"], lambda world: world.add(make_wheel("idna", "3.8")))
    assert found["outdated"] is True
    assert updates(found)["idna"] == ("3.7", "3.8", "3.8")
    assert next(one for one in found["updates"] if one["project"] == "idna")["held_by"] == []


def test_held_by_a_pin_by_the_request_and_by_a_constraint(index: IndexServer, data_dir: Path) -> None:
    def change(world: Any) -> None:
        world.add(make_wheel("idna", "9"))
        world.add(make_wheel("sqlparse", "9"))
        world.add(make_wheel("asgiref", "9"))

    index.world.add(make_wheel("holder", "1", requires=["idna<4"]))
    bound = {"constraints": [{"requirement": "asgiref<9", "origin": "limits.txt:1"}]}
    found = outdated(index, data_dir, ["holder", "sqlparse<1", "django"], change, **bound)
    assert updates(found) == {
        "asgiref": ("3.8.1", "3.8.1", "9"),
        "idna": ("3.7", "3.7", "9"),
        "sqlparse": ("0.5.3", "0.5.3", "9"),
    }
    held = {one["project"]: one["held_by"] for one in found["updates"]}
    assert held["idna"] == [{"requirement": "idna<4", "project": "holder", "version": "1"}]
    assert held["sqlparse"][0] == {"requirement": "sqlparse<1"}
    assert {"requirement": "asgiref<9", "origin": "limits.txt:1"} in held["asgiref"]
    assert found["outdated"] is False


def test_held_by_no_single_requirement(index: IndexServer, data_dir: Path) -> None:
    """The newest wants what something else forbids: the price, or the contradiction, is told."""

    def change(world: Any) -> None:
        world.add(make_wheel("tool", "2", requires=["idna<3"]))

    index.world.add(make_wheel("tool", "1", requires=["idna"]))
    index.world.add(make_wheel("strict", "1", requires=["idna>=3"]))
    found = outdated(index, data_dir, ["tool", "strict"], change)
    (tool,) = found["updates"]
    assert (tool["taken"], tool["newest"], tool["held_by"]) == ("1", "2", [])
    assert tool["reason"] == "tool 2 depends on idna<3; strict 1 depends on idna>=3"


def test_what_a_target_cannot_use_is_not_newer(index: IndexServer, data_dir: Path) -> None:
    def change(world: Any) -> None:
        world.add(make_wheel("idna", "4", requires_python=">=3.99"))
        world.add(make_wheel("idna", "5rc1"))
        world.add(make_wheel("idna", "6"))
        world.yank("idna-6-py3-none-any.whl")

    assert outdated(index, data_dir, ["idna"], change)["updates"] == []


def test_what_comes_and_what_goes(index: IndexServer, data_dir: Path) -> None:
    index.world.add(make_wheel("top", "1", requires=["old-friend"]))
    index.world.add(make_wheel("old-friend", "1"))
    index.world.add(make_wheel("new-friend", "1"))
    found = outdated(
        index, data_dir, ["top"], lambda world: world.add(make_wheel("top", "2", requires=["new-friend"]))
    )
    assert updates(found) == {"old-friend": ("1", None, "1"), "top": ("1", "2", "2")}
    assert found["added"] == [{"project": "new-friend", "version": "1"}]


def test_pins_without_a_request_are_each_asked_for(index: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> dict[str, Any]:
        return (await opened.house.outdated({"text": "django==4.2.16\nidna==3.7\n", "target": TARGET})).to_json()

    found = in_house(data_dir, index, work)
    assert updates(found) == {"django": ("4.2.16", "5.2", "5.2")}
    assert {one["project"] for one in found["added"]} == {"asgiref", "sqlparse"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"requirements": ["django"]}, BadInput),
        ({"pins": "django>=4\n"}, BadLock),
        ({"pins": "django==4.*\n"}, BadLock),
        ({"pins": "\n"}, BadLock),
        ({"pins": "lock-version = 7\n"}, BadLock),
        ({"pins": "\n".join(f"project-{n}==1" for n in range(10_001))}, LimitExceeded),
    ],
)
def test_what_is_no_lock(index: IndexServer, data_dir: Path, body: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        in_house(data_dir, index, lambda opened: opened.house.outdated(body | {"target": TARGET}))


def test_the_command(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    for form, name in (("json", "lock.json"), ("pylock", "pylock.toml"), ("requirements", "pins.txt")):
        venvery("resolve", "requests", "urllib3<2.2", *HERE, "--format", form, "-o", tmp_path / name).check()
    for name in ("lock.json", "pylock.toml", "pins.txt"):
        known = () if name != "pins.txt" else ("-r", str(tmp_path / "asked.txt"))
        (tmp_path / "asked.txt").write_text("requests\nurllib3<2.2\n")
        said = venvery("outdated", tmp_path / name, *known, *HERE).check().stdout
        rows = [line.split(maxsplit=4) for line in said.splitlines()]
        assert rows[0] == ["project", "locked", "taken", "newest", "held by"]
        held = next(row for row in rows if row[0] == "urllib3")
        assert held[3] == "3.0.0"
        assert "urllib3<2.2" in held[4]
        venvery("outdated", tmp_path / name, *known, *HERE, "--exit-code").check(0)
    (tmp_path / "older.txt").write_text("idna==3.7\ndjango==4.2.16\nasgiref==3.8.1\nsqlparse==0.5.3\n")
    older = venvery("outdated", tmp_path / "older.txt", *HERE, "--exit-code", "--json").check(1)
    assert json.loads(older.stdout)["outdated"] is True
    refuses(venvery("outdated", tmp_path / "nowhere.txt"), 2, "nowhere.txt cannot be read")


def test_through_a_server(venvery: Venvery, server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("django==4.2.16\n")
    said = venvery("outdated", tmp_path / "pins.txt", *HERE, "--server", server.url).check().stdout
    assert said.splitlines()[1].split() == ["django", "4.2.16", "5.2", "5.2"]
    # and as curl sends it
    request = urllib.request.Request(server.url + "/v1/outdated?python=3.11", b"django==4.2.16\n")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["updates"][0]["taken"] == "5.2"
