"""The database: made, migrated, shared by processes, and refused when it is not ours to use."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.storage.conftest import Place
from venvery.errors import StorageFailed
from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.names import normalize
from venvery.model.versions import parse_version
from venvery.storage import database as module
from venvery.storage.answers import NewAnswer
from venvery.storage.blobs import Stored
from venvery.storage.database import Database
from venvery.storage.listings import StoredListing
from venvery.storage.schema import REVISIONS, as_sql, tables

A = normalize("a")
_INSERT = text("INSERT INTO layers (wheel, family, recipe, info, created_at) VALUES ('a', 'b', 'c', :info, 0)")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "venvery.sqlite"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(place: Place, clock: Clock):  # type: ignore[no-untyped-def]
    with Database.open(place, clock=clock) as database:
        yield database


@pytest.fixture
def sqlite_database(path: Path, clock: Clock):  # type: ignore[no-untyped-def]
    with Database.open(path, clock=clock) as database:
        yield database


def by_migrations(place: Place) -> Database:
    """Make a database step by step, as an old one came to be."""
    driver = module._driver_of(place)
    driver.prepare()
    made = Database(driver)
    with made.write() as connection:
        module._migrate(connection)
    return made


def test_migrations_make_what_the_schema_says(place: Place) -> None:
    with by_migrations(place) as made:
        with made.look() as transaction:
            assert module._driver_of(place).revision(transaction) == REVISIONS[-1]
        with made.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), tables) == []


def test_making_all_at_once_gives_what_the_migrations_give(new_place: Callable[[], Place]) -> None:
    shapes = []
    with by_migrations(new_place()) as stepwise, Database.open(new_place()) as at_once:
        for made in (stepwise, at_once):
            look = inspect(made.engine)
            shape = {}
            for table in sorted(look.get_table_names()):
                columns = [
                    (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(table)
                ]
                shape[table] = (
                    columns,
                    look.get_pk_constraint(table)["constrained_columns"],
                    look.get_foreign_keys(table),
                    [
                        {**index, "dialect_options": {k: str(v) for k, v in index["dialect_options"].items()}}
                        for index in look.get_indexes(table)
                    ],
                    look.get_unique_constraints(table),
                )
            shapes.append(shape)
    assert shapes[0] == shapes[1]
    assert set(tables.tables) < set(shapes[0])
    assert module.Path(module.__file__).with_name("schema.sql").read_text("utf-8") == as_sql(), "write it anew"


def test_everyday_work_imports_neither_migrations_nor_sqlalchemy(path: Path) -> None:
    program = "import sys; from venvery.storage.database import Database; Database.open(sys.argv[1]).close()"
    program += "; assert not {'alembic', 'sqlalchemy'} & set(sys.modules)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_an_older_database_is_brought_up_to_date(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database.open(place) as made, made.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    called = []
    monkeypatch.setattr(module, "REVISIONS", ("0000", *REVISIONS))
    found = text("SELECT version_num FROM alembic_version")
    monkeypatch.setattr(module, "_migrate", lambda connection: called.append(connection.scalar(found)))
    Database.open(place).close()
    assert called == ["0000"]


def test_a_database_of_a_newer_venvery_is_refused_and_left_alone(path: Path) -> None:
    with Database.open(path) as made, made.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match="newer venvery"):
        Database.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"this is not a database, but it is long enough to look at" * 100, b"SQLite format 3\0" + b"\xff" * 8000],
)
def test_a_damaged_database_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageFailed, match="damaged"):
        Database.open(path)
    assert path.read_bytes() == content


def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        Database.open(tmp_path / "file" / "venvery.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(StorageFailed):
        Database.open(tmp_path / "folder.sqlite")


def test_several_processes_may_start_and_write_at_once(path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from venvery.storage.database import Database
        sys.stdin.readline()
        with Database.open(sys.argv[1]) as database:
            for number in range(20):
                database.layers.put(f"sha256:{number}", "family", sys.argv[2], {"by": sys.argv[2]})
                database.environments.put("key", {"by": sys.argv[2]}, {})
        """
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(number)], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    with Database.open(path) as database:
        assert database.layers.get("sha256:19", "family", "3") == {"by": "3"}


def test_several_may_make_the_same_database_at_once(path: Path) -> None:
    barrier, failures = threading.Barrier(6), []

    def start() -> None:
        try:
            barrier.wait()
            with Database.open(path) as database:
                database.answers.put_many({"x": NewAnswer(b"{}", {})})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_it_is_in_wal_mode_with_foreign_keys(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("DELETE FROM layers"))
        assert database.layers.get("a", "b", "c") is None


