"""The commands verify, relocate and key, and sync with a pinned key, as people type them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.environments.workshop import Workshop, make_lock
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel
from tests.support.world import World
from tests.trust.test_verify import Place
from venvery.environments import make_manifest

SITE = "lib/python3.11/site-packages"


def key_of(venvery: Venvery) -> str:
    keys: list[dict[str, Any]] = json.loads(venvery("key", "--json").check().stdout)["keys"]
    return str(keys[-1]["key"])


def verify(venvery: Venvery, *args: str | Path, code: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(venvery("verify", "--json", *args).check(code).stdout)
    assert said["verified"] is (code == 0)
    return said


def test_one_that_was_made_here(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "django", "requests", environment).check()
    result = venvery("verify", environment).check()
    assert "is as it was made" in result.stdout
    assert "this machine's own key" in result.stderr
    assert verify(venvery, environment)["signature"]["trust"] == "own"
    (environment / SITE / "evil.pth").write_text("import os")
    (environment / SITE / "django/__init__.py").write_text("evil")
    said = verify(venvery, environment, code=1)
    assert [(finding["kind"], finding["path"]) for finding in said["findings"]] == [
        ("differs", f"{SITE}/django/__init__.py"),
        ("extra", f"{SITE}/evil.pth"),
    ]
    result = venvery("verify", environment).check(1)
    assert result.stdout == ""
    assert f"extra: {SITE}/evil.pth (in no layer)" in result.stderr
    assert "Traceback" not in result.stderr


def test_one_from_a_server(server: ServerProcess, venvery: Venvery, tmp_path: Path) -> None:
    key = key_of(venvery)
    elsewhere = {"VENVERY_DATA": str(tmp_path / "elsewhere"), "VENVERY_SERVER": server.url}
    environment = tmp_path / "env"
    venvery("sync", "requests", environment, env=elsewhere).check()
    # The key was noted when the environment came.
    result = venvery("verify", environment, env=elsewhere).check()
    assert f"signed by {key}: the key that is known of {server.url}" in result.stderr
    assert "the key that was given" in venvery("verify", "--key", key, environment, env=elsewhere).check().stderr
    other = "ed25519:" + "A" * 43
    assert (
        "not the key that was given"
        in venvery("verify", "--key", other, environment, env=elsewhere).check(1).stderr
    )
    # A new key is endorsed by the one that is known.
    second = json.loads(venvery("key", "rotate", "--json").check().stdout)["keys"][1]["key"]
    venvery("sync", "--upgrade", "requests", environment, env=elsewhere).check()
    assert second in venvery("verify", environment, env=elsewhere).check().stderr
    # A key that nobody endorsed is another server: what it sends is not used.
    shutil.rmtree(venvery.data / "keys")
    before = (environment / ".venvery/provenance.json").read_bytes()
    result = venvery("sync", "django", environment, env=elsewhere).check(1)
    assert "is not used" in result.stderr and "not the key that is known" in result.stderr
    assert (environment / ".venvery/provenance.json").read_bytes() == before
    venvery("verify", environment, env=elsewhere).check()


def test_sync_with_a_pinned_key(server: ServerProcess, venvery: Venvery, tmp_path: Path) -> None:
    key = key_of(venvery)
    environment = tmp_path / "env"
    result = venvery("sync", "--server", server.url, "--key", "ed25519:" + "A" * 43, "django", environment).check(
        1
    )
    assert "not the key that was given" in result.stderr
    assert not environment.exists()
    assert (
        "is not a public key"
        in venvery("sync", "--server", server.url, "--key", "x", "django", environment).check(2).stderr
    )
    venvery("sync", "--server", server.url, "--key", key, "django", environment).check()
    venvery("sync", "--server", server.url, "requests", environment, env={"VENVERY_SERVER_KEY": key}).check()


def test_it_is_made_again_from_an_index(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "django", "requests", environment).check()
    said = verify(venvery, "--rebuild", environment)
    assert said["rebuilt"] == said["layers"] > 8
    for name in ("provenance.json", "keys.json"):
        (environment / ".venvery" / name).unlink()
    assert "not signed" in venvery("verify", environment).check(1).stderr
    said = verify(venvery, "--rebuild", environment)
    assert said["signature"] is None
    assert "its signature was not needed, and not looked at" in said["notes"]
    (environment / SITE / "requests/__init__.py").write_text("evil")
    assert verify(venvery, "--rebuild", environment, code=1)["problems"] == []


def test_an_index_that_has_other_wheels(venvery: Venvery, world: World, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "requests", environment).check()
    folder = tmp_path / "wheels"
    folder.mkdir()
    said = verify(venvery, "--rebuild", "--no-index", "-f", folder, environment, code=1)
    assert any("has not got that wheel" in problem for problem in said["problems"])
    make_wheel("idna", "3.7", files={"idna.py": "evil\n"}).write_to(folder)
    said = verify(venvery, "--rebuild", "--no-index", "-f", folder, environment, code=1)
    assert any("idna" in problem and "another hash" in problem for problem in said["problems"])
    result = venvery("verify", "--rebuild", "-i", "http://127.0.0.1:9/simple/", environment).check(3)
    assert "Traceback" not in result.stderr


def test_a_server_that_lies_about_its_wheels(
    venvery: Venvery, world: World, workshop: Workshop, tmp_path: Path
) -> None:
    """Its signature is right, its layers are whole; only the wheels themselves tell."""
    honest = make_wheel("tool", "1.0", files={"tool.py": "good = 1\n"})
    evil = make_wheel("tool", "1.0", files={"tool.py": "evil = 1\n"})
    honest.write_to(tmp_path / "wheels")
    layer = workshop.layer(evil)
    lying = replace(layer, wheel=workshop.layer(honest).wheel)
    from tests.environments.workshop import LINUX

    place = Place(workshop, tmp_path)
    place.install(make_manifest(make_lock([honest], LINUX), 0, [lying]), [lying], [])
    venvery("verify", place.root).check()
    arguments = ("--rebuild", "--no-index", "-f", tmp_path / "wheels", place.root)
    said = verify(venvery, *arguments, code=1)
    assert said["problems"] == ["tool 1.0: its layer is not what tool-1.0-py3-none-any.whl makes"]


def test_relocate(venvery: Venvery, tmp_path: Path) -> None:
    environment, moved = tmp_path / "env", tmp_path / "it's moved"
    venvery("sync", "django", environment).check()
    shutil.move(environment, moved)
    assert "it was made to live in" in venvery("verify", moved).check(1).stderr
    assert "mended" in venvery("relocate", moved).check().stderr
    assert "already" in venvery("relocate", moved).check().stderr
    assert json.loads(venvery("relocate", "--json", moved).check().stdout)["changed"] == []
    assert subprocess.run(
        [moved / "bin/django-admin", "--version"], capture_output=True, text=True, check=True
    ).stdout
    venvery("verify", moved).check()
    # For sync it is the environment that was asked for.
    assert "up to date" in venvery("sync", "django", moved).check().stderr


def test_one_that_may_be_moved(venvery: Venvery, tmp_path: Path) -> None:
    environment, moved = tmp_path / "env", tmp_path / "moved"
    venvery("sync", "--relocatable", "django", environment).check()
    shutil.move(environment, moved)
    (tmp_path / "link").symlink_to(moved / "bin/django-admin")
    for command in (moved / "bin/django-admin", tmp_path / "link"):
        assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    venvery("verify", moved).check()


def test_a_broken_interpreter_is_said(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "django", environment).check()
    (environment / "bin/python").unlink()
    (environment / "bin/python").symlink_to("/nowhere/python3.11")
    result = venvery("relocate", environment).check(1)
    assert "error: the interpreter that" in result.stderr and "is gone: /nowhere/python3.11" in result.stderr
    assert "hint: venvery relocate --python" in result.stderr


@pytest.mark.parametrize("command", ["verify", "relocate"])
def test_wrong_usage(venvery: Venvery, tmp_path: Path, command: str) -> None:
    for folder in (tmp_path / "nothing", tmp_path):
        result = venvery(command, folder).check(2)
        assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr
    venvery(command).check(2)
    assert "is not a public key" in venvery("verify", "--key", "x", tmp_path).check(2).stderr


def test_private_keys_are_the_owners_alone(venvery: Venvery) -> None:
    key_of(venvery)
    (private,) = (venvery.data / "keys").glob("*.key")
    assert private.stat().st_mode & 0o077 == 0
