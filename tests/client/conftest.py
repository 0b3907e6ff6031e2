from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.archives import PYTHON, small
from tests.client.serving import ArchiveServer
from venvery.client.store import Store, open_store
from venvery.client.sync import SyncRequest, SyncResult, sync
from venvery.client.transport import HttpTransport

Sync = Callable[..., SyncResult]


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    """A server that sends a small environment."""
    serving = ArchiveServer(small())
    yield serving
    serving.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(str(tmp_path / "cache"))
    assert opened is not None
    return opened


@pytest.fixture
def run(server: ArchiveServer, tmp_path: Path) -> Sync:
    """Sync `tmp_path/env` with the server; the request is named by `digest`."""

    def run(digest: str = "one", directory: Path | None = None, **options: Any) -> SyncResult:
        body = {"requirements": ["alpha", "big", "gamma"], "python": PYTHON}
        request = SyncRequest(body, digest, PYTHON, server.url)
        transport = HttpTransport(server.url, environ={}, sleep=lambda _: None)
        options.setdefault("processes", False)
        return sync(str(directory or tmp_path / "env"), request, transport, **options)

    return run
