"""The header block of METADATA and PKG-INFO, as the standard library's parser reads it."""

from __future__ import annotations

from email.parser import BytesHeaderParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.catalog.core_metadata import read_header, read_metadata, read_pkg_info
from venvery.model.files import CoreMetadata, DistFile, NoMetadata
from venvery.model.names import normalize
from venvery.model.versions import parse_version

A = normalize("a")
WHEEL = DistFile("a-1.0-py3-none-any.whl", "", A, parse_version("1.0"), "wheel")
SDIST = DistFile("a-1.0.tar.gz", "", A, parse_version("1.0"), "sdist")


def text(*lines: str, version: str = "2.1") -> bytes:
    return "\n".join([f"Metadata-Version: {version}", "Name: A", "Version: 1.0", *lines, ""]).encode()


def test_what_resolution_needs() -> None:
    data = text(
        "Requires-Python: >=3.8",
        "requires-dist: b>=1",
        "Requires-Dist: c (>=2) ; extra == 'X.y'",
        "Provides-Extra: X.y",
        "Provides-Extra: x-Y",
        "Summary: é",
        "",
        "Requires-Dist: only described",
    )
    assert read_metadata(data, WHEEL) == CoreMetadata(
        A, parse_version("1.0"), ">=3.8", ("b>=1", "c (>=2) ; extra == 'X.y'"), (normalize("x-y"),)
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfName: a\nVersion: 1.0\n",
        b"Name: a\r\nVersion: 1.0\r\n\r\nbody",
        b"Name: a\nVersion: 1.0",
        b"Summary: \xff\xfe\nName: a\nVersion: 1.0.0\n",
        b"Name: a\nVersion: 1.0\nRequires-Dist:\n",
        b"Name: A\nDescription: x\n        |y\n  z: 1\nVersion: 1.0\n",
    ],
)
def test_untidy_files_are_read_nevertheless(data: bytes) -> None:
    found = read_metadata(data, WHEEL)
    assert isinstance(found, CoreMetadata) and found.requires_dist == ()


def test_folded_lines_are_joined() -> None:
    found = read_metadata(text("Requires-Dist: b", "    >=1,", "\t<2"), WHEEL)
    assert isinstance(found, CoreMetadata) and found.requires_dist == ("b >=1, <2",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no name"),
        (b"<html>", "no name"),
        (b"Name: a\n", "no version"),
        (b"Name: UNKNOWN\nVersion: 1.0\n", "no name"),
        (b"Name: b\nVersion: 1.0\n", "another project"),
        (b"Name: a b\nVersion: 1.0\n", "another project"),
        (b"Name: a\nVersion: 1.1\n", "another version"),
        (b"Name: a\nVersion: one\n", "does not parse"),
    ],
)
def test_metadata_of_something_else_is_none(data: bytes, reason: str) -> None:
    found = read_metadata(data, WHEEL)
    assert isinstance(found, NoMetadata)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("data", "static"),
    [
        (text(version="2.2"), True),
        (text("Dynamic: License", "Dynamic: Classifier", version="2.4"), True),
        (text(version="2.10"), True),
        (text(version="3.0"), True),
        (text("Dynamic: requires-dist", version="2.2"), False),
        (text("Dynamic: Requires-Python", version="2.2"), False),
        (text("Dynamic: Provides-Extra", version="2.2"), False),
        (text(version="2.1"), False),
        (text(version="1.0"), False),
        (text(version="soon"), False),
    ],
)
def test_an_sdist_is_believed_when_it_promises(data: bytes, static: bool) -> None:
    found = read_pkg_info(data, SDIST)
    assert isinstance(found, CoreMetadata) == static
    if isinstance(found, NoMetadata):
        assert found.needs_build


_LINE = st.one_of(
    st.builds("{}: {}".format, st.sampled_from(["Name", "name", "Requires-Dist"]), st.text("ab:;= ", max_size=8)),
    st.sampled_from(["  folded", "\tfolded", "no colon here", ": no name", "", "a b: c", "Name:x"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_LINE, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_the_header_ends_where_the_reference_ends_it(lines: list[str], end: str) -> None:
    data = end.join(lines).encode()
    reference = BytesHeaderParser().parsebytes(data)
    for name in ("name", "requires-dist"):
        expected = [" ".join(value.split()) for value in reference.get_all(name, [])]
        found = [" ".join(value.split()) for value in read_header(data).fields.get(name, [])]
        assert found == expected
