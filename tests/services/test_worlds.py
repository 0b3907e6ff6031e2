"""Recorded worlds: what a request touched, in one file, replayed without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import TINY, refuses
from tests.services.opening import JOB, TARGET, Opened, in_house, versions
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel
from venvery.errors import BadInput, NotFound, Unsatisfiable, UrlNotAllowed
from venvery.model.names import normalize
from venvery.resolve import Resolution, solve
from venvery.services.documents import Defaults, read_body
from venvery.services.worlds import World, replay

HERE = ("--python", "3.11", "--platform", "linux-x86_64")
ServeIndex = Callable[..., IndexServer]


def recorded(index: IndexServer, data: Path, body: dict[str, Any] = JOB) -> bytes:
    async def work(opened: Opened) -> bytes:
        return (await opened.house.record(body)).pack()

    return in_house(data, index, work)


def answer(data: bytes, body: dict[str, Any] | None = None) -> Resolution:
    world = World.unpack(data)
    return replay(read_body(body or world.requests[0], Defaults("3.11", "linux-x86_64")).resolve, world.shelf())


def test_it_gives_the_same_answer_without_an_index(index: IndexServer, data_dir: Path) -> None:
    data = recorded(index, data_dir)
    before = len(index.requests)
    assert versions(answer(data).lock) == TINY
    assert answer(data) == answer(data)
    assert len(index.requests) == before


def test_equal_worlds_are_equal_bytes(index: IndexServer, serve_index: ServeIndex, tmp_path: Path) -> None:
    data = recorded(index, tmp_path / "one")
    assert recorded(index, tmp_path / "one") == data, "from what is stored"
    assert recorded(serve_index(index.world), tmp_path / "two") == data, "another place, another port"
    assert World.unpack(data).pack() == data


def test_it_names_no_place(index: IndexServer, data_dir: Path) -> None:
    from backports import zstd

    text = zstd.decompress(recorded(index, data_dir)).decode()
    assert "127.0.0.1" not in text
    assert "http" not in text
    digests = [file.sha256 for file in index.world.files if file.project == "django"]
    assert not any(digest in text for digest in digests)


def test_hashes_that_are_demanded_are_kept(index: IndexServer, data_dir: Path) -> None:
    (wheel,) = (file for file in index.world.files if file.filename == "idna-3.7-py3-none-any.whl")
    asked = {"requirement": "idna", "hashes": [f"sha256:{wheel.sha256}"]}
    index.world.add(make_wheel("idna", "3.9"))
    found = answer(recorded(index, data_dir, {"requirements": [asked], "target": TARGET}))
    assert versions(found.lock) == {"idna": "3.7"}


def test_a_no_is_recorded_too(index: IndexServer, data_dir: Path) -> None:
    body = {"requirements": ["django", "asgiref<3"], "target": TARGET}
    data = recorded(index, data_dir, body)
    with pytest.raises(Unsatisfiable) as caught:
        answer(data)

    async def live(opened: Opened) -> Any:
        with pytest.raises(Unsatisfiable) as caught:
            await opened.house.resolve(opened.house.read(body))
        return caught.value.explanation

    assert caught.value.explanation == in_house(data_dir, index, live)


def test_yanked_releases_pythons_and_upload_times_are_kept(index: IndexServer, data_dir: Path) -> None:
    index.world.add(make_wheel("odd", "2", requires_python=">=3.99"))
    index.world.add(make_wheel("odd", "3"))
    index.world.add(make_wheel("odd", "1"))
    index.world.add(make_wheel("odd", "1.1"))
    index.world.yank("odd-3-py3-none-any.whl", "no good")
    body = {"requirements": ["odd"], "target": TARGET}
    data = recorded(index, data_dir, body)
    assert versions(answer(data).lock) == {"odd": "1.1"}
    shelf = World.unpack(data).shelf()
    times = {str(file.version): file.upload_time for file in next(iter(shelf.universes.values())).listing.files}
    before = body | {"options": {"exclude_newer": times["1.1"].isoformat()}}
    with pytest.raises(NotFound, match=r"odd-1-py3-none-any\.whl"):
        answer(data, before)  # its metadata was not looked at
    assert versions(answer(recorded(index, data_dir, before)).lock) == {"odd": "1"}


def test_names_from_before_their_standards_are_read_as_the_catalog_reads_them(
    index: IndexServer, data_dir: Path
) -> None:
    sdist = make_sdist("odd", "1")
    index.world.add(replace(sdist, filename="odd-1-post3.tar.gz"), project="odd")
    index.world.add(make_wheel("odd", "1"))
    body = {"requirements": ["odd"], "target": TARGET, "options": {"only_binary": ":all:"}}
    data = recorded(index, data_dir, body)
    assert "odd-1-post3.tar.gz" in {row[0] for row in World.unpack(data).projects[normalize("odd")]["files"]}
    assert versions(answer(data).lock) == {"odd": "1"}


def test_what_it_does_not_hold_is_said(index: IndexServer, data_dir: Path) -> None:
    data = recorded(index, data_dir, {"requirements": ["idna"], "target": TARGET})
    with pytest.raises(NotFound, match="does not have django"):
        answer(data, {"requirements": ["django"], "target": TARGET})
    with pytest.raises(UrlNotAllowed):
        recorded(index, data_dir, {"requirements": ["a @ https://files.example/a-1-py3-none-any.whl"]})


@pytest.mark.parametrize("data", [b"", b"no world", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_world(data: bytes) -> None:
    with pytest.raises(BadInput):
        World.unpack(data)


def test_the_solver_needs_nothing_else(index: IndexServer, data_dir: Path) -> None:
    """The helper for benchmarks: a shelf on which a search never waits."""
    world = World.unpack(recorded(index, data_dir))
    asked = read_body(world.requests[0], Defaults("3.11", "linux-x86_64")).resolve
    with pytest.raises(StopIteration):
        next(solve(asked, world.shelf()))


def test_the_commands(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    world = tmp_path / "world.zst"
    (tmp_path / "requirements.txt").write_text("django>=1.8\nrequests>=2.7\n")
    said = venvery("record", "-r", tmp_path / "requirements.txt", *HERE, "-o", world).check()
    assert said.stdout == ""
    assert "world.zst holds" in said.stderr
    index.close()
    lock = venvery("resolve", "--world", world).check().stdout
    pins = {line.split("==")[0]: line.split("==")[1].split()[0] for line in lock.splitlines() if "==" in line}
    assert pins == TINY
    assert "--hash" not in lock
    assert "sqlparse==0.5.3" in venvery("resolve", "--world", world, "django", *HERE).check().stdout
    refuses(venvery("resolve", "--world", world, "nothing", *HERE), 1, "does not have nothing")
    refuses(venvery("resolve", "--world", tmp_path / "none.zst"), 2, "cannot be read")
    refuses(venvery("record", "django", "--no-index", "-o", tmp_path / "no" / "w.zst"), 3, "cannot be written")
