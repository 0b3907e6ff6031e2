"""PKG-INFO out of an sdist, without unpacking it (PEP 517, 625, 643)."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from typing import BinaryIO

from venvery.catalog.core_metadata import METADATA_LIMIT, read_pkg_info
from venvery.model.files import CoreMetadata, DistFile, NoMetadata

__all__ = ["BROKEN", "find_in_tar", "read_member", "read_sdist_metadata"]

UNPACKED_LIMIT = 2 * 1024 * 1024 * 1024
"""Bytes that reading through a compressed sdist may come to."""
MEMBER_LIMIT = 200_000


BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError)
"""What reading a damaged archive raises."""


class _Bounded:
    """The decompressed bytes of a gzip stream, up to a limit."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._decoder = zlib.decompressobj(31)
        self._count = 0
        self._ready = b""

    def read(self, size: int) -> bytes:
        while len(self._ready) < size:
            piece = self._next()
            if not piece:
                break
            self._ready += piece
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _next(self) -> bytes:
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data or self._file.read(65536)
                if not rest.strip(b"\0"):
                    return b""
                self._decoder = zlib.decompressobj(31)
            else:
                rest = self._decoder.unconsumed_tail or self._file.read(65536)
                if not rest:
                    return b""
            piece = self._decoder.decompress(rest, 1 << 20)
            self._count += len(piece)
            if self._count > self._limit:
                raise tarfile.ReadError("it unpacks to an absurd size")
            if piece:
                return piece


def read_sdist_metadata(file: DistFile, data: BinaryIO) -> CoreMetadata | NoMetadata:
    """Read the metadata of an sdist, if it is there and final; else say why it is not."""
    try:
        found = read_member(file.filename, data, "PKG-INFO")
    except BROKEN as error:
        return NoMetadata(f"the archive is damaged ({error})")
    if found is None:
        return NoMetadata("it has no PKG-INFO", needs_build=True)
    return read_pkg_info(found, file)


def read_member(filename: str, data: BinaryIO, name: str) -> bytes | None:
    """Give the file `name` of an sdist's top folder; None when there is none. Raises one of `BROKEN`."""
    return _find_in_zip(data, name) if filename.endswith(".zip") else find_in_tar(data, name)


def find_in_tar(data: BinaryIO, wanted: str = "PKG-INFO") -> bytes | None:
    """Give `NAME-VERSION/PKG-INFO` of a `.tar.gz`, or another file there; None when there is none."""
    with tarfile.open(fileobj=_Bounded(data, UNPACKED_LIMIT), mode="r|") as archive:  # type: ignore[call-overload]
        for count, member in enumerate(archive):
            if count > MEMBER_LIMIT:
                raise tarfile.ReadError("it has an absurd number of members")
            name = member.name.removeprefix("./")
            if name.count("/") == 1 and name.endswith(f"/{wanted}") and member.isreg():
                if member.size > METADATA_LIMIT:
                    raise tarfile.ReadError(f"its {wanted} is absurdly large")
                file = archive.extractfile(member)
                return None if file is None else file.read()
    return None


def _find_in_zip(data: BinaryIO, wanted: str) -> bytes | None:
    with zipfile.ZipFile(data) as archive:
        for info in archive.infolist():
            if info.filename.count("/") == 1 and info.filename.endswith(f"/{wanted}"):
                if info.file_size > METADATA_LIMIT:
                    raise zipfile.BadZipFile(f"its {wanted} is absurdly large")
                with archive.open(info) as file:
                    return file.read(METADATA_LIMIT)
    return None
