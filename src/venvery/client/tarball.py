"""Tar fragments, read in one pass: ustar headers (POSIX.1-1988) and pax extended headers (POSIX.1-2001).

Only what an environment's archive may hold is understood; everything else is refused where it stands.
"""

from __future__ import annotations

import struct

from venvery.client.errors import ArchiveError, CutOff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, Tuple

    Member = Tuple[bytes, bytes, int, int, bytes]
    """Kind (`0` file, `2` symbolic link, `5` folder), name, mode, size, target of a link.

    Names are bytes, as they stand in the archive, without a slash at the end.
    """

__all__ = ["Window", "members"]

MAX_EXTENDED_HEADER = 1 << 20

_MODES = {b"0000644": 0o644, b"0000755": 0o755}
_HEADER = struct.Struct("100s7sx8x8x11sx12x8xc100s88x155s12x")
"""Name, mode, size, kind, target of a link, prefix of the name."""


class Window:
    """The part of a stream that is in memory; chunks come as they come, members are cut from them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._before = 0
        self.data = b""
        self.view = memoryview(b"")
        self.at = 0

    @property
    def consumed(self) -> int:
        """Bytes taken so far."""
        return self._before + self.at

    def need(self, count: int) -> bool:
        """Have `count` bytes in one piece at `at`. False when the stream ends before any of them."""
        while len(self.data) - self.at < count:
            rest = self.data[self.at :]
            chunk = next(self._chunks, None)
            if chunk is None:
                if rest:
                    raise CutOff("the archive ended before its end")
                return False
            self._before += self.at
            self.data = rest + chunk if rest else chunk
            self.view = memoryview(self.data)
            self.at = 0
        return True

    def take(self, count: int) -> Iterator[memoryview]:
        """Give exactly `count` bytes in pieces. Raises `CutOff`."""
        while count:
            have = len(self.data) - self.at
            if not have:
                if not self.need(1):
                    raise CutOff("the archive ended before its end")
                continue
            size = have if have < count else count
            start = self.at
            self.at += size
            count -= size
            yield self.view[start : start + size]

    def pad(self, size: int) -> None:
        """Pass over what fills the last block of a content of `size` bytes."""
        missing = -size % 512
        if missing:
            if not self.need(missing):
                raise CutOff("the archive ended before its end")
            self.at += missing


def members(window: Window, checked: bool = False) -> Iterator[Member]:
    """Give the headers of a fragment up to its end; the caller takes each content and its padding.

    `checked` also compares the header's own checksum, for fragments that no digest covers.
    """
    extended: Dict[str, bytes] = {}
    while len(window.data) - window.at >= 512 or window.need(512):
        at = window.at
        window.at = at + 512
        name, mode, digits, kind, link, prefix = _HEADER.unpack_from(window.data, at)
        if checked:
            _check(window.data[at : at + 512])
        if kind == b"x":
            if extended:
                raise ArchiveError("the archive has two extended headers in a row")
            extended = _extended(window, _size(digits))
            continue
        if kind not in (b"0", b"5", b"2"):
            raise ArchiveError(_refusal(name, kind))
        name = name.rstrip(b"\0")
        if prefix[0]:
            name = prefix.rstrip(b"\0") + b"/" + name
        link = link.rstrip(b"\0") if kind == b"2" else b""
        size = _size(digits) if kind == b"0" else 0
        if extended:
            name = extended.get("path", name)
            link = extended.get("linkpath", link)
            if kind == b"0" and "size" in extended:
                size = _number(extended["size"], 10)
            extended = {}
        if kind == b"5" and name.endswith(b"/"):
            name = name[:-1]
        known = _MODES.get(mode)
        yield kind, name, _number(mode, 8) if known is None else known, size, link
    if extended:
        raise CutOff("the archive ended before its end")


def _size(digits: bytes) -> int:
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            pass
    raise ArchiveError("a header in the archive has no readable size")


def _number(text: bytes, base: int) -> int:
    text = text.strip(b" \0")
    if not text.isdigit() or len(text) > 15:
        raise ArchiveError("a header in the archive has an unreadable number")
    try:
        return int(text, base)
    except ValueError:
        raise ArchiveError("a header in the archive has an unreadable number") from None


def _check(block: bytes) -> None:
    stated = _number(block[148:156].split(b"\0")[0], 8)
    if block[257:262] != b"ustar" or stated != sum(block) - sum(block[148:156]) + 8 * 32:
        raise ArchiveError("a header in the archive is damaged")


def _extended(window: Window, size: int) -> Dict[str, bytes]:
    """Read pax records: `length keyword=value newline`."""
    if not 0 < size <= MAX_EXTENDED_HEADER:
        raise ArchiveError("the archive has an extended header that is too large")
    data = b"".join(bytes(piece) for piece in window.take(size))
    window.pad(size)
    records: Dict[str, bytes] = {}
    while data:
        digits, space, _ = data.partition(b" ")
        length = _number(digits, 10)
        record, data = data[len(digits) + 1 : length], data[length:]
        key, equals, value = record.partition(b"=")
        if not space or not equals or not value.endswith(b"\n") or length <= len(digits) + 1:
            raise ArchiveError("the archive has an unreadable extended header")
        records[key.decode("utf-8", "replace")] = value[:-1]
    return records or {"": b""}


def _refusal(field: bytes, kind: bytes) -> str:
    name = field.rstrip(b"\0").decode("utf-8", "replace")
    what = {
        b"1": "a hard link",
        b"3": "a character device",
        b"4": "a block device",
        b"6": "a named pipe",
        b"g": "a global extended header",
        b"L": "a GNU long name",
        b"K": "a GNU long link name",
        b"\0": "an end block or an old header",
    }.get(kind, f"a member of type {kind!r}")
    return f"the archive has {what} where only files and folders may be ({name!r})"
