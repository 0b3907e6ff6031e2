"""One upstream and one server for all tests of a module; each test asks for projects of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.tiny import tiny_world


@pytest.fixture(scope="module")
def upstream() -> Iterator[IndexServer]:
    """Serve one tiny world as the index that is mirrored."""
    with IndexServer(tiny_world()) as index:
        yield index
    assert index.errors == []


@pytest.fixture(scope="module")
def mirror(upstream: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Run one server that mirrors it."""
    venvery = Venvery(tmp_path_factory.mktemp("mirror"), index_url=upstream.url)
    with venvery.serve() as server:
        yield server
    assert "Traceback" not in server.said, server.said
