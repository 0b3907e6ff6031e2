"""Source distributions that are uploaded (PEP 625, 517, 721): one folder of plain files, and PKG-INFO in it."""

from __future__ import annotations

import tarfile
import unicodedata
import zipfile
import zlib
from typing import BinaryIO, NoReturn

from venvery.environments.wheel import check_name
from venvery.model.files import FileName
from venvery.uploads.metadata import About, check_metadata
from venvery.uploads.refusing import refuse, shown

__all__ = ["check_sdist"]

_MOST_MEMBERS = 200_000
_MOST_METADATA = 8 << 20
_FREE = 256 << 20
"""Bytes up to which the ratio is not looked at."""
_RATIO = 100
_CHUNK = 1 << 16


class _Gunzipped:
    """The bytes of the one gzip member that a file is; anything behind it is refused, and so is a bomb."""

    def __init__(self, stream: BinaryIO, filename: str) -> None:
        self._stream = stream
        self._filename = filename
        length = stream.seek(0, 2)
        stream.seek(0)
        self._most = max(_FREE, _RATIO * length)
        self._decoder = zlib.decompressobj(31)
        self._count = 0
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and self._fill():
            pass
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _fill(self) -> bool:
        if self._decoder.eof:
            if self._decoder.unused_data or self._stream.read(1):
                refuse(self._filename, "it has bytes behind its end")
            return False
        data = self._decoder.unconsumed_tail or self._stream.read(_CHUNK)
        if not data:
            refuse(self._filename, "it is cut off")
        piece = self._decoder.decompress(data, 1 << 20)
        self._count += len(piece)
        if self._count > self._most:
            refuse(self._filename, f"it would unpack to more than {self._most} bytes")
        self._ready += piece
        return True


def check_sdist(stream: BinaryIO, filename: str, named: FileName) -> About:
    """Check a source distribution, and give what a listing says of it. Raises `UploadRefused`."""
    stem = f"{named.project.replace('-', '_')}-{named.version}"
    if filename != f"{stem}.tar.gz":
        refuse(
            filename,
            f"the name of this source distribution has to be {stem}.tar.gz (PEP 625)",
            hint="a newer build back end names it so; setuptools does from 69.3 on",
        )
    if zipfile.is_zipfile(stream):
        refuse(filename, "it is a tar file and a zip file at once")
    return _Sdist(stream, filename, stem, named).check()


class _Sdist:
    def __init__(self, stream: BinaryIO, filename: str, stem: str, named: FileName) -> None:
        self._content = _Gunzipped(stream, filename)
        self._filename = filename
        self._stem = stem
        self._named = named

    def check(self) -> About:
        about = None
        try:
            with tarfile.open(fileobj=self._content, mode="r|", errorlevel=2) as archive:  # type: ignore[call-overload]
                names: dict[str, str] = {}
                for count, member in enumerate(archive):
                    if count >= _MOST_MEMBERS:
                        self._refuse("it has an absurd number of files in it")
                    self._check_member(member, names)
                    if member.name == f"{self._stem}/PKG-INFO":
                        about = self._read_metadata(archive, member)
            while self._content.read(_CHUNK):  # to its end, where bytes may be that do not belong to it
                pass
        except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, UnicodeError) as error:
            self._refuse(f"it is not a tar.gz file that can be read ({shown(str(error))})")
        if about is None:
            self._refuse(f"it has no {self._stem}/PKG-INFO")
        return about

    def _check_member(self, member: tarfile.TarInfo, names: dict[str, str]) -> None:
        said = shown(member.name)
        if member.issparse() or member.type == tarfile.GNUTYPE_SPARSE:
            self._refuse(f"{said!r} is a sparse file")
        if not (member.isreg() or member.isdir()):
            self._refuse(f"{said!r} is a link or a device")
        name = member.name.rstrip("/") if member.isdir() else member.name
        if reason := check_name(name, "posix"):
            self._refuse(f"{said!r} {reason}")
        if name != self._stem and not name.startswith(f"{self._stem}/"):
            self._refuse(f"{said!r} is not in its one folder, {self._stem}")
        if name == self._stem and not member.isdir():
            self._refuse(f"{said!r} is not a folder")
        other = names.setdefault(unicodedata.normalize("NFC", name), name)
        if other is not name and not (member.isdir() and other == name):
            self._refuse(f"{said!r} is in it twice")

    def _read_metadata(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> About:
        if member.size > _MOST_METADATA:
            self._refuse(f"its PKG-INFO has {member.size} bytes")
        file = archive.extractfile(member)
        data = b"" if file is None else file.read()
        return check_metadata(data, self._named, self._filename, "PKG-INFO")

    def _refuse(self, why: str) -> NoReturn:
        refuse(self._filename, why)
