"""Tar fragments: members without end-of-archive blocks, written so that equal content gives equal bytes.

Standard: ustar and pax interchange formats (POSIX.1-2017, pax). Fragments concatenate; the end blocks are
added once, behind the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from venvery.errors import StorageFailed

__all__ = ["END", "MTIME", "Member", "Readable", "header", "padding", "read_members"]

MTIME = 946684800
"""1 January 2000: after the first instant that a zip file can tell, in every time zone."""

END = bytes(1024)
"""The two zero blocks that end an archive."""

_BLOCK = 512
_LARGEST = 0o77777777777


class Readable(Protocol):
    """Whatever bytes can be read from, in order."""

    def read(self, size: int = -1, /) -> bytes:
        """Give at most `size` bytes; nothing at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file or link of a fragment."""

    path: str
    mode: int
    size: int
    link: str | None = None


def header(path: str, size: int, *, executable: bool = False, link: str | None = None) -> bytes:
    """Give the header of a regular file, or of a symbolic link to `link`; a pax header before it where needed.

    pax is needed for a path that ustar's two fields cannot hold, and for one that is not ASCII (where its
    raw UTF-8 stands in the ustar fields too, for readers that know no pax).
    """
    records = b""
    split = _split(path.encode())
    if split is None or not path.isascii():
        records += _record(b"path", path.encode())
    raw_link = (link or "").encode()
    if len(raw_link) > 100 or not raw_link.isascii():
        records += _record(b"linkpath", raw_link)
    if size > _LARGEST:
        records += _record(b"size", str(size).encode())
    mode = 0o777 if link is not None else 0o755 if executable else 0o644
    prefix, name = split or (b"", path.encode()[-100:])
    own = _ustar(prefix, name, mode, min(size, _LARGEST), b"2" if link is not None else b"0", raw_link[:100])
    if not records:
        return own
    extra = _ustar(b"", b"././@PaxHeader", 0o644, len(records), b"x", b"")
    return extra + records + padding(len(records)) + own


def padding(size: int) -> bytes:
    """Give the zeros that fill the last block of a file of `size` bytes."""
    return bytes(-size % _BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """Write a pax record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    while rest + len(str(length)) != length:
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _split(path: bytes) -> tuple[bytes, bytes] | None:
    """Divide a path into ustar's prefix (155 bytes) and name (100 bytes); None when it does not fit."""
    if len(path) <= 100:
        return b"", path
    cut = path.find(b"/", len(path) - 101)
    if cut < 0 or cut > 155 or cut == len(path) - 1:
        return None
    return path[:cut], path[cut + 1 :]


def _ustar(prefix: bytes, name: bytes, mode: int, size: int, kind: bytes, link: bytes) -> bytes:
    block = b"".join((
        name.ljust(100, b"\0"),
        b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, MTIME),
        b"        ",  # the checksum counts itself as spaces
        kind,
        link.ljust(100, b"\0"),
        b"ustar\x0000".ljust(72, b"\0"),  # and no owner's names
        b"0000000\x000000000\0",
        prefix.ljust(155, b"\0"),
    ))  # fmt: skip
    block = block.ljust(_BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def read_members(fragment: Readable) -> Iterator[tuple[Member, Readable]]:
    """Read a fragment that we wrote ourselves, one member after the other.

    The stream that comes with a member is good until the next one is asked for; what is left unread of it
    is passed over. Raises `StorageFailed` when the bytes are not a fragment of ours.
    """
    records: dict[str, str] = {}
    while block := _exactly(fragment, _BLOCK, at_end=True):
        if block[257:263] != b"ustar\0" or int(block[148:154], 8) != sum(block[:148]) + 256 + sum(block[156:]):
            raise StorageFailed("a stored layer is damaged: it is not a tar fragment")
        size, kind = int(block[124:135], 8), block[156:157]
        if kind == b"x":
            records = _read_records(_exactly(fragment, size + -size % _BLOCK)[:size])
            continue
        path = records.get("path") or _text(block[345:500]) + "/" * (block[345] != 0) + _text(block[:100])
        link = records.get("linkpath") or _text(block[157:257]) if kind == b"2" else None
        size = int(records.get("size", size))
        body = _Body(fragment, size)
        yield Member(path, int(block[100:107], 8), size, link), body
        body.skip()
        records = {}


class _Body:
    """The bytes of one member, as a stream that ends where the member ends."""

    def __init__(self, fragment: Readable, size: int) -> None:
        self._fragment = fragment
        self._left = size
        self._padding = -size % _BLOCK

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = _exactly(self._fragment, wanted)
        self._left -= len(data)
        return data

    def skip(self) -> None:
        while self._left:
            self.read(1 << 20)
        _exactly(self._fragment, self._padding)


def _read_records(data: bytes) -> dict[str, str]:
    records = {}
    while data:
        length = int(data[: data.index(b" ")])
        key, _, value = data[data.index(b" ") + 1 : length - 1].partition(b"=")
        records[key.decode()] = value.decode()
        data = data[length:]
    return records


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode()


def _exactly(stream: Readable, size: int, *, at_end: bool = False) -> bytes:
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            if at_end and not data:
                return b""
            raise StorageFailed("a stored layer is damaged: it ends in the middle of a file")
        data += more
    return data
