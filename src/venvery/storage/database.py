"""The database: opened, brought up to date, and read and written in short transactions.

SQLite in the data folder (`storage/sqlite.py`), or PostgreSQL (`storage/postgres.py`). The questions of every day
are plain SQL (`look` and `change`). Rare ones may use SQLAlchemy Core (`read` and `write`), which is imported when
the first of them is asked.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from venvery.errors import StorageFailed
from venvery.storage.answers import Answers
from venvery.storage.blocks import Blocks
from venvery.storage.built import Built
from venvery.storage.environment_views import EnvironmentViews
from venvery.storage.environments import Environments
from venvery.storage.files import Files
from venvery.storage.holdings import Holdings
from venvery.storage.hosted import Hosted
from venvery.storage.jobs import Jobs
from venvery.storage.journal import Journal
from venvery.storage.layers import Layers
from venvery.storage.listings import Listings
from venvery.storage.metadata import Metadata
from venvery.storage.pages import Pages
from venvery.storage.revisions import REVISIONS
from venvery.storage.sources import Sources
from venvery.storage.tokens import Tokens
from venvery.storage.transactions import Driver, Link, Pool, Transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["Database", "Watch"]


class Database:
    """All tables behind named questions, one attribute for each subject. Safe to use from any thread."""

    def __init__(self, driver: Driver, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._driver = driver
        self._caught: tuple[type[Exception], ...] = (OSError, *driver.errors)
        self._pool = Pool(driver)
        self._engine: Engine | None = None
        self._making_engine = threading.Lock()
        self.sources = Sources(self)
        self.listings = Listings(self)
        self.metadata = Metadata(self)
        self.files = Files(self)
        self.layers = Layers(self)
        self.environments = Environments(self)
        self.answers = Answers(self)
        self.hosted = Hosted(self)
        self.journal = Journal(self)
        self.tokens = Tokens(self)
        self.blocks = Blocks(self)
        self.environment_views = EnvironmentViews(self)
        self.holdings = Holdings(self)
        self.jobs = Jobs(self)
        self.built = Built(self)
        self.pages = Pages(self)

    @classmethod
    def open(cls, location: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> Database:
        """Open the SQLite file at a path, or what is at a `postgresql://` URL; make it, or bring it up to date.

        Raises `StorageFailed` when it cannot be used: no right, no space, corrupt, made by a newer venvery; and
        `BadConfiguration` when what it needs is not installed.
        """
        database = cls(_driver_of(location), clock=clock)
        try:
            with database._errors():
                database._driver.prepare()
            database._bring_up_to_date()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._engine is not None:
            self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def look(self) -> Iterator[Transaction]:
        """Open a transaction in plain SQL that only reads. Raises `StorageFailed`."""
        with self._errors(), self._pool.transaction(write=False) as transaction:
            yield transaction

    @contextlib.contextmanager
    def change(self, *, lasting: bool = False) -> Iterator[Transaction]:
        """Open a transaction in plain SQL that may write, once it is its turn. Raises `StorageFailed`.

        `lasting`: what cannot be fetched again; when the context has ended it survives a power cut.
        """
        with self._errors(), self._pool.transaction(write=True, lasting=lasting) as transaction:
            yield transaction

    def watch(self) -> Watch:
        """Give what tells whether anybody has changed anything. Raises `StorageFailed`."""
        with self._errors():
            return Watch(self, self._driver, self._driver.connect())

    def damage(self, *, deep: bool) -> list[str]:
        """Give what is wrong with the database itself. Raises `StorageFailed`."""
        with self.look() as transaction:
            return self._driver.damage(transaction, deep=deep)

    def size(self) -> int:
        """Give the bytes that the database takes. Raises `StorageFailed`."""
        with self.look() as transaction:
            return self._driver.size(transaction)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's way to the same database."""
        with self._making_engine:
            if self._engine is None:
                self._engine = self._driver.engine()
            return self._engine

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction of SQLAlchemy that only reads. Raises `StorageFailed`."""
        with self._errors(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction of SQLAlchemy that may write, once it is its turn. Raises `StorageFailed`."""
        with self._errors(), self.engine.execution_options(venvery_write=True).begin() as connection:
            yield connection

    def _bring_up_to_date(self) -> None:
        with self.look() as transaction:
            if self._driver.revision(transaction) == REVISIONS[-1]:
                return
        with self.change() as transaction:  # whoever is first does it; the others find it done
            revision = self._driver.revision(transaction)
            if revision is None:
                self._driver.create(transaction, REVISIONS[-1])
            elif revision not in REVISIONS:
                raise StorageFailed(
                    f"the database was last used by a newer venvery (its revision is {revision!r})",
                    hint="use that version again, or another data folder",
                )
        if revision not in (None, REVISIONS[-1]):
            with self.write() as connection:
                _migrate(connection)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the driver and the system say into `StorageFailed`."""
        try:
            yield
        except self._caught as error:
            raise self._driver.failed(error) from error
        except Exception as error:
            cause = getattr(error, "orig", None)  # SQLAlchemy wraps what the driver raises
            if isinstance(cause, self._driver.errors):
                raise self._driver.failed(cause) from error
            raise


class Watch:
    """Tells whether any process has changed the database, for next to nothing. Belongs to one thread at a time."""

    def __init__(self, database: Database, driver: Driver, connection: Link) -> None:
        self._database = database
        self._driver = driver
        self._connection = connection
        self._seen: object = None

    def changed(self) -> bool:
        """Tell whether anything was committed since the last time that this was asked. Raises `StorageFailed`."""
        with self._database._errors():
            mark = self._driver.change_mark(self._connection)
        changed = mark != self._seen
        self._seen = mark
        return changed

    def close(self) -> None:
        """Close its connection."""
        self._connection.close()


def _driver_of(location: str | os.PathLike[str]) -> Driver:
    """Give the driver for a database; each is imported only when it is asked for."""
    if isinstance(location, str) and location.startswith(("postgresql://", "postgres://")):
        from venvery.storage.postgres import Postgres

        return Postgres(location)
    from venvery.storage.sqlite import Sqlite

    return Sqlite(location)


def _migrate(connection: Connection) -> None:
    """Take the steps that are missing; none when another process was first."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
