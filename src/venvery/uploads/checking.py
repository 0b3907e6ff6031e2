"""The checks of one uploaded file, in the order in which they get more costly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from venvery.model.files import FileName, expand_tag, parse_filename
from venvery.model.names import is_valid_name, normalize
from venvery.model.versions import InvalidVersion, parse_version
from venvery.uploads.refusing import refuse, shown
from venvery.uploads.sdists import check_sdist
from venvery.uploads.wheels import check_wheel

__all__ = ["Checked", "Claims", "check_claims", "check_upload", "slot_of"]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]*\Z")
_TYPES = {"bdist_wheel": ".whl", "sdist": ".tar.gz"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What the sender says of a file; None and empty: nothing."""

    filename: str
    filetype: str | None = None
    name: str | None = None
    version: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    """Algorithm → hex digits."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that is what it says."""

    named: FileName
    slot: str
    """The file name in its one normal form."""
    name: str
    """The project's name as its author writes it."""
    requires_python: str | None
    metadata: bytes | None
    """METADATA of a wheel, byte for byte."""


def check_claims(claims: Claims, found: Mapping[str, str]) -> FileName:
    """Check the file name, and the sender's words against the bytes' digests. Raises `UploadRefused`."""
    filename = claims.filename
    if not _PLAIN_NAME.match(filename) or len(filename) > 255:
        refuse(filename, "this cannot be the name of a distribution file")
    if not filename.endswith((".whl", ".tar.gz")):
        refuse(filename, "only wheels (.whl) and source distributions (.tar.gz) can be uploaded")
    if claims.filetype is not None and not filename.endswith(_TYPES.get(claims.filetype, "?")):
        refuse(filename, f"it is not of the type {shown(claims.filetype)}")
    named = parse_filename(filename)
    if named is None:
        refuse(filename, "its name is not that of a wheel or source distribution (PEP 427, 625)")
    for algorithm, said in claims.digests.items():
        if said.strip().lower() != found[algorithm]:
            refuse(filename, f"its {algorithm} is {found[algorithm]}, not {shown(said)} as sent along")
    _check_said(claims, named)
    return named


def check_upload(stream: BinaryIO, claims: Claims, named: FileName) -> Checked:
    """Read the whole file and check all of it. Raises `UploadRefused`."""
    metadata = None
    if named.kind == "wheel":
        about, metadata = check_wheel(stream, claims.filename, named)
    else:
        about = check_sdist(stream, claims.filename, named)
    return Checked(named, slot_of(named), about.name, about.requires_python, metadata)


def slot_of(named: FileName) -> str:
    """Write a file name in its one normal form."""
    if named.kind == "sdist":
        return f"{named.project}-{named.version}.tar.gz"
    build = f"-{named.build[0]}{named.build[1]}" if named.build else ""
    return f"{named.project}-{named.version}{build}-{'.'.join(expand_tag(named.tag))}.whl"


def _check_said(claims: Claims, named: FileName) -> None:
    """Check the form's name and version against the file's."""
    if claims.name is not None and not (is_valid_name(claims.name) and normalize(claims.name) == named.project):
        refuse(claims.filename, f"it was sent as a file of {shown(claims.name)}")
    if claims.version is not None:
        try:
            agrees = parse_version(claims.version) == named.version
        except InvalidVersion:
            agrees = False
        if not agrees:
            refuse(claims.filename, f"it was sent as version {shown(claims.version)}")
