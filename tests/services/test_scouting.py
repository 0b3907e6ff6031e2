"""Scouts: what the solver will need is fetched as soon as it is known of, and nothing depends on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.services.opening import TARGET, Opened, ask, in_house
from tests.support.index_server import IndexServer, Settings
from tests.support.wheels import BuiltFile, make_wheel
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceUnreachable
from venvery.model.files import DistFile
from venvery.model.names import NormalizedName
from venvery.services.bench import Bench

ServeIndex = Callable[..., IndexServer]


def chain(length: int) -> list[BuiltFile]:
    """Make p0, which requires p1, which requires p2 …; of each an older release that requires nothing."""
    files = []
    for number in range(length):
        files.append(make_wheel(f"p{number}", "1.0"))
        requires = [f"p{number + 1}>=2"] if number + 1 < length else []
        files.append(make_wheel(f"p{number}", "2.0", requires=requires))
    return files


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note what the solver asks for."""
    asked: list[object] = []
    advance = Bench.advance

    async def noting(self: Bench, *args: object) -> object:
        asked.append(step := await advance(self, *args))  # type: ignore[arg-type]
        return step

    monkeypatch.setattr(Bench, "advance", noting)
    return asked


def test_a_long_chain_is_walked_while_one_project_is_slow(
    data_dir: Path, serve_index: ServeIndex, rounds: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve_index([*chain(12), make_wheel("slow", "1.0")])
    listings, metadata = Catalog.listings, Catalog.metadata
    end_of_chain = asyncio.Event()

    async def slow_listings(self: Catalog, projects: Iterable[NormalizedName]) -> object:
        projects = tuple(projects)
        if "slow" in projects:
            await asyncio.wait_for(end_of_chain.wait(), 60)
        return await listings(self, projects)

    async def noted_metadata(self: Catalog, files: Iterable[DistFile]) -> object:
        files = tuple(files)
        found = await metadata(self, files)
        if any(file.project == "p11" for file in files):
            end_of_chain.set()
        return found

    monkeypatch.setattr(Catalog, "listings", slow_listings)
    monkeypatch.setattr(Catalog, "metadata", noted_metadata)

    async def work(opened: Opened) -> None:
        found, _ = await ask(opened, {"requirements": ["slow", "p0"], "target": TARGET})
        assert found == {"slow": "1.0", **{f"p{number}": "2.0" for number in range(12)}}

    in_house(data_dir, server, work)
    assert len(rounds) <= 4, "what the scouts brought was asked for once more"
    assert len(server.asked("/simple/*")) == 13
    assert len(server.asked("/files/*")) == 13, "older releases are none of their business"


def test_what_they_guess_wrong_changes_no_answer(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1"), make_wheel("a", "2", requires=["nowhere"])])
    server.add(make_wheel("b", "1", requires=["a<2"]))

    async def work(opened: Opened) -> None:
        found, _ = await ask(opened, {"requirements": ["a", "b"], "target": TARGET})
        assert found == {"a": "1", "b": "1"}

    in_house(data_dir, server, work)


def test_what_fails_for_them_fails_for_the_solver_when_it_is_needed(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    server = serve_index(chain(4))
    server.fault("/simple/p3/", "status", status=403)

    async def work(opened: Opened) -> None:
        with pytest.raises(SourceUnreachable, match="403"):
            await ask(opened, {"requirements": ["p0"], "target": TARGET})

    in_house(data_dir, server, work)


def test_extras_markers_and_strategies_are_heeded(data_dir: Path, serve_index: ServeIndex) -> None:
    files = [
        make_wheel("a", "1", requires=["old"]),
        make_wheel("a", "2", requires=["b ; python_version < '3'", "c[x]"], extras={"more": ["d"]}),
        make_wheel("c", "1", extras={"x": ["e"], "y": ["f"]}),
    ]
    server = serve_index([*files, *(make_wheel(name, "1") for name in ("b", "d", "e", "f", "old"))])

    def asked_for(strategy: str, data: Path) -> set[str]:
        server.forget()

        async def work(opened: Opened) -> None:
            body = {"requirements": ["a[more]"], "target": TARGET, "options": {"strategy": strategy}}
            await ask(opened, body)

        in_house(data, server, work)
        return {one.path.split("/")[2] for one in server.asked("/simple/*")}

    assert asked_for("highest", data_dir / "1") == {"a", "c", "d", "e"}
    assert asked_for("lowest", data_dir / "2") == {"a", "old"}


def test_with_everything_at_hand_none_is_sent(
    data_dir: Path, serve_index: ServeIndex, rounds: list[object]
) -> None:
    server = serve_index(chain(3), settings=Settings())

    async def work(opened: Opened) -> None:
        await ask(opened, {"requirements": ["p0"], "target": TARGET})
        server.forget()
        rounds.clear()
        await ask(opened, {"requirements": ["p0>=1"], "target": TARGET})
        assert len(rounds) == 1
        assert server.requests == ()

    in_house(data_dir, server, work)
