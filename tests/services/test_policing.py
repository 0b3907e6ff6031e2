"""The policy on releases at work: what is remembered ends in time, and locks are held against it too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.catalog.opened import Clock, of
from tests.services.opening import TARGET, Opened, ask, in_house, versions
from tests.support.index_server import IndexServer, Settings
from tests.support.wheels import make_wheel
from venvery.errors import BadInput, NoUsableFile, Unsatisfiable
from venvery.model.policy import ReleasePolicy, parse_rule
from venvery.resolve.writers import lock_to_document

ServeIndex = Callable[..., IndexServer]
DAY = 86400.0
BODY = {"requirements": ["a"], "target": TARGET}
COOL = ReleasePolicy(cool_down=timedelta(days=7))


@pytest.fixture
def served(serve_index: ServeIndex) -> IndexServer:
    """Give an index on which a 1 is old, a 2 is two days old."""
    server = serve_index([make_wheel("a", "1")])
    now = datetime.fromtimestamp(Clock().now, UTC)
    server.world.add(make_wheel("a", "2"), upload_time=now - timedelta(days=2))
    return server


def test_a_release_is_offered_when_it_is_old_enough_and_not_before(served: IndexServer, data_dir: Path) -> None:
    clock = Clock()

    async def work(opened: Opened) -> None:
        assert await ask(opened, BODY) == ({"a": "1"}, False)
        for _hour in range(5 * 24 - 1):
            clock.now += DAY / 24
            assert await ask(opened, BODY) == ({"a": "1"}, True), "nothing ripened: nothing is computed anew"
        clock.now += DAY / 24
        assert await ask(opened, BODY) == ({"a": "2"}, False)
        clock.now += 100 * DAY
        assert await ask(opened, BODY) == ({"a": "2"}, True)

    in_house(data_dir, served, work, clock=clock, policy=COOL)


def test_another_process_knows_how_long_an_answer_holds(served: IndexServer, data_dir: Path) -> None:
    clock = Clock()

    async def first(opened: Opened) -> None:
        assert await ask(opened, BODY) == ({"a": "1"}, False)

    async def second(opened: Opened) -> None:
        assert await ask(opened, BODY) == ({"a": "1"}, True)
        clock.now += 5 * DAY
        assert await ask(opened, BODY) == ({"a": "2"}, False)

    in_house(data_dir, served, first, clock=clock, policy=COOL)
    in_house(data_dir, served, second, clock=clock, policy=COOL)


def test_where_no_upload_time_is_known_the_time_at_which_it_was_first_seen_counts(
    served: IndexServer, data_dir: Path
) -> None:
    served.settings = Settings(upload_times=False)
    clock = Clock()

    async def work(opened: Opened) -> None:
        with pytest.raises(Unsatisfiable) as caught:
            await ask(opened, BODY)
        assert "too new: the cool-down is 7 days" in str(caught.value.explanation)
        clock.now += 7 * DAY
        assert await ask(opened, BODY) == ({"a": "2"}, False)

    in_house(data_dir, served, work, clock=clock, policy=COOL)


def test_what_is_blocked_while_the_server_runs_is_gone_at_once(served: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        asked = opened.house.read(BODY)
        before = (await opened.house.resolve(asked)).answer
        assert versions(before.lock) == {"a": "2"}
        opened.house.policing.block([parse_rule("a==2")])
        assert not opened.house.views.get(None).answers.holds_now(before), "or the fast lane would still give it"
        assert await ask(opened, BODY) == ({"a": "1"}, False)
        assert await ask(opened, BODY) == ({"a": "1"}, True)
        opened.house.policing.block([])
        assert await ask(opened, BODY) == ({"a": "2"}, True)

    in_house(data_dir, served, work)


def test_a_lock_does_not_get_around_the_policy(served: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        lock = (await opened.house.resolve(opened.house.read(BODY))).lock
        body = {"lock": lock_to_document(lock), "target": TARGET}
        await opened.house.environment(opened.house.read(body))
        rule = parse_rule({"release": "a>1", "reason": "CVE-2026-1"})
        opened.house.policing.block([rule])
        with pytest.raises(NoUsableFile, match=r"a 2 is blocked by the administrator \(CVE-2026-1\)"):
            await opened.house.environment(opened.house.read(body))

    in_house(data_dir, served, work)


def test_a_request_may_choose_among_the_sources_that_there_are(
    served: IndexServer, serve_index: ServeIndex, data_dir: Path
) -> None:
    other = serve_index([make_wheel("a", "3")])

    async def work(opened: Opened) -> None:
        assert await ask(opened, BODY) == ({"a": "3"}, False)
        assert await ask(opened, BODY | {"options": {"sources": {"a": "index"}}}) == ({"a": "2"}, False)
        with pytest.raises(BadInput, match="'elsewhere', which is none of the sources here"):
            await ask(opened, BODY | {"options": {"sources": {"a": "elsewhere"}}})

    in_house(data_dir, [of(served), of(other, "other")], work)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (COOL, "a 2 is too new: the cool-down is 7 days"),
        (ReleasePolicy(blocked=(parse_rule("a==2"),)), "a 2 is blocked by the administrator"),
    ],
)
def test_outdated_says_that_the_policy_holds_a_release_back(
    served: IndexServer, data_dir: Path, policy: ReleasePolicy, reason: str
) -> None:
    async def work(opened: Opened) -> None:
        told = await opened.house.outdated({"pins": "a==1\n", "target": TARGET})
        [update] = told.updates
        assert (update.taken, update.newest, update.reason) == ("1", "2", reason)
        assert not told.would_change

    in_house(data_dir, served, work, policy=policy)
