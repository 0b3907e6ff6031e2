"""Zip files that mean one thing only, whoever reads them (APPNOTE.TXT 4.3).

A zip file says twice what is in it: in front of each member, and in the central directory at its end. Readers
differ in whom they believe, and in what they make of bytes that neither mentions; so an attacker can show one
content to a scanner and another to an installer. Here both must agree, and every byte must be accounted for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from venvery.uploads.refusing import refuse

__all__ = ["check_zip"]

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _DESCRIPTOR = 0x1, 0x8
_METHODS = (0, 8)
_MOST_MEMBERS = 250_000
_MOST_DIRECTORY = 256 << 20
"""Bytes of a central directory."""


@dataclass(frozen=True, slots=True)
class _Member:
    """What one of the two places says of a member."""

    name: bytes
    method: int
    flags: int
    crc: int
    packed: int
    size: int


def check_zip(stream: BinaryIO, filename: str) -> None:
    """Check the structure of a whole zip file. Raises `UploadRefused`."""
    _Zip(stream, filename).check()


class _Zip:
    def __init__(self, stream: BinaryIO, filename: str) -> None:
        self._stream = stream
        self._filename = filename
        self._length = stream.seek(0, 2)

    def check(self) -> None:
        place = 0
        names: set[bytes] = set()
        count, start, size = self._find_directory()
        for offset, member in sorted(self._directory(count, start, size), key=lambda pair: pair[0]):
            if offset != place:
                self._refuse("it has bytes that belong to no file in it, or files that overlap")
            if member.name in names:
                self._refuse(f"{member.name!r} is in it twice")
            names.add(member.name)
            place = self._check_local(offset, member)
        if place != start:
            self._refuse("it has bytes that belong to no file in it")

    def _find_directory(self) -> tuple[int, int, int]:
        """Give number of members, start and size of the central directory, which reaches to the end record."""
        if self._length < _END.size:
            self._refuse("it is not a zip file")
        where = self._length - _END.size
        mark, disk, first, here, count, size, start, comment = _END.unpack(self._read(where, _END.size))
        if mark != b"PK\5\6":
            self._refuse("it is not a zip file, or has a comment or other bytes behind its end")
        if comment or disk or first or here != count:
            self._refuse("its end record is not that of one whole zip file")
        if _FULL16 in (count,) or _FULL32 in (size, start):
            where, count, size, start = self._find_directory64(where)
        if start + size != where:
            self._refuse("its central directory is not where it says")
        if count > _MOST_MEMBERS or size > _MOST_DIRECTORY:
            self._refuse(f"it has {count} files in it, which is absurd")
        return count, start, size

    def _find_directory64(self, end: int) -> tuple[int, int, int, int]:
        where = end - _LOCATOR64.size
        if where < _END64.size:
            self._refuse("its end record is damaged")
        mark, disk, start64, disks = _LOCATOR64.unpack(self._read(where, _LOCATOR64.size))
        if mark != b"PK\6\7" or disk or disks != 1 or start64 + _END64.size != where:
            self._refuse("its end record is damaged")
        mark, length, _made, _needs, disk, first, here, count, size, start = _END64.unpack(
            self._read(start64, _END64.size)
        )
        if mark != b"PK\6\6" or length != _END64.size - 12 or disk or first or here != count:
            self._refuse("its end record is damaged")
        return start64, count, size, start

    def _directory(self, count: int, start: int, size: int) -> Iterator[tuple[int, _Member]]:
        directory = self._read(start, size)
        place = 0
        for _ in range(count):
            if place + _CENTRAL.size > size:
                self._refuse("its central directory is cut off")
            (
                mark, _made, _needs, flags, method, _time, _date, crc, packed, unpacked,
                name_length, extra_length, comment_length, disk, _inside, _outside, offset,
            ) = _CENTRAL.unpack_from(directory, place)  # fmt: skip
            if mark != b"PK\1\2" or disk or comment_length:
                self._refuse("its central directory is damaged, or has comments")
            place += _CENTRAL.size
            name = directory[place : place + name_length]
            extra = directory[place + name_length : place + name_length + extra_length]
            place += name_length + extra_length
            unpacked, packed, offset = self._widen(extra, unpacked, packed, offset)
            yield offset, _Member(name, method, flags, crc, packed, unpacked)
        if place != size:
            self._refuse("its central directory has bytes too many")

    def _check_local(self, offset: int, member: _Member) -> int:
        """Compare a member with what stands in front of it; give the place behind it."""
        shown = member.name.decode("utf-8", "replace")
        if offset + _LOCAL.size > self._length:
            self._refuse(f"{shown!r} lies behind its end")
        mark, _needs, flags, method, _time, _date, crc, packed, size, name_length, extra_length = _LOCAL.unpack(
            self._read(offset, _LOCAL.size)
        )
        rest = self._read(offset + _LOCAL.size, name_length + extra_length)
        size, packed, _offset = self._widen(rest[name_length:], size, packed, 0)
        if mark != b"PK\3\4" or _Member(rest[:name_length], method, flags, crc, packed, size) != member:
            self._refuse(f"{shown!r} is one thing in the central directory and another in front of its bytes")
        if flags & _ENCRYPTED:
            self._refuse(f"{shown!r} is encrypted")
        if flags & _DESCRIPTOR:
            self._refuse(
                f"{shown!r} has its size behind its bytes (a data descriptor), where not all readers look"
            )
        if method not in _METHODS:
            self._refuse(f"{shown!r} is compressed in a way that not all installers know (method {method})")
        if not name_length or b"\0" in member.name:
            self._refuse("it has a file whose name is empty or cut off by a zero byte")
        return offset + _LOCAL.size + int(name_length) + int(extra_length) + int(packed)

    def _widen(self, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
        """Read sizes that do not fit into 32 bits out of the extra field (4.5.3)."""
        if _FULL32 not in (size, packed, offset):
            return size, packed, offset
        wide = self._extra64(extra)
        values = []
        for value in (size, packed, offset):
            if value == _FULL32:
                if len(wide) < 8:
                    self._refuse("its sizes cannot be read")
                value, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
            values.append(value)
        return values[0], values[1], values[2]

    def _extra64(self, extra: bytes) -> bytes:
        place = 0
        while place + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, place)
            if kind == 1:
                return extra[place + 4 : place + 4 + length]
            place += 4 + length
        return b""

    def _read(self, place: int, length: int) -> bytes:
        self._stream.seek(place)
        data = self._stream.read(length)
        if len(data) != length:
            self._refuse("it is cut off")
        return data

    def _refuse(self, why: str) -> NoReturn:
        refuse(self._filename, why)
