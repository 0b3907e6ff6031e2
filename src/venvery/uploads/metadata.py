"""Core metadata of what is uploaded: does it belong to the file, and does it mean something?

Unknown fields, and metadata of later 2.x versions, are no errors (core metadata specification).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from venvery.catalog.core_metadata import read_header
from venvery.errors import BadRequirement
from venvery.model.files import FileName
from venvery.model.names import is_valid_name, normalize
from venvery.model.requirements import parse_requirement
from venvery.model.versions import InvalidVersion, parse_version
from venvery.uploads.refusing import refuse, shown

__all__ = ["About", "check_metadata"]

_VERSION = re.compile(r"[12]\.\d{1,3}\Z")
_MOST_REQUIREMENTS = 10_000


@dataclass(frozen=True, slots=True)
class About:
    """What the core metadata says that a listing repeats."""

    name: str
    """The project's name as its author writes it."""
    requires_python: str | None


def check_metadata(data: bytes, named: FileName, filename: str, where: str) -> About:
    """Check METADATA or PKG-INFO (`where`) against the file's name. Raises `UploadRefused`."""
    header = read_header(data)
    stated = header.one("metadata-version") or ""
    if not _VERSION.match(stated):
        refuse(filename, f"its {where} states the metadata version {shown(stated)}, which nobody knows")
    name, version = header.one("name") or "", header.one("version") or ""
    if not is_valid_name(name) or normalize(name) != named.project:
        refuse(filename, f"its {where} is that of another project, {shown(name)}")
    try:
        agrees = parse_version(version) == named.version
    except InvalidVersion:
        agrees = False
    if not agrees:
        refuse(filename, f"its {where} is that of another version, {shown(version)}")
    if named.version.local is not None and len(str(named.version)) > 200:
        refuse(filename, "its version is absurdly long")
    python = header.one("requires-python")
    if python is not None:
        try:
            SpecifierSet(python)
        except InvalidSpecifier:
            refuse(filename, f"its Requires-Python is no version specifier: {shown(python)}")
    _check_requirements(header.all("requires-dist"), filename)
    return About(name, python)


def _check_requirements(requirements: list[str], filename: str) -> None:
    if len(requirements) > _MOST_REQUIREMENTS:
        refuse(filename, f"it has {len(requirements)} requirements, which is absurd")
    for text in requirements:
        try:
            requirement = parse_requirement(text)
        except BadRequirement:
            refuse(filename, f"it requires {shown(text)!r}, which is no requirement")
        if requirement.url is not None:
            refuse(
                filename,
                f"it requires {shown(text)!r}: a file by its address, fetched past this index",
                hint="upload that file too, and require it by name and version",
            )
