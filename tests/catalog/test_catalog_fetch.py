"""Whole files: verified, kept once, and nothing kept of what is wrong."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.catalog.opened import Heard, blobs_in, fetch, of, run
from tests.conftest import ServeIndex
from tests.support.index_server import Settings
from tests.support.wheels import make_wheel
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceGarbage, SourceUnreachable, StorageFailed, WrongHash
from venvery.model.names import normalize
from venvery.storage.blobs import Blobs

A = normalize("a")


def big_wheel(size: int = 3_000_000):  # type: ignore[no-untyped-def]
    return make_wheel("a", "1.0", files={"a/noise.bin": random.Random(1).randbytes(size)})


@pytest.mark.parametrize("settings", [Settings(), Settings(hashes=False), Settings(formats="html", hashes=False)])
def test_a_file_is_fetched_once_and_for_all(data_dir: Path, serve_index: ServeIndex, settings: Settings) -> None:
    wheel = big_wheel()
    server = serve_index([wheel], settings=settings)
    for _ in range(2):
        assert fetch(data_dir, [of(server)], "a") == wheel.data
    assert len(server.asked("/files/*")) == 1
    assert len(blobs_in(data_dir)) == 1


def test_many_who_ask_at_once_cause_one_download(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/files/*", "stall", seconds=0.1)
    heard = Heard()

    async def work(catalog: Catalog) -> set[str]:
        (file,) = (await catalog.listings([A]))[A].files
        return set(await catalog.fetch_all([file] * 10))

    assert len(run(data_dir, [of(server)], work, reporter=heard)) == 1
    assert len(server.asked("/files/*")) == 1
    assert heard.fetched == ["a-1.0-py3-none-any.whl"]


def test_one_who_gives_up_does_not_take_it_from_the_others(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/files/*", "stall", seconds=0.2)

    async def work(catalog: Catalog) -> None:
        (file,) = (await catalog.listings([A]))[A].files
        impatient = asyncio.create_task(catalog.fetch(file))
        patient = asyncio.create_task(catalog.fetch(file))
        await asyncio.sleep(0.05)
        impatient.cancel()
        assert await patient

    run(data_dir, [of(server)], work)
    assert len(server.asked("/files/*")) == 1


def test_when_all_give_up_nothing_stays(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([big_wheel()])
    server.fault("/files/*", "drip", seconds=60)

    async def work(catalog: Catalog) -> None:
        (file,) = (await catalog.listings([A]))[A].files
        task = asyncio.create_task(catalog.fetch(file))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(data_dir, [of(server)], work)
    assert blobs_in(data_dir) == []


def test_other_bytes_than_promised_are_refused_and_not_kept(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/files/*", "corrupt", times=1)
    with pytest.raises(WrongHash, match=r"a-1\.0-py3-none-any\.whl") as caught:
        fetch(data_dir, [of(server)], "a")
    assert server.origin in str(caught.value)
    assert blobs_in(data_dir) == []
    assert len(server.asked("/files/*")) == 1, "the same wrong bytes were asked for again"
    assert fetch(data_dir, [of(server)], "a")


@pytest.mark.parametrize("claim", ["size", "md5", "blake2b_256", "sha512"])
def test_every_promise_is_checked(data_dir: Path, serve_index: ServeIndex, claim: str) -> None:
    server = serve_index([make_wheel("a", "1.0")])

    async def work(catalog: Catalog) -> None:
        (file,) = (await catalog.listings([A]))[A].files
        if claim == "size":
            for wrong in (file.size + 1, file.size - 1):  # type: ignore[operator]
                with pytest.raises(WrongHash, match="promised"):
                    await catalog.fetch(replace(file, size=wrong))
        else:
            with pytest.raises(WrongHash, match=claim):
                await catalog.fetch(replace(file, sha256=None, hashes=((claim, "ab" * 32),)))

    run(data_dir, [of(server)], work)
    assert blobs_in(data_dir) == []


def test_a_truncated_file_is_tried_again_and_then_refused(data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = big_wheel()
    server = serve_index([wheel])
    server.fault("/files/*", "truncate", after=1_500_000, times=3)
    with pytest.raises(SourceGarbage, match="cut off"):
        fetch(data_dir, [of(server)], "a")
    assert blobs_in(data_dir) == []
    server.fault("/files/*", "truncate", after=100, times=1)
    assert fetch(data_dir, [of(server)], "a") == wheel.data


def test_a_file_that_is_gone_says_so(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")])
    server.fault("/files/*", "status", status=404)
    with pytest.raises(SourceUnreachable, match="404"):
        fetch(data_dir, [of(server)], "a")


def test_an_empty_answer_is_no_file(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([make_wheel("a", "1.0")], settings=Settings(hashes=False, sizes=False))
    server.fault("/files/*", "empty")
    with pytest.raises(SourceGarbage, match="empty"):
        fetch(data_dir, [of(server)], "a")
    assert blobs_in(data_dir) == []


def test_a_full_disk_is_said_to_be_full_and_nothing_stays(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([big_wheel()])

    async def work(catalog: Catalog) -> None:
        (file,) = (await catalog.listings([A]))[A].files
        await catalog.flush()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (1_000_000, before[1])
        )  # writes beyond it fail, as on a full disk
        try:
            with pytest.raises(StorageFailed):
                await catalog.fetch(file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert blobs_in(data_dir) == []
        await catalog.fetch(file)

    run(data_dir, [of(server)], work)


def test_a_killed_process_leaves_nothing_that_is_believed(data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = big_wheel()
    server = serve_index([wheel])
    server.fault("/files/*", "drip", seconds=3600, times=1)
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.catalog.opened import fetch
        from venvery.model.sources import SourceSpec
        fetch(Path(sys.argv[1]), [SourceSpec("index", "index", sys.argv[2])], "a")
        """
    )
    root = Path(__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", program, str(data_dir), server.url.rstrip("/")], cwd=root)
    try:
        deadline = time.monotonic() + 20
        while not any("incoming" in name for name in blobs_in(data_dir) if data_dir.exists()):
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert [name for name in blobs_in(data_dir) if "incoming" in name]
    assert fetch(data_dir, [of(server)], "a") == wheel.data
    for path in (data_dir / "blobs" / "incoming").iterdir():
        os.utime(path, (time.time() - 120, time.time() - 120))
    Blobs.open_folder(data_dir / "blobs")
    assert [name for name in blobs_in(data_dir) if "incoming" in name] == []


def test_credentials_of_the_index_are_sent_for_files_on_the_same_host_only(
    data_dir: Path, serve_index: ServeIndex
) -> None:
    from venvery.model.sources import SourceSpec

    server = serve_index([make_wheel("a", "1.0")], settings=Settings(credentials=("me", "secret")))
    location = server.url.rstrip("/").replace("http://", "http://me:secret@")
    assert fetch(data_dir, [SourceSpec("private", "index", location)], "a")
