"""Fixtures for all tests: a tiny world, a real index server, the command in a clean environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.index_server import IndexServer, Settings
from tests.support.machine import find_python
from tests.support.public_index import configured_index, why_not
from tests.support.running import ServerProcess, Venvery
from tests.support.tiny import tiny_world
from tests.support.wheels import BuiltFile
from tests.support.world import World

ServeIndex = Callable[..., IndexServer]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, and say why, where the machine lacks what a test's marker needs."""
    if item.get_closest_marker("public_index") is not None:
        reason = why_not()
        if reason is not None:
            pytest.skip(f"the index that pip is configured for does not answer ({reason})")
    for marker in item.iter_markers("pythons"):
        missing = [version for version in marker.args if find_python(version) is None]
        if missing:
            pytest.skip(f"not found on this machine: Python {', '.join(missing)}")


@pytest.fixture
def world() -> World:
    """Give a fresh tiny world; see `tests/support/tiny.py` for what is in it."""
    return tiny_world()


@pytest.fixture
def serve_index() -> Iterator[ServeIndex]:
    """Give a function that starts an index server: `serve_index(files_or_world, settings=…)`."""
    servers: list[IndexServer] = []

    def start(files: World | Iterable[BuiltFile] = (), *, settings: Settings | None = None) -> IndexServer:
        servers.append(IndexServer(files, settings=settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
    assert [error for server in servers for error in server.errors] == []


@pytest.fixture
def index(world: World, serve_index: ServeIndex) -> IndexServer:
    """Serve the tiny world over HTTP."""
    return serve_index(world)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Give the path of a data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def venvery(tmp_path: Path, index: IndexServer) -> Venvery:
    """Give the command, in a clean environment, with the tiny index as its only source."""
    return Venvery(tmp_path, index_url=index.url)


@pytest.fixture
def public_venvery(tmp_path: Path) -> Venvery:
    """Give the command, in a clean environment, with the index that pip here is configured for."""
    return Venvery(tmp_path, index_url=configured_index())


@pytest.fixture
def server(venvery: Venvery) -> Iterator[ServerProcess]:
    """Give a running `venvery serve` on the tiny index."""
    with venvery.serve() as running:
        yield running