def test_a_change_that_fails_leaves_nothing_and_its_connection_is_used_again(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.change() as transaction:
        transaction.do("INSERT INTO dependencies VALUES ('a', 'b')")
        raise ZeroDivisionError
    assert database.metadata.reachable(["a"]) == ["a"]
    with pytest.raises(StorageFailed), database.change() as transaction:
        transaction.do("INSERT INTO nowhere VALUES (1)")
    with database.change() as transaction:
        transaction.do("INSERT INTO dependencies VALUES (:from, :to)", **{"from": "a", "to": "b"})
    assert database.metadata.reachable(["a"]) == ["a", "b"]


def test_both_ways_into_the_database_wait_for_each_other(database: Database) -> None:
    def insert() -> None:
        with database.write() as connection:
            connection.execute(_INSERT, {"info": "{}"})

    other = threading.Thread(target=insert)
    with database.change() as transaction:
        transaction.do("DELETE FROM layers")
        other.start()
        other.join(0.1)
        assert other.is_alive(), "one writes at a time"
    other.join()
    assert database.layers.get("a", "b", "c") == {}


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(_INSERT, {"info": "{}"})
        raise ZeroDivisionError
    assert database.layers.get("a", "b", "c") is None


def test_a_full_disk_is_said_to_be_full(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    with pytest.raises(StorageFailed, match="full"), sqlite_database.write() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
        connection.execute(_INSERT, {"info": "x" * 100_000})
    assert sqlite_database.layers.get("a", "b", "c") is None


def test_layers(database: Database) -> None:
    assert database.layers.get("sha256:a", "f", "1") is None
    database.layers.put("sha256:a", "f", "1", {"size": 1, "ü": [None]})
    database.layers.put("sha256:a", "f", "2", {"size": 2})
    database.layers.put("sha256:a", "f", "1", {"size": 3})
    assert database.layers.get("sha256:a", "f", "1") == {"size": 3}
    database.layers.put("sha256:b", "f", "1", {"digest": "sha256:l"})
    assert database.layers.by_digests(["sha256:l", "sha256:m"]) == ['{"digest":"sha256:l"}', None]
    database.layers.forget("sha256:a", "f", "1")
    assert database.layers.get("sha256:a", "f", "1") is None
    assert database.layers.get("sha256:a", "f", "2") == {"size": 2}


def test_environments(database: Database, clock: Clock) -> None:
    assert database.environments.get("k") is None
    database.environments.put("k", {"layers": [1]}, {"pins": []})
    stored = database.environments.get("k")
    assert stored is not None
    assert (stored.manifest, stored.lock, stored.created, stored.last_used) == (
        {"layers": [1]},
        {"pins": []},
        1000,
        1000,
    )
    clock.now += 60
    database.environments.touch("k")
    assert database.environments.get("k") == stored, "used a minute ago is used now"
    clock.now += 7200
    database.environments.touch("k")
    database.environments.touch("unknown")
    again = database.environments.get("k")
    assert again is not None and (again.created, again.last_used) == (1000, 8260)
    assert database.environments.count() == 1


def test_answers(database: Database) -> None:
    assert database.answers.get("r") is None
    database.answers.put_many({"r": NewAnswer(b'{"pins": [1]}', {"a": "sha256:1"})})
    stored = database.answers.get("r")
    assert stored is not None and (stored.lock, stored.footprint) == ({"pins": [1]}, {"a": "sha256:1"})


def test_metadata_and_who_requires_whom(database: Database) -> None:
    known = CoreMetadata(
        A, parse_version("1.0"), ">=3", ("B.x>=1 ; extra == 'x'", "c (>1)", "!!"), (normalize("x"),)
    )
    none = NoMetadata("because", needs_build=True)
    many = {f"{number:064}": NoMetadata(str(number)) for number in range(900)}
    database.metadata.put_many({"1": known, "2": none, **many})
    database.metadata.put_many({"3": CoreMetadata(normalize("b-x"), parse_version("2"), None, ("d", "a"), ())})
    database.metadata.put_many({})
    assert database.metadata.get_many(["1", "2", "4"]) == {"1": known, "2": none}
    assert len(database.metadata.get_many(list(many))) == 900
    assert database.metadata.reachable(["a"]) == ["a", "b-x", "c", "d"]
    assert database.metadata.reachable(["c", "z"]) == ["c", "z"]


def test_what_was_built_replaces_that_it_had_to_be_built(database: Database) -> None:
    database.metadata.put_many({"1": NoMetadata("build it", needs_build=True)})
    built = CoreMetadata(A, parse_version("1"))
    database.metadata.put_many({"1": built})
    assert database.metadata.get_many(["1"]) == {"1": built}


def test_listings(database: Database) -> None:
    source = database.sources.identify("sha256:s", "index", "https://x")
    assert database.sources.identify("sha256:s", "index", "https://x") == source
    assert database.sources.identify("sha256:t", "index", "https://y") != source
    one = StoredListing(source, "a", True, "r1", '"e"', None, "b", 5.0, b"packed")
    database.listings.put_many([one])
    database.listings.note_checked([(source, "a", 9.0)])
    (found,) = database.listings.get_many(source, ["a", "b"]).values()
    assert (found.checked_at, found.packed, found.etag) == (9.0, b"packed", '"e"')
    with pytest.raises(StorageFailed):
        database.listings.put_many([StoredListing(999, "a", True, "r1", None, None, None, 5.0, b"")])


def test_hosts(database: Database, clock: Clock) -> None:
    database.sources.note_ability("https://x:443", "ranges", True)
    clock.now += 100
    database.sources.note_ability("https://x:443", "sidecar", False)
    assert database.sources.abilities(newer_than=1050) == {("https://x:443", "sidecar"): False}
    assert len(database.sources.abilities(newer_than=0)) == 2


def test_files(database: Database) -> None:
    assert database.files.get("k") is None
    database.files.put("k", Stored("sha256:1", 7))
    assert database.files.get("k") == Stored("sha256:1", 7)
    database.files.put_local_hashes([("/a", "1-2-3", "ab"), ("/b", "1-2-3", "cd")])
    database.files.put_local_hashes([])
    assert database.files.local_hashes({"/a": "1-2-3", "/b": "changed", "/c": "x"}) == {"/a": "ab"}


def test_rows_are_plain_enough_to_be_read_by_other_tools(path: Path, sqlite_database: Database) -> None:
    sqlite_database.layers.put("sha256:a", "f", "1", {"size": 1})
    with sqlite3.connect(path) as plain:
        (info,) = plain.execute("SELECT info FROM layers").fetchone()
    plain.close()
    assert json.loads(info) == {"size": 1}
