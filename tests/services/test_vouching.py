"""A lock that comes with a request does not choose what the server fetches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.services.opening import JOB, Opened, in_house
from tests.support.index_server import IndexServer
from tests.support.wheels import make_wheel
from tests.support.world import World
from venvery.errors import NoUsableFile, UrlNotAllowed, WrongHash
from venvery.resolve.writers import lock_to_document, write_pylock


async def _lock(opened: Opened) -> dict[str, Any]:
    resolution = await opened.house.resolve(opened.house.read(JOB))
    return lock_to_document(getattr(resolution, "lock", resolution))


def _files(lock: dict[str, Any]) -> list[dict[str, Any]]:
    return [file for pin in lock["pins"] for file in pin["files"]]


def test_a_lock_of_ours_makes_its_environment(tmp_path: Path, index: IndexServer) -> None:
    async def work(opened: Opened) -> None:
        lock = await _lock(opened)
        made = await opened.house.environment(opened.house.read({"lock": lock}))
        assert {pin.project for pin in made.manifest.pins} == {pin["project"] for pin in lock["pins"]}

    in_house(tmp_path, index, work)


def test_its_urls_are_not_followed(tmp_path: Path, index: IndexServer, serve_index: Any) -> None:
    elsewhere = serve_index(World([make_wheel("evil", "1.0")]))

    async def work(opened: Opened) -> None:
        lock = await _lock(opened)
        for file in _files(lock):
            file["url"] = f"{elsewhere.url}/files/{file['filename']}"
        made = await opened.house.environment(opened.house.read({"lock": lock}))
        assert len(made.manifest.pins) == len(lock["pins"])

    in_house(tmp_path, index, work)
    assert not elsewhere.requests


def test_a_file_that_no_source_has_is_refused(tmp_path: Path, index: IndexServer, serve_index: Any) -> None:
    elsewhere = serve_index(World([make_wheel("evil", "1.0")]))

    async def work(opened: Opened) -> None:
        lock = await _lock(opened)
        for file in _files(lock):
            file["url"], file["sha256"] = f"{elsewhere.url}/files/{file['filename']}", "0" * 64
        with pytest.raises(NoUsableFile, match="no source here lists"):
            await opened.house.environment(opened.house.read({"lock": lock}))

    in_house(tmp_path, index, work)
    assert not elsewhere.requests


def test_a_pylock_is_treated_alike(tmp_path: Path, index: IndexServer) -> None:
    async def work(opened: Opened) -> None:
        resolution = await opened.house.resolve(opened.house.read(JOB))
        text = write_pylock(getattr(resolution, "lock", resolution))
        body = {"pylock": text, "target": JOB["target"]}
        made = await opened.house.environment(opened.house.read(body))
        assert "django" in {pin.project for pin in made.manifest.pins}
        away = text.replace(index.url, "http://127.0.0.1:9")
        again = await opened.house.environment(opened.house.read({**body, "pylock": away}))
        assert again.manifest.key == made.manifest.key

    in_house(tmp_path, index, work)


def test_a_requirement_by_url_needs_leave(tmp_path: Path, index: IndexServer) -> None:
    async def work(opened: Opened) -> None:
        body = {"requirements": [f"idna @ {index.url.removesuffix('/simple')}/files/idna-3.10-py3-none-any.whl"]}
        with pytest.raises(UrlNotAllowed, match="not allowed here"):
            await opened.house.resolve(opened.house.read(body))

    in_house(tmp_path, index, work)
    assert not index.requests


def test_with_leave_the_url_is_what_is_installed(tmp_path: Path, index: IndexServer, world: World) -> None:
    root = index.url.rstrip("/").removesuffix("/simple")
    name = next(file.filename for file in world.files if file.filename.startswith("idna-"))

    async def work(opened: Opened) -> None:
        asked = opened.house.read({"requirements": [f"idna @ {root}/files/{name}"], "target": JOB["target"]})
        made = await opened.house.environment(asked)
        assert [pin.wheel if isinstance(pin, dict) else pin.filename for pin in made.manifest.pins] == [name]
        layer = next(layer for layer in made.layers if layer.kind == "wheel")
        assert layer.direct_url == f"{root}/files/{name}"

    in_house(tmp_path, index, work, allowed_urls=(f"{root}/files/",))


def test_a_url_with_a_wrong_hash_is_refused(tmp_path: Path, index: IndexServer, world: World) -> None:
    root = index.url.rstrip("/").removesuffix("/simple")
    name = next(file.filename for file in world.files if file.filename.startswith("idna-"))

    async def work(opened: Opened) -> None:
        body = {"requirements": [f"idna @ {root}/files/{name}#sha256={'0' * 64}"], "target": JOB["target"]}
        with pytest.raises(WrongHash):
            await opened.house.resolve(opened.house.read(body))

    in_house(tmp_path, index, work, allowed_urls=(f"{root}/files/",))


def test_many_at_once_share_every_layer(tmp_path: Path, index: IndexServer) -> None:
    async def work(opened: Opened) -> None:
        asked = opened.house.read(JOB)
        made = await asyncio.gather(*(opened.house.environment(asked) for _ in range(8)))
        assert len({one.manifest.key for one in made}) == 1

    in_house(tmp_path, index, work)
    wheels = [request.path for request in index.requests if request.path.endswith(".whl")]
    assert wheels and len(wheels) == len(set(wheels))
