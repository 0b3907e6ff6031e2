"""The memo: an answer is given again exactly as long as no listing that it rests on has changed."""

from __future__ import annotations

import asyncio
import gc
import json
import urllib.request
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import TINY
from tests.catalog.opened import Clock, of
from tests.services.opening import JOB, TARGET, Opened, ask, in_house, versions
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel
from venvery.errors import SourceUnreachable, Unsatisfiable
from venvery.model.names import normalize
from venvery.model.sources import SourceSpec
from venvery.services.answers import request_key
from venvery.services.documents import Defaults, read_body
from venvery.storage.answers import NewAnswer
from venvery.storage.database import Database

ServeIndex = Callable[..., IndexServer]


def asked_of(index: IndexServer) -> list[str]:
    """List which projects the index was asked for."""
    return [one.path.split("/")[2] for one in index.requests if one.path.startswith("/simple/")]


def test_the_same_again_asks_nobody(index: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        assert await ask(opened) == (TINY, False)
        before = len(index.requests)
        assert await ask(opened) == (TINY, True)
        assert len(index.requests) == before

    in_house(data_dir, index, work)


def test_past_the_window_an_unchanged_answer_stays(index: IndexServer, data_dir: Path) -> None:
    clock = Clock()

    async def work(opened: Opened) -> None:
        await ask(opened)
        clock.now += 601
        before = len(index.requests)
        assert await ask(opened) == (TINY, True)
        again = index.requests[before:]
        assert {one.status for one in again} == {304}
        assert {"django", "requests", "urllib3"} <= set(asked_of(index)[-len(again) :])
        before = len(index.requests)
        assert await ask(opened) == (TINY, True)
        assert len(index.requests) == before, "checked a moment ago"

    in_house(data_dir, index, work, clock=clock)


def test_a_release_that_it_rests_on_ends_it(index: IndexServer, data_dir: Path) -> None:
    clock = Clock()

    async def work(opened: Opened) -> None:
        await ask(opened)
        index.world.add(make_wheel("asgiref", "3.9"))
        assert await ask(opened) == (TINY, True), "within the window"
        clock.now += 601
        assert await ask(opened) == ({**TINY, "asgiref": "3.9"}, False)
        assert await ask(opened) == ({**TINY, "asgiref": "3.9"}, True)

    in_house(data_dir, index, work, clock=clock)


def test_files_that_moved_end_it(index: IndexServer, serve_index: ServeIndex, data_dir: Path) -> None:
    clock = Clock()
    moved = serve_index(index.world)

    async def work(opened: Opened) -> None:
        await ask(opened)
        for name in TINY:
            index.fault(f"/simple/{name}/", "redirect", location=f"{moved.origin}/simple/{name}/")
        index.fault("/files/*", "status", status=404)
        clock.now += 601
        answered = await opened.house.resolve(opened.house.read(JOB))
        assert (versions(answered.lock), answered.remembered) == (TINY, False)
        assert all(file.url.startswith(moved.origin) for pin in answered.lock.pins for file in pin.files)
        await opened.house.environment(opened.house.read(JOB))

    in_house(data_dir, index, work, clock=clock)


def test_other_releases_do_not(index: IndexServer, data_dir: Path) -> None:
    clock = Clock()
    index.world.add(make_wheel("aside", "1"))

    async def work(opened: Opened) -> None:
        await ask(opened)
        await ask(opened, {"requirements": ["aside"], "target": TARGET})
        index.world.add(make_wheel("aside", "2"))
        clock.now += 601
        other = {"requirements": ["aside"], "target": TARGET}
        assert await ask(opened, other) == ({"aside": "2"}, False)
        assert await ask(opened) == (TINY, True)

    in_house(data_dir, index, work, clock=clock)


def test_an_upload_counts_at_once_and_only_where_it_matters(index: IndexServer, data_dir: Path) -> None:
    index.world.add(make_wheel("aside", "1"))
    other = {"requirements": ["aside"], "target": TARGET}

    async def work(opened: Opened) -> None:
        await ask(opened)
        await ask(opened, other)
        index.world.add(make_wheel("aside", "2"))
        opened.catalog.forget(normalize("aside"))
        # the page is stored and fresh; a hosted source says of itself when its page has changed
        clock.now += 601
        assert await ask(opened, other) == ({"aside": "2"}, False)
        assert await ask(opened) == (TINY, True)

    clock = Clock()
    in_house(data_dir, index, work, clock=clock)


def test_a_project_that_comes_into_being_counts(index: IndexServer, data_dir: Path) -> None:
    """A name that no source had is part of what an answer rests on."""
    clock = Clock()
    index.world.add(make_wheel("top", "2", requires=["not-there"]))
    index.world.add(make_wheel("top", "1"))
    body = {"requirements": ["top"], "target": TARGET}

    async def work(opened: Opened) -> None:
        assert await ask(opened, body) == ({"top": "1"}, False)
        index.world.add(make_wheel("not-there", "1"))
        clock.now += 601
        assert await ask(opened, body) == ({"top": "2", "not-there": "1"}, False)

    in_house(data_dir, index, work, clock=clock)


def test_the_next_process_remembers(index: IndexServer, data_dir: Path) -> None:
    in_house(data_dir, index, ask)
    before = len(index.requests)
    assert in_house(data_dir, index, ask) == (TINY, True)
    assert len(index.requests) == before


def test_the_next_process_checks_what_is_past_the_window(index: IndexServer, data_dir: Path) -> None:
    in_house(data_dir, index, ask)
    later = Clock()
    later.now += 601
    assert in_house(data_dir, index, ask, clock=later) == (TINY, True)
    index.world.yank("django-5.2-py3-none-any.whl")
    later.now += 601
    found, remembered = in_house(data_dir, index, ask, clock=later)
    assert (found["django"], remembered) == ("4.2.16", False)


def test_other_sources_have_other_answers(index: IndexServer, serve_index: ServeIndex, data_dir: Path) -> None:
    in_house(data_dir, index, ask)
    twin = serve_index(index.world)
    assert in_house(data_dir, twin, ask) == (TINY, False)
    two = [of(index), of(twin, "twin")]
    assert in_house(data_dir, two, ask) == (TINY, False)
    assert in_house(data_dir, two, ask, union="priority") == (TINY, False)
    assert in_house(data_dir, two, ask, union="priority") == (TINY, True)


def test_a_source_that_fails_is_not_passed_over(index: IndexServer, data_dir: Path) -> None:
    clock = Clock()

    async def work(opened: Opened) -> None:
        await ask(opened)
        clock.now += 601
        index.fault("/simple/django/", "status", status=500, times=None)
        with pytest.raises(SourceUnreachable):
            await ask(opened)

    in_house(data_dir, index, work, clock=clock)


def test_a_no_is_not_remembered(index: IndexServer, data_dir: Path) -> None:
    body = {"requirements": ["idna>=99"], "target": TARGET}
    clock = Clock()

    async def work(opened: Opened) -> None:
        for _ in range(2):
            with pytest.raises(Unsatisfiable):
                await ask(opened, body)
        index.world.add(make_wheel("idna", "99.0"))
        clock.now += 601
        assert await ask(opened, body) == ({"idna": "99.0"}, False)

    in_house(data_dir, index, work, clock=clock)


def test_equal_requests_at_once_share_one_computation(index: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        asked = [opened.house.read(JOB) for _ in range(20)]
        answers = await asyncio.gather(*(opened.house.resolve(one) for one in asked))
        assert len({id(one.answer) for one in answers}) == 1
        assert not any(one.remembered for one in answers)

    in_house(data_dir, index, work)
    assert len(asked_of(index)) == len(set(asked_of(index)))


def test_one_who_gives_up_does_not_end_it_for_the_others(index: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        first, second = (asyncio.ensure_future(ask(opened)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == (TINY, False)

    in_house(data_dir, index, work)


def test_a_change_while_it_is_computed_is_not_missed(index: IndexServer, data_dir: Path) -> None:
    """The answer is right for what was looked at; it is not given to the next one as if it were fresh."""
    clock = Clock()

    async def work(opened: Opened) -> None:
        answered = await opened.house.resolve(opened.house.read(JOB))
        clock.now += 601
        index.world.add(make_wheel("idna", "3.8"))
        await opened.catalog.listings([normalize("idna")])
        answered.answers.put("a key", answered.answer)
        assert not answered.answers.holds_now(answered.answer)
        assert await answered.answers.get("a key") is None

    in_house(data_dir, index, work, clock=clock)


def test_folders_are_looked_at_again_after_a_moment(index: IndexServer, data_dir: Path, tmp_path: Path) -> None:
    folder = index.world.write_flat(tmp_path / "flat")
    sources = [SourceSpec("flat", "flat", str(folder))]
    clock = Clock()
    flat = {**TINY, "urllib3": "2.9.0"}  # a folder cannot say that a file is yanked

    async def work(opened: Opened) -> None:
        assert await ask(opened) == (flat, False)
        assert await ask(opened) == (flat, True)
        clock.now += 3
        assert await ask(opened) == (flat, True)
        make_wheel("idna", "3.8").write_to(folder)
        clock.now += 3
        assert await ask(opened) == ({**flat, "idna": "3.8"}, False)

    in_house(data_dir, sources, work, clock=clock)


def test_what_weighs_too_much_is_let_go_and_still_remembered(index: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        house = opened.house
        answers = house.views.get(None).answers
        answers.most_weight = 1
        first = weakref.ref((await house.resolve(house.read(JOB))).answer)
        await answers.flush()
        assert first() is not None, "the newest is held whatever it weighs"
        other = {"requirements": ["idna"], "target": TARGET}
        assert not (await house.resolve(house.read(other))).remembered
        await answers.flush()
        gc.collect()
        assert first() is None, "nothing else holds it"
        before = len(index.requests)
        assert await ask(opened) == (TINY, True)
        assert len(index.requests) == before

    in_house(data_dir, index, work)


def test_the_database_keeps_what_was_used_last(data_dir: Path) -> None:
    clock = Clock()
    with Database.open(data_dir / "venvery.sqlite", clock=clock) as database:
        for number in range(6):
            clock.now += 1
            database.answers.put_many({str(number): NewAnswer(b'{"venvery": 1}', {})})
        clock.now += 4000
        database.answers.touch("1")
        database.answers.keep_newest(3)
        assert [database.answers.get(str(n)) is not None for n in range(6)] == [
            False,
            True,
            False,
            False,
            True,
            True,
        ]


VARIANTS: list[dict[str, Any]] = [
    {"requirements": ["django>=1.8"]},
    {"requirements": ["requests>=2.7", "django>=1.8"]},
    {"requirements": ["django>=1.8", "requests[socks]>=2.7"]},
    {"requirements": ["django>=1.8", "requests>=2.7 ; python_version > '3'"]},
    {"requirements": ["django>=1.8", {"requirement": "requests>=2.7", "origin": "setup.cfg"}]},
    {"requirements": ["django>=1.8", {"requirement": "requests>=2.7", "hashes": ["sha256:" + "0" * 64]}]},
    {"constraints": ["idna<3"]},
    {"target": {"python": "3.12", "platform": "linux-x86_64"}},
    {"target": {"python": "3.11.2", "platform": "linux-x86_64"}},
    {"target": {"python": "3.11", "platform": "manylinux_2_17_x86_64"}},
    {"target": {"python": "3.11", "platform": "manylinux_2_28_x86_64"}},
    {"options": {"preset": "uv"}},
    {"options": {"strategy": "lowest"}},
    {"options": {"prereleases": "allow"}},
    {"options": {"prerelease_projects": ["django"]}},
    {"options": {"only_binary": ":all:"}},
    {"options": {"only_binary": ["django"]}},
    {"options": {"no_binary": ["django"]}},
    {"options": {"exclude_newer": "2025-01-01T00:00:00Z"}},
    {"options": {"exclude_newer": "2025-01-01T00:00:01Z"}},
    {"options": {"overrides": ["idna==2"]}},
    {"options": {"excludes": ["idna"]}},
    {"options": {"preferences": {"idna": "3.6"}}},
    {"options": {"preferences": {"idna": "3.6"}, "upgrade": ["idna"]}},
    {"options": {"preferences": {"idna": "3.6"}, "upgrade": ":all:"}},
    {"options": {"sources": {"idna": "index"}}},
    {"text": "idna\n"},
    {"text": "--index-url https://elsewhere.example/simple\n"},
]


def test_all_that_decides_an_answer_is_in_its_key() -> None:
    def key(body: dict[str, Any], catalog: str = "one") -> str:
        asked = read_body(JOB | body, Defaults("3.11", "linux-x86_64"))
        return request_key(asked.resolve, catalog, asked.warnings)

    keys = [key(variant) for variant in [{}, *VARIANTS]]
    assert len(set(keys)) == len(keys)
    assert key({}) == key({}) == key({"options": {"only_binary": []}})
    assert key({"options": {"excludes": ["b", "a"]}}) == key({"options": {"excludes": ["a", "b"]}})
    assert key({}, "another") not in keys


# over HTTP


def post(server: ServerProcess, body: Any, accept: str = "text/plain", query: str = "") -> tuple[str, str, bytes]:
    """Ask for a lock; give how it was had, how old its listings are, and the lock."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + "/v1/resolve" + query, data, {"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.headers["Vary"] == "Accept"
        assert response.headers["Content-Type"].split(";")[0] == accept
        return response.headers["Venvery-Answer"], response.headers["Venvery-Listings-Age"], response.read()


def test_the_response_says_how_it_was_had(server: ServerProcess) -> None:
    first, second = post(server, JOB), post(server, JOB)
    assert (first[0], second[0]) == ("computed", "remembered")
    assert first[2] == second[2]
    assert b"django==5.2" in first[2]
    assert int(second[1]) < 30


def test_the_fast_lane_minds_all_of_a_request(server: ServerProcess) -> None:
    text = b"django>=1.8\nrequests>=2.7\n"
    target = "?python=3.11&platform=linux-x86_64"
    bodies = {form: post(server, JOB, form)[2] for form in ("text/plain", "application/json", "application/toml")}
    assert len(set(bodies.values())) == 3
    for form, body in bodies.items():
        assert post(server, JOB, form) == ("remembered", "0", body)
    assert post(server, text, query=target)[0] == "computed"  # its origins are others
    assert post(server, text, query=target)[0] == "remembered"
    assert post(server, text, query=target + "&pre=1")[0] == "computed"
    assert b"urllib3==2.2.0" in post(server, text, query=target)[2]


def test_a_spelling_that_means_the_same_is_remembered_too(server: ServerProcess) -> None:
    assert post(server, json.dumps(JOB).encode())[0] == "computed"
    assert post(server, json.dumps(JOB, indent=2).encode())[0] == "remembered"


def test_without_a_window_every_request_asks_and_is_still_quick(
    venvery: Venvery, index: IndexServer, tmp_path: Path
) -> None:
    configuration = tmp_path / "venvery.toml"
    configuration.write_text("freshness-seconds = 0\n")
    with venvery.serve("--config", configuration) as server:
        assert post(server, JOB)[0] == "computed"
        before = len(index.requests)
        assert post(server, JOB)[0] == "remembered"
        assert {one.status for one in index.requests[before:]} == {304}
        index.world.add(make_wheel("idna", "3.8"))
        how, _age, lock = post(server, JOB)
        assert (how, b"idna==3.8" in lock) == ("computed", True)
