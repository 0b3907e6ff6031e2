"""METADATA out of a wheel of which only pieces are read: end record, central directory, one member.

The zip file format (APPNOTE.TXT 6.3.10): 4.3.16 end of central directory, 4.3.14 and 4.3.15 for Zip64,
4.3.12 central directory header, 4.3.7 local file header.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from venvery.catalog.core_metadata import METADATA_LIMIT
from venvery.model.names import NormalizedName, normalize

__all__ = ["TAIL", "BadWheel", "read_wheel_metadata"]

TAIL = 32 * 1024
"""Bytes that are read at first: end record, most central directories, often METADATA itself."""
DIRECTORY_LIMIT = 64 * 1024 * 1024
_MOST_COMMENT = 65_535

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_WALK = struct.Struct("<4s24x3H")
"""What leads from one entry to the next: signature and the lengths of name, extra field and comment."""
_METADATA = b".dist-info/METADATA"
_LOCAL = struct.Struct("<4s5H3L2H")

Read = Callable[[int, int], Awaitable[bytes]]


class BadWheel(Exception):
    """The archive is not one from which METADATA can be read; the text says why."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    header: int
    """Length of the central header: the local one is about as long."""


class _Window:
    """The bytes read so far, as one run up to the end of the file, and a way to get others."""

    def __init__(self, total: int, tail: bytes, read: Read) -> None:
        self.total = total
        self._start = total - len(tail)
        self._tail = tail
        self._read = read

    async def bytes(self, start: int, end: int) -> bytes:
        if not 0 <= start <= end <= self.total:
            raise BadWheel("its zip directory points outside of the file")
        if start >= self._start:
            return self._tail[start - self._start : end - self._start]
        return await self._read(start, end)


async def read_wheel_metadata(project: NormalizedName, total: int, tail: bytes, read: Read) -> bytes:
    """Read METADATA of a wheel of `total` bytes of which `tail` are the last ones.

    `read(start, end)` gives further bytes. Raises `BadWheel`.
    """
    window = _Window(total, tail, read)
    start, size, shift = await _directory(window)
    if size > DIRECTORY_LIMIT:
        raise BadWheel(f"its zip directory of {size} bytes is absurdly large")
    member = _find(_entries(await window.bytes(start, start + size)), project)
    return await _content(window, member, shift)


async def _directory(window: _Window) -> tuple[int, int, int]:
    """Give the central directory's start and size, and how far all offsets are off (data put in front)."""
    look = min(window.total, _MOST_COMMENT + _END.size)
    place, data = -1, b""
    for length in (min(TAIL, look), look):  # a long comment is rare: look for it only when there must be one
        data = await window.bytes(window.total - length, window.total)
        place = _rfind_end(data)
        if place >= 0:
            break
    if place < 0:
        raise BadWheel("it is not a zip file, or its end is missing")
    _, disk, first_disk, here, _entries_total, size, offset, _ = _END.unpack_from(data, place)
    end = window.total - len(data) + place
    if 0xFFFF in (disk, first_disk, here) or 0xFFFFFFFF in (size, offset):
        size, offset, end = await _directory64(window, end)
    elif disk or first_disk:
        raise BadWheel("it is one part of a split zip file")
    start = end - size
    if start < offset:
        raise BadWheel("its zip directory is not where its end record says")
    return start, size, start - offset


def _rfind_end(data: bytes) -> int:
    place = data.rfind(b"PK\x05\x06")
    while place >= 0:
        if place + _END.size <= len(data):
            comment = _END.unpack_from(data, place)[7]
            if place + _END.size + comment == len(data):
                return place
        place = data.rfind(b"PK\x05\x06", 0, place)
    return -1


async def _directory64(window: _Window, end: int) -> tuple[int, int, int]:
    if end < _END64_LOCATOR.size + _END64.size:
        raise BadWheel("its Zip64 records are missing")
    locator = _END64_LOCATOR.unpack(await window.bytes(end - _END64_LOCATOR.size, end))
    end64 = end - _END64_LOCATOR.size - _END64.size
    record = _END64.unpack(await window.bytes(end64, end64 + _END64.size))
    if locator[0] != b"PK\x06\x07" or record[0] != b"PK\x06\x06":
        raise BadWheel("its Zip64 records are damaged")
    return record[8], record[9], end64


def _entries(data: bytes) -> list[_Member]:
    members, place, last = [], 0, len(data) - _ENTRY.size
    while place <= last:
        signature, names, extras, comments = _WALK.unpack_from(data, place)
        if signature != b"PK\x01\x02":
            raise BadWheel("its zip directory is damaged")
        end = place + _ENTRY.size + names
        if names > len(_METADATA) and data.startswith(_METADATA, end - len(_METADATA)):
            entry = _ENTRY.unpack_from(data, place)
            size, packed, offset = _sizes64(data[end : end + extras], entry[9], entry[8], entry[16])
            members.append(
                _Member(
                    data[place + _ENTRY.size : end].decode("utf-8", "replace"),
                    entry[4],
                    entry[3],
                    entry[7],
                    packed,
                    size,
                    offset,
                    _LOCAL.size + names + extras,
                )
            )
        place = end + extras + comments
    if place != len(data):
        raise BadWheel("its zip directory is damaged")
    return members


def _sizes64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Replace what does not fit into 32 bits by what the Zip64 extra field says (4.5.3)."""
    values = [size, packed, offset]
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1:
            numbers = extra[place + 4 : place + 4 + length]
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    if len(numbers) < 8:
                        raise BadWheel("its Zip64 sizes are damaged")
                    values[index] = int.from_bytes(numbers[:8], "little")
                    numbers = numbers[8:]
        place += 4 + length
    return values[0], values[1], values[2]


def _find(members: list[_Member], project: NormalizedName) -> _Member:
    """Choose the METADATA of the wheel's own `.dist-info` folder (PEP 427)."""
    own = [
        member
        for member in members
        if member.name.count("/") == 1 and normalize(member.name.partition("-")[0]) == project
    ]
    if len(own) != 1:
        raise BadWheel("it has no METADATA of its own" if not own else "it has more than one METADATA of its own")
    return own[0]


async def _content(window: _Window, member: _Member, shift: int) -> bytes:
    if member.size > METADATA_LIMIT or member.packed > METADATA_LIMIT:
        raise BadWheel(f"its METADATA of {member.size} bytes is absurdly large")
    if member.flags & 1:
        raise BadWheel("its METADATA is encrypted")
    start = member.offset + shift
    # The local header's extra field may differ in length from the central one's: read a little more.
    ahead = min(window.total, start + member.header + member.packed + 256)
    data = await window.bytes(start, ahead)
    if len(data) < _LOCAL.size or data[:4] != b"PK\x03\x04":
        raise BadWheel("its zip directory points at something else than METADATA")
    names, extras = _LOCAL.unpack_from(data)[9:11]
    skip = _LOCAL.size + names + extras
    if len(data) < skip + member.packed:
        data = await window.bytes(start, start + skip + member.packed)
    return _unpack(data[skip : skip + member.packed], member)


def _unpack(data: bytes, member: _Member) -> bytes:
    if member.method == 8:
        decoder = zlib.decompressobj(-15)
        try:
            data = decoder.decompress(data, member.size + 1)
        except zlib.error as error:
            raise BadWheel(f"its METADATA does not decompress ({error})") from None
    elif member.method != 0:
        raise BadWheel(f"its METADATA is compressed by method {member.method}")
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise BadWheel("its METADATA is damaged")
    return data
