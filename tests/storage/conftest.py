"""Databases of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer, find_postgres

Place = str | Path


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    with PostgresServer() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Give a function that names a place for a database that is not there yet."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database
    return lambda: tmp_path_factory.mktemp("data") / "data" / "venvery.sqlite"


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """Name a place for a database that is not there yet."""
    return new_place()
