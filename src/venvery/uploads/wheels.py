"""Wheels that are uploaded (PEP 427, 491, 376): the whole content is read and held against RECORD."""

from __future__ import annotations

import tarfile
import unicodedata
from collections.abc import Iterable
from email.parser import BytesHeaderParser
from typing import BinaryIO, Literal

from venvery.environments.layers import read_entry_points
from venvery.environments.wheel import Limits, Wheel
from venvery.errors import LimitExceeded, SourceGarbage
from venvery.model.files import FileName, expand_tag
from venvery.uploads.metadata import About, check_metadata
from venvery.uploads.refusing import refuse, shown
from venvery.uploads.zips import check_zip

__all__ = ["check_wheel"]

LIMITS = Limits(ratio=100, metadata=8 << 20)


def check_wheel(stream: BinaryIO, filename: str, named: FileName) -> tuple[About, bytes]:
    """Check a wheel, and give what a listing says of it, with its METADATA. Raises `UploadRefused`."""
    if _is_tar(stream):
        refuse(filename, "it is a zip file and a tar file at once")
    check_zip(stream, filename)
    stream.seek(0)
    windows = _is_for(named, "win")
    try:
        wheel = Wheel(stream, filename, "nt" if windows else "posix", LIMITS)
        metadata = wheel.metadata("METADATA") or b""
        about = check_metadata(metadata, named, filename, "METADATA")
        _check_record(wheel, filename)
        _check_tags(wheel.metadata("WHEEL") or b"", filename, named)
        for system in _systems(named):
            read_entry_points(wheel, system)
        for file in wheel.files:
            for _chunk in wheel.chunks(file):
                pass
    except (SourceGarbage, LimitExceeded) as error:
        refuse(
            filename, str(error).removeprefix(filename).removeprefix(" is not a wheel that can be used: ").strip()
        )
    # Where files land on a disk that does not tell the names apart, one would overwrite the other.
    paths = [file.member.filename for file in wheel.files]
    one_case = named.tag.endswith("-any") or windows or _is_for(named, "macosx")
    _check_clashes(paths, filename, fold=one_case)
    return about, metadata


def _is_tar(stream: BinaryIO) -> bool:
    stream.seek(0)
    try:
        tarfile.TarInfo.frombuf(stream.read(512), "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _check_record(wheel: Wheel, filename: str) -> None:
    gone = [path for path in wheel.missing if not path.endswith((".jws", ".p7s"))]
    if gone:
        refuse(filename, f"RECORD lists {shown(gone[0])!r}, which is not in it")


def _check_tags(wheel_file: bytes, filename: str, named: FileName) -> None:
    stated = {str(tag).strip() for tag in BytesHeaderParser().parsebytes(wheel_file).get_all("Tag", [])}
    written = set(expand_tag(named.tag))
    expanded = {single for tag in stated if tag.count("-") == 2 for single in expand_tag(tag)}
    if expanded != written:
        refuse(
            filename,
            f"its name has the tags {shown(named.tag)}, its WHEEL {shown(' '.join(sorted(stated)))}",
            hint="rename it with `python -m wheel tags`, which changes both",
        )


def _check_clashes(paths: Iterable[str], filename: str, *, fold: bool) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        key = unicodedata.normalize("NFC", path)
        other = seen.setdefault(key.casefold() if fold else key, path)
        if other != path:
            refuse(filename, f"{shown(other)!r} and {shown(path)!r} are the same file on many disks")


def _is_for(named: FileName, platform: str) -> bool:
    return any(tag.rpartition("-")[2].startswith(platform) for tag in expand_tag(named.tag))


def _systems(named: FileName) -> list[Literal["posix", "nt"]]:
    """Tell where it may be installed."""
    platforms = {tag.rpartition("-")[2] for tag in expand_tag(named.tag)}
    windows = {platform for platform in platforms if platform.startswith("win")}
    return [*(["posix"] if platforms - windows else []), *(["nt"] if windows else [])]  # type: ignore[list-item]
