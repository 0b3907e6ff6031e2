"""A server that many tests of a module ask, where none of them changes what the next one sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.tiny import tiny_world


@pytest.fixture(scope="module")
def shared_index() -> Iterator[IndexServer]:
    """Serve one tiny world to all tests of a module; a test adds only what it alone asks for."""
    with IndexServer(tiny_world()) as index:
        yield index
    assert index.errors == []


@pytest.fixture(scope="module")
def shared_server(shared_index: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Run one `venvery serve` for all tests of a module."""
    venvery = Venvery(tmp_path_factory.mktemp("shared"), index_url=shared_index.url)
    with venvery.serve() as server:
        yield server
    assert "Traceback" not in server.said, server.said
