"""METADATA out of pieces of a wheel, and what broken and hostile archives do to it."""

from __future__ import annotations

import io
import random
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.catalog.remote_zip import TAIL, BadWheel, read_wheel_metadata
from venvery.model.names import normalize

A = normalize("a")
METADATA = b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n"


class Remote:
    """A file of which only pieces are read; counts them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0

    async def read(self, start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(self.data)
        self.reads += 1
        return self.data[start:end]

    def metadata(self, tail: int = TAIL) -> bytes:
        reading = read_wheel_metadata(A, len(self.data), self.data[-tail:], self.read)
        try:
            while True:
                reading.send(None)
        except StopIteration as done:
            return bytes(done.value)


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as writer:
        for name, data in members:
            writer.writestr(name, data)
        writer.comment = comment
    return buffer.getvalue()


SMALL = archive(("a/x.py", b"x"), ("a-1.0.dist-info/METADATA", METADATA), ("a-1.0.dist-info/RECORD", b""))


def test_a_small_wheel_needs_nothing_but_its_tail() -> None:
    remote = Remote(SMALL)
    assert remote.metadata() == METADATA
    assert remote.reads == 0


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("first", [True, False])
def test_a_large_wheel_needs_one_read_more(method: int, first: bool) -> None:
    noise = ("a/noise", random.Random(1).randbytes(300_000))
    own = ("a-1.0.dist-info/METADATA", METADATA)
    remote = Remote(archive(*((own, noise) if first else (noise, own)), method=method))
    assert remote.metadata() == METADATA
    assert remote.reads == (1 if first else 0)


def test_a_large_directory_is_read_on_its_own() -> None:
    own = ("a-1.0.dist-info/METADATA", METADATA)
    remote = Remote(archive(own, *((f"a/module_{number}.py", b"") for number in range(2000))))
    assert remote.metadata() == METADATA
    assert remote.reads == 2


def test_a_comment_and_data_put_in_front_do_no_harm() -> None:
    own = ("A-1.0.dist-info/METADATA", METADATA)
    for length in (10, 65_535):
        assert Remote(archive(own, comment=b"PK\x05\x06" + b"c" * (length - 4))).metadata() == METADATA
    assert Remote(b"#!/bin/sh\n" * 50 + archive(own)).metadata() == METADATA


def test_zip64_is_understood() -> None:
    # A streamed archive: zipfile writes Zip64 fields when told that sizes may not fit.
    buffer = io.BytesIO()
    name = "a-1.0.dist-info/METADATA"
    with zipfile.ZipFile(buffer, "w") as writer, writer.open(name, "w", force_zip64=True) as member:
        member.write(METADATA)
    assert Remote(buffer.getvalue()).metadata() == METADATA
    assert Remote(as_zip64(SMALL)).metadata() == METADATA


def as_zip64(data: bytes) -> bytes:
    """Rewrite the end of an archive with Zip64 records, as an archive of more than 4 GiB has them."""
    end = data.rindex(b"PK\x05\x06")
    _, _, _, count, _, size, offset, _ = struct.unpack("<4s4H2LH", data[end : end + 22])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:end] + record + locator + last


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a/x.py", b"")], "no METADATA"),
        ([("b-1.0.dist-info/METADATA", METADATA)], "no METADATA"),
        ([("x/a-1.0.dist-info/METADATA", METADATA)], "no METADATA"),
        ([("a-1.0.dist-info/METADATA", METADATA), ("a-2.0.dist-info/METADATA", METADATA)], "more than one"),
        ([("a-1.0.dist-info/METADATA", b"\0" * 17_000_000)], "absurdly large"),
    ],
)
def test_archives_without_metadata_say_why(members: list[tuple[str, bytes]], reason: str) -> None:
    with pytest.raises(BadWheel, match=reason):
        Remote(archive(*members)).metadata()


def test_a_bomb_that_lies_about_its_size_does_not_go_off() -> None:
    bomb = bytearray(archive(("a-1.0.dist-info/METADATA", b"\0" * 50_000_000)))
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = bomb.index(mark) + place
        bomb[at : at + 4] = struct.pack("<L", 100)
    with pytest.raises(BadWheel, match="damaged"):
        Remote(bytes(bomb)).metadata()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(method: int) -> None:
    with pytest.raises(BadWheel, match="compressed by method"):
        Remote(archive(("a-1.0.dist-info/METADATA", METADATA), method=method)).metadata()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_gives_anything_but_the_truth_or_a_reason(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from([SMALL, as_zip64(SMALL)])))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 40))
    remote = Remote(bytes(damaged[: len(damaged) - cut]))
    try:
        assert remote.metadata() == METADATA
    except BadWheel as bad:
        assert str(bad)
