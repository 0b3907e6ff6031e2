"""A name that is owned here is looked up nowhere else, however tempting a version an index has of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosted.posting import ask, listed, post
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.wheels import make_wheel
from tests.support.world import World

TARGET = {"python": "3.11", "platform": "linux-x86_64"}
NAMES = ("acme", "acme-secret", "shared-lib", "public")


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """An index where somebody has published the names of our projects, with higher versions."""
    world = World()
    for name in NAMES:
        world.add(make_wheel(name, "99.0"))
    with IndexServer(world) as index:
        yield index


def config(tmp_path: Path, index: IndexServer) -> Path:
    file = tmp_path / "venvery.toml"
    file.write_text(
        f"""
freshness-seconds = 0
[access]
anonymous = ["read", "resolve", "upload"]

[[sources]]
name = "team"
kind = "hosted"
shared = ["shared-*"]

[[sources]]
name = "core"
kind = "hosted"
projects = ["acme-*"]

[[sources]]
name = "outside"
url = "{index.url}"

[[views]]
name = "outer"
sources = ["outside"]
"""
    )
    return file


def asked_for(index: IndexServer) -> set[str]:
    """Tell which projects the index was asked for."""
    return {name for name in NAMES if index.asked(f"*/{name}/") or index.asked(f"*/{name.replace('-', '_')}-*")}


def test_nobody_outside_is_asked_for_an_owned_name(tmp_path: Path, index: IndexServer) -> None:
    venvery = Venvery(tmp_path / "v")
    file = config(tmp_path, index)

    def resolve(*names: str) -> str:
        body = {"requirements": list(names), "target": TARGET}
        return ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "text/plain"}).text

    with venvery.serve("--config", file) as server:
        assert "acme==99.0" in resolve("acme")  # as long as nobody here has it
        assert post(server, make_wheel("acme", "1.0")).status == 200
        assert post(server, make_wheel("shared-lib", "1.0+ours")).status == 200
        index.forget()
        until = time.monotonic() + 20  # what was learnt is written down a moment after the answer
        told = ""
        while "acme comes from team, and never from outside" not in told and time.monotonic() < until:
            told = " ".join(venvery("doctor", "--config", file).stdout.split())
        assert "acme comes from team, and never from outside" in told
        index.forget()
        assert "acme==1.0" in resolve("acme", "public")
        assert listed(server, "acme") == ["acme-1.0-py3-none-any.whl"]
        assert listed(server, "acme", prefix="/views/outer") == []  # not even where its owner is not
        assert listed(server, "acme-secret") == []  # reserved, and not uploaded yet
        assert "no" in resolve("acme-secret")
        assert asked_for(index) == {"public"}
        assert len(listed(server, "shared-lib")) == 2  # opted in by name
        assert post(server, make_wheel("stranger", "1.0"), path="/upload/core/").status == 400
        assert post(server, make_wheel("acme-secret", "1.0"), path="/upload/core/").status == 200
        gone = {"project": "acme", "version": "1.0"}
        token = venvery("token", "create", "--scope", "admin").check().stdout.strip()
        assert ask(server, "POST", "/v1/releases/delete", body=gone, token=token).status == 200
        index.forget()
        assert listed(server, "acme") == []  # a name that was once ours stays ours
        assert asked_for(index) == set()


def test_a_source_that_left_the_configuration_still_owns_its_names(tmp_path: Path, index: IndexServer) -> None:
    venvery = Venvery(tmp_path / "v")
    with venvery.serve("--config", config(tmp_path, index)) as server:
        assert post(server, make_wheel("acme", "1.0")).status == 200
    venvery.env["VENVERY_INDEX_URL"] = index.url
    result = venvery("resolve", "acme").check(1)
    assert "99.0" not in result.stdout
    assert "team: hosted here, but not in the configuration" in " ".join(venvery("doctor").stdout.split())


def test_what_was_fetched_before_is_forgotten_when_the_name_becomes_ours(
    tmp_path: Path, index: IndexServer
) -> None:
    venvery = Venvery(tmp_path / "v", index_url=index.url)
    assert "acme==99.0" in venvery("resolve", "acme").check().stdout
    venvery("upload", make_wheel("acme", "1.0").write_to(tmp_path / "dist")).check()
    assert "acme==1.0" in venvery("resolve", "acme").check().stdout
    with sqlite3.connect(venvery.data / "venvery.sqlite") as database:
        assert database.execute("SELECT count(*) FROM hosted_files").fetchone() == (1,)
