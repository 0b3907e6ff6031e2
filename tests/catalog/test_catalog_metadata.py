"""Core metadata, by each of the ways in which it can be had."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.catalog.opened import Clock, Heard, blobs_in, metadata, of, run
from tests.conftest import ServeIndex
from tests.support.index_server import IndexServer, Settings
from tests.support.sdists import make_sdist
from tests.support.wheels import BuiltFile, make_wheel
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceFailed, SourceGarbage, SourceUnreachable
from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.names import normalize
from venvery.model.versions import parse_version
from venvery.storage.metadata import Metadata

A = normalize("a")
FULL = CoreMetadata(A, parse_version("1.0"), ">=3.8", ("b>=1", 'c ; extra == "x"'), (normalize("x"),))


def wheel(**more: object) -> BuiltFile:
    return make_wheel("A", "1.0", requires=["b>=1"], extras={"X": ["c"]}, requires_python=">=3.8", **more)  # type: ignore[arg-type]


def expected(found: object) -> CoreMetadata:
    assert isinstance(found, CoreMetadata), found
    return CoreMetadata(
        found.project,
        found.version,
        found.requires_python,
        tuple(text.replace('"X"', '"x"') for text in found.requires_dist),
        found.provides_extra,
    )


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        (Settings(), "sidecar"),
        (Settings(pep658="unhashed"), "sidecar"),
        (Settings(formats="html"), "sidecar"),
        (Settings(pep658="silent"), "ranges"),
        (Settings(pep658="silent", ranges="off"), "sidecar"),
        (Settings(pep658="off"), "ranges"),
        (Settings(pep658="off", sizes=False), "ranges"),
        (Settings(pep658="off", formats="html", hashes=False), "ranges"),
        (Settings(pep658="off", sizes=False, ranges="no-suffix"), "ranges"),
        (Settings(pep658="off", ranges="off"), "file"),
        (Settings(pep658="off", ranges="ignored", sizes=False), "file"),
    ],
)
def test_a_wheel_whatever_the_index_can_do(
    data_dir: Path, serve_index: ServeIndex, settings: Settings, how: str
) -> None:
    server = serve_index([wheel()], settings=settings)
    heard = Heard()
    (found,) = metadata(data_dir, [of(server)], "a", reporter=heard).values()
    assert expected(found) == FULL
    assert heard.metadata == {how: 1}
    assert (blobs_in(data_dir) != []) == (how == "file")
    asked = len(server.requests)
    (again,) = metadata(data_dir, [of(server)], "a", reporter=heard).values()
    assert again == found
    assert len(server.requests) == asked, "a second process asked again"
    assert heard.metadata["stored"] == 1


def test_a_whole_file_that_had_to_be_read_is_not_fetched_again(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([wheel()], settings=Settings(pep658="off", ranges="ignored"))

    async def work(catalog: Catalog) -> None:
        (file,) = (await catalog.listings([A]))[A].files
        await catalog.metadata([file])
        asked = len(server.requests)
        await catalog.fetch(file)
        assert len(server.requests) == asked

    run(data_dir, [of(server)], work)


def test_metadata_beside_the_file_that_is_not_as_promised_is_garbage(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([wheel()], settings=Settings(pep658="wrong-hash"))
    with pytest.raises(SourceGarbage, match="SHA-256"):
        metadata(data_dir, [of(server)], "a")
    server.settings.pep658 = "on"
    clock = Clock()
    clock.now += 601
    (found,) = metadata(data_dir, [of(server)], "a", clock=clock).values()
    assert expected(found) == FULL


def test_promised_metadata_that_is_not_there_is_read_from_the_file(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([wheel()])
    server.fault("*.metadata", "status", status=404)
    heard = Heard()
    (found,) = metadata(data_dir, [of(server)], "a", reporter=heard).values()
    assert expected(found) == FULL
    assert heard.metadata == {"ranges": 1}


def test_an_index_that_fails_is_not_a_file_without_dependencies(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([wheel()])
    server.fault("/files/*", "status", status=503)
    with pytest.raises(SourceUnreachable, match="503"):
        metadata(data_dir, [of(server)], "a")
    server.heal()
    (found,) = metadata(data_dir, [of(server)], "a").values()
    assert expected(found) == FULL


def test_a_login_page_in_place_of_unpromised_metadata_is_passed_over(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([wheel()], settings=Settings(pep658="off", ranges="off"))
    server.fault("*.metadata", "garbage")
    (found,) = metadata(data_dir, [of(server)], "a").values()
    assert expected(found) == FULL


def versions(server: IndexServer, count: int) -> None:
    for number in range(count):
        server.add(make_wheel("a", f"{number}.0", requires=[f"b=={number}"]))


def test_a_host_that_serves_no_metadata_is_not_asked_again_and_again(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index(settings=Settings(pep658="off", ranges="off"))
    versions(server, 12)
    heard, clock = Heard(), Clock()
    assert len(metadata(data_dir, [of(server)], "a", reporter=heard, clock=clock)) == 12
    assert heard.metadata == {"file": 12}
    assert len(server.asked("*.metadata")) == 2
    server.add(make_wheel("a", "99.0"))
    clock.now += 601
    metadata(data_dir, [of(server)], "a", clock=clock)
    assert len(server.asked("*.metadata")) == 2, "a second process found it out again"
    clock.now += 8 * 86400
    server.add(make_wheel("a", "100.0"))
    metadata(data_dir, [of(server)], "a", clock=clock)
    assert len(server.asked("*.metadata")) == 3, "after a week it is worth another look"


def test_one_file_without_metadata_does_not_count_against_its_host(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index(settings=Settings(pep658="silent", ranges="off"))
    versions(server, 4)
    server.fault("*/a-0.0*.metadata", "status", status=404)
    server.fault("*/a-1.0*.metadata", "status", status=404, times=0)
    heard = Heard()
    metadata(data_dir, [of(server)], "a", reporter=heard)
    assert heard.metadata == {"file": 1, "sidecar": 3}


def test_where_ranges_work_metadata_that_was_not_offered_is_not_asked_for(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index(settings=Settings(pep658="silent"))
    versions(server, 4)
    heard = Heard()
    metadata(data_dir, [of(server)], "a", reporter=heard)
    assert heard.metadata == {"ranges": 4}
    assert server.asked("*.metadata") == ()


def test_a_large_wheel_costs_a_few_kilobytes(data_dir: Path, serve_index: ServeIndex) -> None:
    import random

    noise = random.Random(1).randbytes(2_000_000)
    big = make_wheel("a", "1.0", requires=["b"], files={"a/noise.bin": noise})
    server = serve_index([big], settings=Settings(pep658="off"))
    (found,) = metadata(data_dir, [of(server)], "a").values()
    assert isinstance(found, CoreMetadata) and found.requires_dist == ("b",)
    assert sum(request.sent for request in server.asked("/files/*")) < 100_000


def test_many_who_ask_at_once_cause_one_request(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([wheel()])
    server.fault("/files/*", "stall", seconds=0.1)

    async def work(catalog: Catalog) -> None:
        files = (await catalog.listings([A]))[A].files
        answers = await asyncio.gather(*(catalog.metadata(files) for _ in range(10)))
        assert all(answer == answers[0] for answer in answers)

    run(data_dir, [of(server)], work)
    assert len(server.asked("/files/*")) == 1


@pytest.mark.parametrize("settings", [Settings(pep658="off"), Settings(pep658="off", ranges="ignored")])
@pytest.mark.parametrize(
    ("defect", "reason"),
    [
        ("no-metadata", "no METADATA"),
        ("no-dist-info", "no METADATA"),
        ("wrong-name", "another project"),
        ("wrong-version", "another version"),
        ("huge-metadata", "absurdly large"),
        ("truncated", "not a zip file"),
        ("not-a-zip", "not a zip file"),
    ],
)
def test_a_broken_wheel_has_no_metadata_and_says_why(
    data_dir: Path, serve_index: ServeIndex, settings: Settings, defect: str, reason: str
) -> None:
    server = serve_index([wheel(broken=[defect])], settings=settings)
    (found,) = metadata(data_dir, [of(server)], "a").values()
    assert isinstance(found, NoMetadata), found
    assert reason in found.reason
    assert not found.needs_build
    asked = len(server.requests)
    (again,) = metadata(data_dir, [of(server)], "a").values()
    assert again == found
    assert len(server.requests) == asked


def test_pieces_that_seem_broken_are_believed_of_the_whole_file_only(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    long = make_wheel("a", "1.0", requires=[f"b{number * 7919 % 10007}" for number in range(500)])
    server = serve_index([long], settings=Settings(pep658="off"))
    server.fault("*.whl", "corrupt", times=1)  # in the middle, where METADATA is
    heard = Heard()
    (found,) = metadata(data_dir, [of(server)], "a", reporter=heard).values()
    assert isinstance(found, CoreMetadata) and len(found.requires_dist) == 500
    assert heard.metadata == {"file": 1}


def test_a_static_sdist_tells_and_others_need_a_build(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index(
        [
            make_sdist("a", "1.0", requires=["b"]),
            make_sdist("a", "2.0", requires=["b"], static=False),
            make_sdist("a", "3.0", requires=["b"], metadata_version="2.1"),
            make_sdist("a", "4.0", broken=["no-pkg-info"]),
            make_sdist("a", "5.0", broken=["not-a-tar"]),
            make_sdist("a", "6.0", broken=["truncated"]),
            make_sdist("a", "7.0", broken=["wrong-version"]),
        ]
    )
    found = {name.split("-")[1][0]: one for name, one in metadata(data_dir, [of(server)], "a").items()}
    assert isinstance(found["1"], CoreMetadata) and found["1"].requires_dist == ("b",)
    reasons = {key: (one.reason, one.needs_build) for key, one in found.items() if isinstance(one, NoMetadata)}
    assert "known only after a build" in reasons["2"][0] and reasons["2"][1]
    assert "does not promise" in reasons["3"][0] and reasons["3"][1]
    assert reasons["4"] == ("it has no PKG-INFO", True)
    assert "damaged" in reasons["5"][0] and not reasons["5"][1]
    assert "another version" in reasons["7"][0]
    assert not (isinstance(found["6"], CoreMetadata) and found["6"].requires_dist)


def test_a_host_that_answers_nothing_is_an_error(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([wheel()], settings=Settings(pep658="off"))
    server.fault("*.whl", "empty")
    with pytest.raises(SourceFailed):
        metadata(data_dir, [of(server)], "a")
    server.heal()
    (found,) = metadata(data_dir, [of(server)], "a").values()
    assert expected(found) == FULL


def test_what_was_read_a_moment_ago_is_not_read_again_before_it_is_written(
    data_dir: Path, serve_index: ServeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve_index([make_wheel("a", f"{number}.0") for number in range(9)])  # enough for a thread
    get_many = Metadata.get_many
    first_is_done = threading.Event()

    def slow(self: Metadata, files: Sequence[str]) -> object:
        found = get_many(self, files)  # looked at before the first who asks has written anything
        looks.append(None)
        if len(looks) > 1:
            first_is_done.wait(30)
        return found

    looks: list[None] = []
    monkeypatch.setattr(Metadata, "get_many", slow)

    async def work(catalog: Catalog) -> None:
        files = (await catalog.listings([A]))[A].files
        first = asyncio.ensure_future(catalog.metadata(files))
        while not looks:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(catalog.metadata(files))
        await first
        first_is_done.set()
        assert await second == first.result()

    run(data_dir, [of(server)], work)
    assert len(server.asked("/files/*")) == 9
