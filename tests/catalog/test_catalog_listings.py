"""Listings from real servers: formats, freshness, union, and every way in which an index fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.catalog.opened import Clock, Heard, listing, of, opened, run
from tests.conftest import ServeIndex
from tests.support.index_server import Settings, closed_port
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel
from tests.support.world import World
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.files import Listing
from venvery.model.names import normalize
from venvery.model.sources import NetworkSettings, SourceSpec

A, B = normalize("a"), normalize("b")


@pytest.mark.parametrize("formats", ["json", "html"])
def test_everything_that_an_index_says_is_read(data_dir: Path, serve_index: ServeIndex, formats: str) -> None:
    world = World()
    wheel = world.add(
        make_wheel("A", "1.0", requires_python=">=3.8,<4"), upload_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    sdist = world.add(make_sdist("A", "1.1"), yanked='broken & "bad" <sorry>')
    server = serve_index(world, settings=Settings(formats=formats))  # type: ignore[arg-type]
    found = listing(data_dir, [of(server)], "a")
    assert found.known
    assert [file.filename for file in found.files] == [wheel.filename, sdist.filename]
    first, second = found.files
    assert (first.sha256, str(first.version), first.kind, first.tag) == (
        wheel.sha256,
        "1.0",
        "wheel",
        "py3-none-any",
    )
    assert first.requires_python == ">=3.8,<4"
    assert first.yanked is None
    assert second.yanked == 'broken & "bad" <sorry>'
    assert first.url == f"{server.origin}/files/{wheel.filename}"
    assert first.core_metadata is not None
    assert first.source == "index"
    if formats == "json":
        assert first.size == len(wheel.data)
        assert first.upload_time == datetime(2024, 5, 1, tzinfo=UTC)


def test_both_formats_give_the_same_files_but_for_size_and_time(
    tmp_path: Path, serve_index: ServeIndex, world: World
) -> None:
    pages: list[object] = []
    server = serve_index(world)
    for formats in ("json", "html"):
        server.settings = Settings(formats=formats, sizes=False, upload_times=False)  # type: ignore[arg-type]
        found = listing(tmp_path / formats, [of(server)], world.projects[0], clock=Clock())
        pages.append([(f.filename, f.sha256, f.requires_python, f.yanked, f.core_metadata) for f in found.files])
        pages.append(found.revision)
    assert pages[0] == pages[2]
    assert pages[1] == pages[3]


def test_a_project_that_no_source_has_is_not_known(data_dir: Path, serve_index: ServeIndex) -> None:
    first, second = serve_index(), serve_index()
    found = listing(data_dir, [of(first, "1"), of(second, "2")], "nowhere")
    assert (found.known, found.files) == (False, ())


def test_within_the_window_nothing_is_asked_and_after_it_304_is_enough(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    clock, heard = Clock(), Heard()
    first = listing(data_dir, [of(server)], "a", clock=clock, reporter=heard)
    clock.now += 599
    second = listing(data_dir, [of(server)], "a", clock=clock, reporter=heard)
    assert len(server.requests) == 1
    clock.now += 2
    third = listing(data_dir, [of(server)], "a", clock=clock, reporter=heard)
    assert [request.status for request in server.requests] == [200, 304]
    clock.now += 599  # the 304 renewed the window
    fourth = listing(data_dir, [of(server)], "a", clock=clock, reporter=heard)
    assert len(server.requests) == 2
    assert first == second == third == fourth
    assert heard.listings == {"read": 1, "stored": 2, "unchanged": 1}


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(etags=False), Settings(etags=False, last_modified=False)]
)
def test_a_new_release_is_seen_after_the_window(
    data_dir: Path, serve_index: ServeIndex, settings: Settings
) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=settings)
    clock = Clock()
    before = listing(data_dir, [of(server)], "a", clock=clock)
    server.add(make_wheel("a", "2.0"))
    clock.now += 601
    after = listing(data_dir, [of(server)], "a", clock=clock)
    assert [str(file.version) for file in after.files] == ["1.0", "2.0"]
    assert before.revision != after.revision


def test_without_validators_an_unchanged_page_is_recognised_by_its_bytes(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(etags=False, last_modified=False))
    clock, heard = Clock(), Heard()
    before = listing(data_dir, [of(server)], "a", clock=clock, reporter=heard)
    clock.now += 601
    assert listing(data_dir, [of(server)], "a", clock=clock, reporter=heard) == before
    assert heard.listings == {"read": 1, "unchanged": 1}


def test_a_clock_that_was_set_back_does_not_make_a_listing_fresh_for_ever(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    clock = Clock()
    listing(data_dir, [of(server)], "a", clock=clock)
    clock.now -= 86400
    listing(data_dir, [of(server)], "a", clock=clock)
    assert len(server.requests) == 2


def test_that_a_project_is_not_there_is_remembered_within_the_window_only(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index()
    clock = Clock()
    for _ in range(2):
        assert not listing(data_dir, [of(server)], "a", clock=clock).known
    assert len(server.requests) == 1
    server.add(make_wheel("a", "1.0"))
    clock.now += 601
    assert listing(data_dir, [of(server)], "a", clock=clock).known


def test_first_seen_stays_what_it_was(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(upload_times=False))
    clock = Clock()
    started = clock.now
    listing(data_dir, [of(server)], "a", clock=clock)
    clock.now += 10_000
    server.add(make_wheel("a", "2.0"))
    listing(data_dir, [of(server)], "a", clock=clock)
    server.remove("a-1.0-py3-none-any.whl")
    server.remove("a-2.0-py3-none-any.whl")
    clock.now += 10_000
    assert not listing(data_dir, [of(server)], "a", clock=clock).known
    server.add(make_wheel("a", "1.0"))
    server.add(make_wheel("a", "2.0"))
    clock.now += 10_000
    found = listing(data_dir, [of(server)], "a", clock=clock)
    times = [file.upload_time.timestamp() for file in found.files if file.upload_time]
    assert times == [started, started + 10_000]


def test_the_revision_does_not_depend_on_when_we_looked(tmp_path: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(upload_times=False))
    clock = Clock()
    first = listing(tmp_path / "1", [of(server)], "a", clock=clock)
    clock.now += 5
    second = listing(tmp_path / "2", [of(server)], "a", clock=clock)
    assert first.revision == second.revision


def test_a_yank_changes_the_revision(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    clock = Clock()
    before = listing(data_dir, [of(server)], "a", clock=clock)
    server.world.yank("a-1.0-py3-none-any.whl", "oops")
    clock.now += 601
    after = listing(data_dir, [of(server)], "a", clock=clock)
    assert after.files[0].yanked == "oops"
    assert before.revision != after.revision


def test_merging_unites_all_sources_and_the_first_wins_a_file_name(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    first = serve_index([make_wheel("a", "1.0")])
    second = serve_index([make_wheel("a", "1.0", requires=["b"]), make_wheel("a", "2.0")])
    found = listing(data_dir, [of(first, "first"), of(second, "second")], "a")
    assert [(str(file.version), file.source) for file in found.files] == [("1.0", "first"), ("2.0", "second")]


def test_by_priority_a_project_of_the_first_source_is_never_asked_for_elsewhere(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    own, public = (
        serve_index([make_wheel("a", "1.0")]),
        serve_index([make_wheel("a", "9.0"), make_wheel("b", "1.0")]),
    )
    sources = [of(own, "own"), of(public, "public")]
    found = listing(data_dir, sources, "a", union="priority")
    assert [str(file.version) for file in found.files] == ["1.0"]
    assert public.requests == ()
    assert [file.source for file in listing(data_dir, sources, "b", union="priority").files] == ["public"]


def test_a_source_that_fails_is_never_a_source_without_the_project(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    own, public = serve_index(), serve_index([make_wheel("a", "1.0")])
    own.fault("/simple/*", "status", status=503)
    for union in ("merge", "priority"):
        with pytest.raises(SourceUnreachable, match="503"):
            listing(data_dir, [of(own, "own"), of(public, "public")], "a", union=union)
    own.heal()
    assert listing(data_dir, [of(own, "own"), of(public, "public")], "a").known


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(data_dir: Path, serve_index: ServeIndex, status: int) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/*", "status", status=status, times=2)
    heard = Heard()
    assert listing(data_dir, [of(server)], "a", reporter=heard).known
    assert [request.status for request in server.requests] == [status, status, 200]
    assert 0.125 <= heard.waits[0] <= 0.375 and 0.25 <= heard.waits[1] <= 0.75


def test_a_reset_connection_is_tried_again(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/*", "reset", times=2)
    assert listing(data_dir, [of(server)], "a").known


def test_retry_after_is_honoured_but_not_for_ever(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/*", "status", status=429, times=1, retry_after="7")
    heard = Heard()
    assert listing(data_dir, [of(server)], "a", reporter=heard).known
    assert heard.waits == [7.0]
    server.fault("/simple/*", "status", status=503, retry_after="86400")
    with pytest.raises(SourceUnreachable, match="503"):
        listing(data_dir, [of(server)], "b")
    assert len(server.asked("/simple/b/")) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_an_error_and_not_tried_again(data_dir: Path, serve_index: ServeIndex, status: int) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/*", "status", status=status)
    with pytest.raises(SourceUnreachable, match=f"HTTP {status}"):
        listing(data_dir, [of(server)], "a")
    assert len(server.requests) == 1


def test_an_index_that_is_down_is_said_to_be(data_dir: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/simple"
    with pytest.raises(SourceUnreachable, match="cannot connect") as caught:
        listing(data_dir, [SourceSpec("index", "index", url)], "a")
    assert url in str(caught.value)


def test_an_index_that_is_slow_is_said_to_be(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    network = NetworkSettings(read_timeout=0.1, retries=1)
    server.fault("/simple/a/", "stall", seconds=5)
    with pytest.raises(SourceUnreachable, match="no answer in time"):
        listing(data_dir, [of(server)], "a", network=network)
    server.heal()
    server.fault("/simple/a/", "drip", seconds=10)
    with pytest.raises(SourceUnreachable, match="no whole answer"):
        listing(data_dir, [of(server)], "a", network=network)


def test_a_plain_server_behind_https_is_said_to_be_unreachable(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index()
    with pytest.raises(SourceUnreachable):
        listing(data_dir, [SourceSpec("index", "index", server.url.replace("http:", "https:"))], "a")


def test_a_truncated_page_is_tried_again_and_then_garbage(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/a/", "truncate", after=40, times=1)
    assert listing(data_dir, [of(server)], "a").known
    server.fault("/simple/b/", "truncate", after=5)
    server.add(make_wheel("b", "1.0"))
    with pytest.raises(SourceGarbage, match="cut off"):
        listing(data_dir, [of(server)], "b")


@pytest.mark.parametrize("kind", ["garbage", "empty"])
@pytest.mark.parametrize("formats", ["json", "html"])
def test_garbage_is_an_error(data_dir: Path, serve_index: ServeIndex, kind: str, formats: str) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(formats=formats))  # type: ignore[arg-type]
    server.fault("/simple/*", kind)  # type: ignore[arg-type]
    with pytest.raises(SourceGarbage) as caught:
        listing(data_dir, [of(server)], "a")
    assert server.origin in str(caught.value)
    server.heal()
    assert listing(data_dir, [of(server)], "a").known


def test_redirects_are_followed_and_links_start_where_they_end(data_dir: Path, serve_index: ServeIndex) -> None:
    real, front = serve_index([make_wheel("a", "1.0")]), serve_index()
    front.fault("/simple/a/", "redirect", location=f"{real.origin}/simple/a/")
    found = listing(data_dir, [of(front)], "a")
    assert found.files[0].url.startswith(real.origin)
    front.heal()
    front.fault("/simple/b/", "redirect", location="/simple/b/")
    with pytest.raises(SourceGarbage, match="circles"):
        listing(data_dir, [of(front)], "b")


def test_credentials_are_sent_and_shown_to_nobody(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(credentials=("me", "p@ss:w/rd")))
    location = server.url.rstrip("/").replace("http://", "http://me:p%40ss%3Aw%2Frd@")
    spec = SourceSpec("private", "index", location)
    found = listing(data_dir, [spec], "a")
    assert found.files[0].url.startswith(server.origin)
    assert b"p%40ss" not in b"".join(path.read_bytes() for path in data_dir.glob("venvery.sqlite*"))
    server.fault("/simple/*", "status", status=503)
    with pytest.raises(SourceUnreachable) as caught:
        listing(data_dir, [spec], "b")
    assert "ss" not in str(caught.value).replace("password", "") and "me:" not in str(caught.value)


def test_credentials_do_not_follow_a_redirect_to_another_host(data_dir: Path, serve_index: ServeIndex) -> None:
    private, other = (
        serve_index(settings=Settings(credentials=("me", "secret"))),
        serve_index([make_wheel("a", "1.0")]),
    )
    private.fault("/simple/a/", "redirect", location=f"{other.origin}/simple/a/")
    location = private.url.rstrip("/").replace("http://", "http://me:secret@")
    assert listing(data_dir, [SourceSpec("private", "index", location)], "a").known
    assert "authorization" in private.requests[0].headers
    assert "authorization" not in other.requests[0].headers


def test_many_who_ask_at_once_cause_one_request(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0"), make_wheel("b", "1.0")])
    server.fault("/simple/*", "stall", seconds=0.1)

    async def work(catalog: Catalog) -> list[dict[str, Listing]]:
        return await asyncio.gather(*(catalog.listings([A, B]) for _ in range(20)))  # type: ignore[arg-type]

    answers = run(data_dir, [of(server)], work)
    assert len(server.requests) == 2
    assert all(answer == answers[0] for answer in answers)


def test_one_who_gives_up_does_not_take_it_from_the_others(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/simple/*", "stall", seconds=0.2)

    async def work(catalog: Catalog) -> bool:
        impatient = asyncio.create_task(catalog.listings([A]))
        patient = asyncio.create_task(catalog.listings([A]))
        await asyncio.sleep(0.05)
        impatient.cancel()
        return (await patient)[A].known

    assert run(data_dir, [of(server)], work)
    assert len(server.requests) == 1


def test_peek_gives_what_is_fresh_in_memory(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    clock = Clock()

    async def work(catalog: Catalog) -> None:
        assert catalog.peek_listing(A) is None
        found = (await catalog.listings([A]))[A]
        assert catalog.peek_listing(A) is found
        clock.now += 601
        assert catalog.peek_listing(A) is None

    run(data_dir, [of(server)], work, clock=clock)


def test_two_data_folders_users_do_not_mix_up_sources_of_one_name(data_dir: Path, serve_index: ServeIndex) -> None:
    one, other = serve_index([make_wheel("a", "1.0")]), serve_index([make_wheel("a", "2.0")])
    versions = [str(listing(data_dir, [of(server)], "a").files[0].version) for server in (one, other, one)]
    assert versions == ["1.0", "2.0", "1.0"]


def test_without_any_source_nothing_is_known(data_dir: Path) -> None:
    assert not listing(data_dir, [], "a").known


def test_a_failed_listing_does_not_hold_up_the_next_question(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])

    async def work() -> None:
        async with opened(data_dir, [of(server)]) as catalog:
            server.fault("/simple/*", "status", status=403)
            with pytest.raises(SourceUnreachable):
                await catalog.listings([A, B])
            server.heal()
            assert (await catalog.listings([A]))[A].known

    asyncio.run(work())


def test_a_folder_beside_an_index_does_not_cost_the_index_its_window(
    tmp_path: Path, data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    folder = World([make_wheel("a", "0.9")]).write_flat(tmp_path / "files")
    clock, heard = Clock(), Heard()

    async def work(catalog: Catalog) -> None:
        first = (await catalog.listings([A]))[A]
        clock.now += 3  # past the window of the folder
        assert catalog.peek_listing(A) is None
        assert (await catalog.listings([A]))[A] is first
        make_wheel("a", "2.0").write_to(folder)
        clock.now += 3
        third = (await catalog.listings([A]))[A]
        assert [str(file.version) for file in third.files] == ["0.9", "1.0", "2.0"]

    sources = [SourceSpec("files", "flat", str(folder)), of(server)]
    run(data_dir, sources, work, clock=clock, reporter=heard)
    assert len(server.requests) == 1
    assert heard.listings == {"read": 4}


def test_a_mirror_that_moved_its_files_is_followed(data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = make_wheel("a", "1.0")
    old, new = serve_index([wheel]), serve_index([wheel])
    clock = Clock()

    async def work(catalog: Catalog) -> None:
        before = (await catalog.listings([A]))[A]
        old.fault("/simple/a/", "redirect", location=f"{new.origin}/simple/a/")
        clock.now += 601
        after = (await catalog.listings([A]))[A]
        assert after.revision != before.revision, "or what was remembered would lead to the old place"
        assert before.files[0].url.startswith(old.origin) and after.files[0].url.startswith(new.origin)

    run(data_dir, [of(old)], work, clock=clock)


@pytest.mark.parametrize("union", ["merge", "priority"])
def test_a_name_that_belongs_to_one_source_is_asked_of_no_other(
    data_dir: Path, serve_index: ServeIndex, union: str
) -> None:
    public = serve_index([make_wheel("a", "9.0"), make_wheel("b", "1.0"), make_wheel("acme-x", "6.6")])
    private = serve_index([make_wheel("a", "1.0"), make_wheel("b", "2.0")])
    sources = [of(public, "public"), replace(of(private, "private"), projects=("a", "acme-*"))]

    async def work(catalog: Catalog) -> dict[str, list[str]]:
        names = [A, B, normalize("acme-x")]
        found = await catalog.listings(names)
        assert {project: (await catalog.stamps([project]))[project].revision for project in names} == {
            project: found[project].revision for project in names
        }
        return {project: [f"{file.source} {file.version}" for file in found[project].files] for project in names}

    expected = {"a": ["private 1.0"], "b": ["public 1.0"], "acme-x": []}
    assert run(data_dir, sources, work, union=union) == expected
    assert run(data_dir, sources, work, union=union) == expected  # from the database
    assert {request.path for request in public.requests} == {"/simple/b/"}
    assert {request.path for request in private.requests} == {"/simple/a/", "/simple/acme-x/"}
