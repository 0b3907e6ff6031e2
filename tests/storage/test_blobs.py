"""Blobs: whole or not there, whatever happens to the writer."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from venvery.errors import NotFound, StorageFailed, WrongHash
from venvery.storage.blobs import Blobs, Stored

DATA = b"0123456789" * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open_folder(tmp_path / "blobs")


def leftovers(blobs: Blobs) -> list[str]:
    return [path.name for path in (blobs.root / "incoming").iterdir()]


def test_bytes_come_back_as_they_went(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    for data in (DATA, tmp_path / "file", io.BytesIO(DATA), iter([DATA[:7], b"", DATA[7:]])):
        assert blobs.put(data) == Stored(DIGEST, len(DATA))
    assert blobs.has(DIGEST) and blobs.size(DIGEST) == len(DATA)
    assert blobs.read(DIGEST) == DATA
    assert blobs.read(DIGEST, 10, 25) == DATA[10:25]
    assert blobs.read(DIGEST, 9_990) == DATA[-10:]
    assert blobs.read(DIGEST, 20, 10) == b""
    assert list(blobs.stream(DIGEST, 3, 12, chunk=4)) == [DATA[3:7], DATA[7:11], DATA[11:12]]
    assert b"".join(blobs.stream(DIGEST)) == DATA
    path = blobs.path(DIGEST)
    assert path is not None and path.read_bytes() == DATA
    assert list(blobs.digests()) == [DIGEST]
    assert leftovers(blobs) == []


def test_an_empty_blob_is_a_blob(blobs: Blobs) -> None:
    stored = blobs.put(b"")
    assert blobs.read(stored.digest) == b"" and blobs.size(stored.digest) == 0


def test_a_blob_can_be_read_as_a_zip_file(blobs: Blobs) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"y")
    with blobs.open(blobs.put(buffer.getvalue()).digest) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("x") == b"y"


def test_other_bytes_than_expected_are_not_kept(blobs: Blobs) -> None:
    with pytest.raises(WrongHash):
        blobs.put(DATA, expect=OTHER)
    assert list(blobs.digests()) == [] and leftovers(blobs) == []
    assert blobs.put(DATA, expect=DIGEST).digest == DIGEST


def test_a_source_that_fails_halfway_leaves_nothing(blobs: Blobs) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put(broken())
    assert list(blobs.digests()) == [] and leftovers(blobs) == []


def test_what_is_not_there_is_said_not_to_be(blobs: Blobs) -> None:
    assert not blobs.has(OTHER) and blobs.path(OTHER) is None
    for question in (blobs.size, blobs.read, blobs.stream, blobs.open):
        with pytest.raises(NotFound):
            question(OTHER)
    blobs.delete(OTHER)


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "../../etc/passwd", "sha256:" + "A" * 64, DIGEST + "/..", "md5:00"]
)
def test_only_digests_become_paths(blobs: Blobs, digest: str) -> None:
    with pytest.raises(NotFound):
        blobs.read(digest)
    with pytest.raises(NotFound):
        blobs.delete(digest)


def test_delete_removes_and_a_reader_goes_on_reading(blobs: Blobs) -> None:
    blobs.put(DATA)
    with blobs.open(DIGEST) as file:
        blobs.delete(DIGEST)
        assert not blobs.has(DIGEST)
        assert file.read() == DATA
    blobs.put(DATA)
    assert blobs.has(DIGEST)


def test_many_threads_may_store_the_same_bytes(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: blobs.put(DATA, expect=DIGEST), range(64)))
    assert set(stored) == {Stored(DIGEST, len(DATA))}
    assert list(blobs.digests()) == [DIGEST] and leftovers(blobs) == []


def test_a_full_disk_is_reported_and_nothing_stays(blobs: Blobs, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageFailed):
            blobs.put(DATA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(blobs.digests()) == [] and leftovers(blobs) == []
    if Path("/dev/full").exists():
        (tmp_path / "full").symlink_to("/dev/full")
        with blobs.incoming() as incoming:
            incoming._file.close()  # type: ignore[union-attr]
            incoming._file = io.FileIO(tmp_path / "full", "w")
            with pytest.raises(StorageFailed, match="full"):
                incoming.write(DATA)


def test_a_killed_writer_leaves_nothing_and_a_living_one_is_left_alone(blobs: Blobs) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from venvery.storage.blobs import Blobs
        def slowly():
            yield b"x" * 1000
            print("writing", flush=True)
            time.sleep(60)
        Blobs.open_folder(sys.argv[1]).put(slowly())
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(blobs.root)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"writing\n"
        assert len(leftovers(blobs)) == 1
        later = time.time() + 3600  # the file is an hour old, its writer lives
        assert blobs.clear_incoming(now=later) == 0
        child.kill()
        child.wait()
        assert list(blobs.digests()) == []
        assert blobs.clear_incoming() == 0, "its writer might not have locked it yet"
        assert blobs.clear_incoming(now=later) == 1
        assert leftovers(blobs) == []
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def test_old_leftovers_go_when_the_folder_is_opened(blobs: Blobs) -> None:
    path = blobs.root / "incoming" / "1-abc"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - 120, time.time() - 120))
    Blobs.open_folder(blobs.root)
    assert not path.exists()


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        Blobs.open_folder(tmp_path / "file")
