"""Every kind of disorder is found, named and repaired; order is left alone."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.opened import of
from tests.services.opening import TARGET, in_house
from tests.support.index_server import IndexServer
from venvery.services.fsck import Report, check
from venvery.services.keeping import ORPHAN_AGE
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

BODY: dict[str, Any] = {"requirements": ["requests>=2.7"], "target": TARGET, "bytecode": False}


@pytest.fixture
def data(index: IndexServer, tmp_path: Path) -> Path:
    """Give a data folder in which one environment was assembled."""

    async def assemble(opened: Any) -> None:
        await opened.house.environment(opened.house.read(BODY))

    in_house(tmp_path / "data", [of(index)], assemble)
    return tmp_path / "data"


def fsck(data: Path, **options: bool) -> Report:
    with Database.open(data / "venvery.sqlite") as database:
        return check(data, database, Blobs.open_folder(data / "blobs"), **options)


def blobs(data: Path, kind: str) -> list[Path]:
    """List the blob files of layers (`layers`) or of wheels (`files`)."""
    with sqlite3.connect(data / "venvery.sqlite") as database:
        if kind == "files":
            digests = [digest for (digest,) in database.execute("SELECT digest FROM files ORDER BY digest")]
        else:
            infos = [json.loads(info) for (info,) in database.execute("SELECT info FROM layers ORDER BY wheel")]
            digests = [info["zstd"]["digest"] for info in infos]
    return [data / "blobs" / "sha256" / digest[7:9] / digest[9:] for digest in digests]


def sql(data: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(data / "venvery.sqlite") as database:
        assert database.execute(statement, values).rowcount


def remake(data: Path, index: IndexServer) -> None:
    """Ask for the environment again."""

    async def assemble(opened: Any) -> None:
        await opened.house.environment(opened.house.read(BODY))

    in_house(data, [of(index)], assemble)


def only(report: Report, kind: str, count: int = 1) -> str:
    """Insist on problems of one kind; give the first one's words."""
    assert [problem.kind for problem in report.problems] == [kind] * count
    assert not report.fine
    return f"{report.problems[0].what}: {report.problems[0].detail}"


@pytest.mark.parametrize("deep", [False, True])
def test_order_is_found_to_be_order(data: Path, deep: bool) -> None:
    report = fsck(data, deep=deep)
    assert report.fine
    assert report.problems == []
    assert (report.rows, report.blobs, report.environments) == (10, 15, 1)  # five wheels, each with one layer
    assert report.removed_environments == 0
    assert report.size == sum(
        path.stat().st_size for path in (data / "blobs" / "sha256").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("kind", ["layers", "files"])
def test_a_missing_blob(data: Path, index: IndexServer, kind: str) -> None:
    blobs(data, kind)[0].unlink()
    assert "is not there" in only(fsck(data), "missing")
    repaired = fsck(data, repair=True)
    assert repaired.fine
    assert [problem.repaired for problem in repaired.problems] == [True]
    assert repaired.removed_environments == (1 if kind == "layers" else 0)
    assert fsck(data).problems == []
    remake(data, index)
    assert fsck(data, deep=True).problems == []


def test_all_blobs_gone(data: Path, index: IndexServer) -> None:
    for path in (data / "blobs" / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
    assert len(fsck(data).problems) == 15
    assert fsck(data, repair=True).fine
    remake(data, index)
    assert fsck(data, deep=True).problems == []


def test_a_cut_blob(data: Path) -> None:
    path = blobs(data, "layers")[0]
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)
    assert "bytes, not" in only(fsck(data), "size")
    assert fsck(data, repair=True, deep=True).fine
    assert not path.exists()
    assert fsck(data, deep=True).problems == []


@pytest.mark.parametrize("kind", ["layers", "files"])
def test_a_flipped_bit_is_found_by_reading(data: Path, index: IndexServer, kind: str) -> None:
    path = blobs(data, kind)[0]
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert fsck(data).problems == []  # nobody looked
    assert "its bytes are sha256:" in only(fsck(data, deep=True), "damaged")
    assert fsck(data, deep=True, repair=True).fine
    assert not path.exists()
    remake(data, index)
    assert fsck(data, deep=True).problems == []


def test_a_layer_that_is_not_what_its_row_says(data: Path) -> None:
    sql(data, "UPDATE layers SET info = replace(info, digest, ?)", "sha256:" + "0" * 64)
    assert "unpacks to" in only(fsck(data, deep=True), "damaged", 10)
    assert fsck(data, deep=True, repair=True).fine
    assert fsck(data, deep=True).problems == []


@pytest.mark.parametrize("info", ["", "{}", "[]", '{"zstd": 1}', "null"])
def test_an_unreadable_layer_row(data: Path, info: str) -> None:
    sql(data, "UPDATE layers SET info = ?", info)
    only(fsck(data), "unreadable", 5)
    assert fsck(data, repair=True).fine
    assert fsck(data).problems == []


@pytest.mark.parametrize("column", ["manifest", "lock"])
def test_an_unreadable_environment(data: Path, index: IndexServer, column: str) -> None:
    sql(data, f"UPDATE environments SET {column} = ?", b"nothing of ours")
    only(fsck(data), "unreadable")
    assert fsck(data, repair=True).fine
    assert fsck(data).environments == 0
    remake(data, index)
    assert fsck(data).environments == 1


def test_a_manifest_under_another_key(data: Path) -> None:
    sql(data, "UPDATE environments SET key = ?", "sha256:" + "0" * 64)
    assert "its manifest is that of" in only(fsck(data), "unreadable")


def test_an_unreadable_answer(data: Path, index: IndexServer) -> None:
    async def ask(opened: Any) -> None:
        await opened.house.resolve(opened.house.read(BODY))
        await asyncio.sleep(0)

    in_house(data, [of(index)], ask)
    sql(data, "UPDATE answers SET footprint = ?", b"x")
    only(fsck(data, deep=True), "unreadable")
    assert fsck(data, deep=True, repair=True).fine
    assert fsck(data, deep=True).problems == []


def test_an_orphan_counts_when_it_is_old(data: Path) -> None:
    digest = Blobs(data / "blobs").put(b"nobody's").digest
    path = data / "blobs" / "sha256" / digest[7:9] / digest[9:]
    assert fsck(data).problems == []
    then = time.time() - ORPHAN_AGE - 5
    os.utime(path, (then, then))
    assert "no row names its 8 bytes" in only(fsck(data), "orphan")
    assert path.exists()
    assert fsck(data, repair=True).fine
    assert not path.exists()


def test_what_does_not_belong_there_is_named_and_left(data: Path) -> None:
    stranger = data / "blobs" / "sha256" / "notes.txt"
    stranger.write_text("mine")
    assert str(stranger) in only(fsck(data, repair=True), "stranger")
    assert stranger.read_text() == "mine"
