"""How a person chooses on the command line: a kept lock, overrides, excludes, sources, the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.helpers import TINY, installed
from tests.acceptance.test_resolve_command import MAIN_JOB, pins_of
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.wheels import make_wheel

ServeIndex = Callable[..., IndexServer]


@pytest.mark.parametrize("form", ["requirements", "pylock", "json"])
def test_an_earlier_lock_is_kept_but_for_what_is_to_be_upgraded(
    venvery: Venvery, index: IndexServer, tmp_path: Path, form: str
) -> None:
    lock = tmp_path / ("pylock.toml" if form == "pylock" else f"lock.{form}")
    venvery("resolve", *MAIN_JOB, "--format", form, "-o", lock).check()
    for name in ("idna", "asgiref"):
        index.world.add(make_wheel(name, "3.9" if name == "asgiref" else "3.99"))
    fresh = ("--data", tmp_path / "fresh")  # within the window the listings of before would count
    assert pins_of(venvery("resolve", *MAIN_JOB, "--keep", lock, *fresh).check().stdout) == TINY
    upgraded = venvery("resolve", *MAIN_JOB, "--keep", lock, "-P", "idna", *fresh).check().stdout
    assert pins_of(upgraded) == {**TINY, "idna": "3.99"}
    assert pins_of(venvery("resolve", *MAIN_JOB, *fresh).check().stdout)["asgiref"] == "3.9"


def test_upgrade_package_alone_is_refused(venvery: Venvery) -> None:
    done = venvery("resolve", "django", "-P", "django").check(2)
    assert "--keep" in done.stderr and "Traceback" not in done.stderr


def test_overrides_and_excludes(venvery: Venvery, tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.txt"
    overrides.write_text("asgiref<3.8.1\n")
    taken = pins_of(venvery("resolve", "django", "--override", overrides).check().stdout)
    assert "3." < taken["asgiref"] < "3.8.1"
    overrides.write_text("asgiref<1\n")
    refused = venvery("resolve", "django>=4", "--override", overrides).check(1)
    assert "there is no asgiref<1" in refused.stderr
    done = venvery("resolve", *MAIN_JOB, "--exclude", "sqlparse", "--exclude", "idna,certifi").check()
    assert pins_of(done.stdout) == {k: v for k, v in TINY.items() if k not in ("sqlparse", "idna", "certifi")}


def test_sync_asks_again_when_an_override_changes(venvery: Venvery, tmp_path: Path) -> None:
    overrides, environment = tmp_path / "overrides.txt", tmp_path / ".venv"
    overrides.write_text("idna==3.7\n")
    words = ("sync", *MAIN_JOB, "--override", overrides, environment)
    venvery(*words).check()
    assert "is up to date" in venvery(*words).check().stderr
    overrides.write_text("idna==2.10\n")
    venvery(*words).check()
    assert installed(environment)["idna"] == "2.10"


def test_a_project_comes_from_the_source_that_is_named(
    venvery: Venvery, index: IndexServer, serve_index: ServeIndex, tmp_path: Path
) -> None:
    other = serve_index([make_wheel("idna", "3.99")])
    config = tmp_path / "venvery.toml"
    config.write_text(
        f'union = "merge"\n[[sources]]\nname = "one"\nurl = "{index.url}"\n'
        f'[[sources]]\nname = "two"\nurl = "{other.url}"\n'
    )
    words = ("resolve", *MAIN_JOB, "--config", config)
    assert pins_of(venvery(*words).check().stdout)["idna"] == "3.99"
    assert pins_of(venvery(*words, "--source", "idna=one").check().stdout) == TINY
    refused = venvery(*words, "--source", "idna=three").check(2)
    assert "hint: sources: hosted, one, two" in refused.stderr
    assert "NAME=SOURCE" in venvery(*words, "--source", "idna").check(2).stderr


def test_the_configured_policy_holds_for_every_command(
    venvery: Venvery, index: IndexServer, tmp_path: Path
) -> None:
    config = tmp_path / "venvery.toml"
    config.write_text(
        f'[[sources]]\nname = "one"\nurl = "{index.url}"\n'
        '[policy]\nblocked = [{release = "idna>=3.7", reason = "CVE-2024-3651"}]\n'
    )
    done = venvery("resolve", "idna>=3.7", "--config", config).check(1)
    assert "blocked by the administrator (CVE-2024-3651)" in done.stderr
    assert pins_of(venvery("resolve", *MAIN_JOB, "--config", config).check().stdout) == {**TINY, "idna": "2.10"}
    venvery("sync", *MAIN_JOB, "--config", config, tmp_path / ".venv").check()
    assert installed(tmp_path / ".venv")["idna"] == "2.10"


def test_pre_releases_of_one_project_only(venvery: Venvery, index: IndexServer) -> None:
    index.world.add(make_wheel("idna", "3.99rc1"))
    assert pins_of(venvery("resolve", *MAIN_JOB).check().stdout) == TINY
    found = pins_of(venvery("resolve", *MAIN_JOB, "--pre-of", "idna").check().stdout)
    assert found == {**TINY, "idna": "3.99rc1"}
