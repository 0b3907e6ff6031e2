"""Files that must not be published: each is refused with a sentence that says why, and sound ones are not."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sdists import make_sdist
from tests.support.wheels import BrokenWheel, BuiltFile, make_wheel
from venvery.errors import UploadRefused, VenveryError
from venvery.uploads import Checked, Claims, check_claims, check_upload

POINTS = {"console_scripts": {"acme": "acme:main"}}


def check(file: BuiltFile, **claims: object) -> Checked:
    """Check a file as the server does."""
    said = Claims(file.filename, **claims)  # type: ignore[arg-type]
    named = check_claims(said, {"sha256": file.sha256})
    return check_upload(io.BytesIO(file.data), said, named)


def refused(file: BuiltFile, **claims: object) -> str:
    """Give the sentence with which a file is refused; it is one line that begins with the file's name."""
    with pytest.raises(UploadRefused) as caught:
        check(file, **claims)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 1000
    return said


@pytest.mark.parametrize(
    ("file", "slot"),
    [
        (make_wheel("acme", "1.0", entry_points=POINTS), "acme-1.0-py3-none-any.whl"),
        (make_wheel("Acme.Tools", "1.0.0", build="2b"), "acme-tools-1.0.0-2b-py3-none-any.whl"),
        (make_wheel("acme", "1.0", tag="py2.py3-none-any"), "acme-1.0-py2-none-any.py3-none-any.whl"),
        (make_wheel("acme", "1.0", metadata_version="2.99"), "acme-1.0-py3-none-any.whl"),
        (make_wheel("acme", "1.0+local.1", compress=False), "acme-1.0+local.1-py3-none-any.whl"),
        (make_wheel("acme", "1.0", files={"acme/x y ü.py": "", "acme/zeros": b"\0" * 10_000_000}), "acme-1.0-"),
        (make_sdist("acme-tools", "1.0"), "acme-tools-1.0.tar.gz"),
    ],
    ids=lambda value: value.filename if isinstance(value, BuiltFile) else "",
)
def test_what_is_sound_is_taken(file: BuiltFile, slot: str) -> None:
    checked = check(file)
    assert checked.slot.startswith(slot)
    assert checked.metadata == (file.metadata if file.filename.endswith(".whl") else None)


WHY: dict[str, str] = {
    "wrong-record": "not the file that RECORD lists",
    "unrecorded-member": "RECORD does not list",
    "missing-member": "which is not in it",
    "no-record": "has no RECORD",
    "no-metadata": "has no METADATA",
    "no-wheel-file": "has no WHEEL",
    "no-dist-info": "has no metadata folder",
    "two-dist-infos": "2 metadata folders",
    "wrong-name": "is that of 'other-project'",
    "wrong-version": "999.0",
    "bad-metadata": "which is no requirement",
    "huge-metadata": "METADATA of 20",
    "parent-member": r"\.\./escaped.txt",
    "absolute-member": "not a relative path",
    "backslash-member": "not a relative path",
    "symlink-member": "is a link",
    "symlinked-folder": "is a link",
    "duplicate-member": "in it twice",
    "case-clash": "same file on many disks",
    "corrupt-member": "cannot be unpacked",
    "zip-bomb": "would unpack to",
    "truncated": "not a zip file",
    "not-a-zip": "not a zip file",
    "future-wheel-version": "Wheel-Version",
    "escaping-entry-point": "cannot be the name of a script",
}


@pytest.mark.parametrize("defect", get_args(BrokenWheel))
def test_broken_wheels_are_refused(defect: BrokenWheel) -> None:
    assert re.search(WHY[defect], refused(make_wheel("acme", "1.0", entry_points=POINTS, broken=[defect])))


@pytest.mark.parametrize(
    ("requires", "why"),
    [
        ("evil @ https://evil.example/evil-1.0-py3-none-any.whl", "by its address"),
        ("evil @ file:///etc/passwd", "by its address"),
        ("evil[x] @ git+ssh://evil.example/x ; extra == 'y'", "by its address"),
        ("a" * 100_000 + "!", "no requirement"),
        ("x ; " + "(" * 5000 + "os_name == 'x'", "no requirement"),
        ("${SECRET}", "no requirement"),
    ],
)
def test_hostile_requirements_are_refused(requires: str, why: str) -> None:
    assert why in refused(make_wheel("acme", "1.0", requires=[requires]))


def test_metadata_is_read_as_it_is_and_never_believed(tmp_path: object) -> None:
    def metadata(**fields: str) -> bytes:
        said = {"Metadata-Version": "2.1", "Name": "acme", "Version": "1.0", **fields}
        return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in said.items()).encode()

    for fields, why in (
        ({"Metadata-Version": "3.0"}, "which nobody knows"),
        ({"Metadata-Version": ""}, "which nobody knows"),
        ({"Requires_Python": ">=3.x.y, <"}, "Requires-Python"),
        ({"Name": "acme\x1b[31m"}, "acme"),
        ({"Version": "1.0-not-a-version"}, "1.0"),
    ):
        assert why in refused(make_wheel("acme", "1.0", metadata=metadata(**fields)))


@pytest.mark.parametrize(
    "filename",
    [
        "acme.whl", "acme-1.0.whl", "acme-1.0-py3-none.whl", "acme-x-py3-none-any.whl", "acme-1.0.zip",
        "../acme-1.0-py3-none-any.whl", "a/acme-1.0-py3-none-any.whl", "..\\acme-1.0-py3-none-any.whl",
        "acme-1.0-py3-none-any.whl\0.whl", "acme-1.0-py3-none-any\n.whl", "acme-1.0-py3-none-any.whl.exe", "",
        "äcme-1.0-py3-none-any.whl", "acme-1.0-py3-none-any-x86_64.whl", "other-1.0-py3-none-any.whl",
        "acme-1.0-py3-none-" + "a" * 300 + ".whl", "acme-1.0.tar.bz2", "acme-1.0-py3-none-any-variant-x.whl",
    ],
)  # fmt: skip
def test_hostile_file_names_are_refused(filename: str) -> None:
    refused(replace(make_wheel("acme", "1.0"), filename=filename))


def test_what_the_sender_says_is_held_against_the_file() -> None:
    wheel = make_wheel("acme", "1.0")
    assert "sha256" in refused(wheel, digests={"sha256": "0" * 64})
    assert "type" in refused(wheel, filetype="sdist")
    assert "type" in refused(wheel, filetype="bdist_egg")
    assert "other" in refused(wheel, name="other")
    assert "2.0" in refused(wheel, version="2.0")
    check(wheel, digests={"sha256": wheel.sha256.upper()}, filetype="bdist_wheel", name="ACME", version="1.0.0")


def test_tags_have_to_be_those_of_the_wheel_file() -> None:
    wheel = make_wheel("acme", "1.0", tag="py3-none-any")
    assert "py3-none-any" in refused(replace(wheel, filename="acme-1.0-cp311-cp311-linux_x86_64.whl"))


def test_names_that_differ_in_unicode_form_only_are_refused() -> None:
    files = {"acme/\u00e9.py": "", "acme/e\u0301.py": ""}
    assert "same file" in refused(make_wheel("acme", "1.0", files=files))
    tag = "cp311-cp311-manylinux_2_17_x86_64"  # case alone is told apart where this can be installed
    check(make_wheel("acme", "1.0", files={"acme/A.h": "", "acme/a.h": ""}, tag=tag))


def with_data(change: Callable[[bytes], bytes]) -> BuiltFile:
    wheel = make_wheel("acme", "1.0")
    return replace(wheel, data=change(wheel.data))


def test_zip_files_that_mean_two_things_are_refused() -> None:
    def local_name(data: bytes) -> bytes:
        return data.replace(b"acme/__init__.py", b"acme/__evil__.py", 1)

    def flags(data: bytes) -> bytes:  # a data descriptor, in both places
        start = data.rindex(b"PK\1\2")
        offset = struct.unpack_from("<L", data, start + 42)[0]
        patched = bytearray(data)
        patched[start + 8] |= 8
        patched[offset + 6] |= 8
        return bytes(patched)

    def method(data: bytes) -> bytes:
        start = data.rindex(b"PK\1\2")
        offset = struct.unpack_from("<L", data, start + 42)[0]
        patched = bytearray(data)
        patched[start + 10] = patched[offset + 8] = 93
        return bytes(patched)

    for change, why in (
        (local_name, "one thing in the central directory"),
        (lambda data: data + b"\0", "behind its end"),
        (lambda data: data[:-2] + b"\1\0#", "behind its end|not that of one"),
        (lambda data: b"#!/bin/sh\n" + data, "central directory"),
        (lambda data: data + data, "central directory"),
        (flags, "data descriptor"),
        (method, "compressed in a way"),
        (lambda data: data[: len(data) // 2], "not a zip"),
        (lambda _data: b"", "not a zip"),
    ):
        assert re.search(why, refused(with_data(change)))


def test_a_file_that_is_zip_and_tar_is_refused() -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("PK\3\4"))
    assert "at once" in refused(with_data(lambda data: inner.getvalue() + data))
    sdist = make_sdist("acme", "1.0")
    assert "at once" in refused(replace(sdist, data=sdist.data + make_wheel("acme", "1.0").data))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_is_taken_for_a_wheel_or_crashes(data: st.DataObject) -> None:
    """Whatever bytes change: refused with a sentence, or still the same content to every reader."""
    wheel = make_wheel("acme", "1.0", entry_points=POINTS)
    raw = bytearray(wheel.data)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        check(replace(wheel, data=bytes(raw)))
    except VenveryError as error:
        assert isinstance(error, UploadRefused)
        return
    with zipfile.ZipFile(io.BytesIO(bytes(raw))) as found, zipfile.ZipFile(io.BytesIO(wheel.data)) as was:
        assert {i.filename: found.read(i) for i in found.infolist()} == {
            i.filename: was.read(i) for i in was.infolist()
        }


def tar_gz(*members: tuple[str, bytes | tarfile.TarInfo], stem: str = "acme-1.0") -> BuiltFile:
    """Write an sdist by hand, behind a sound PKG-INFO."""
    raw = io.BytesIO()
    info = b"Metadata-Version: 2.2\nName: acme\nVersion: 1.0\n"
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in ((f"{stem}/PKG-INFO", info), *members):
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.name = name
            if isinstance(content, bytes):
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return BuiltFile("acme-1.0.tar.gz", raw.getvalue(), info)


def special(kind: bytes, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo("x")
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (tar_gz(("../evil", b"")), "leads out"),
        (tar_gz(("/etc/evil", b"")), "relative"),
        (tar_gz(("acme-1.0/../../evil", b"")), "leads out"),
        (tar_gz(("other/x", b"")), "one folder"),
        (tar_gz(("acme-1.0/x", b""), ("acme-1.0/x", b"")), "twice"),
        (tar_gz(("acme-1.0/\u00e9", b""), ("acme-1.0/e\u0301", b"")), "twice"),
        (tar_gz(("acme-1.0/x", special(tarfile.SYMTYPE, "/etc/passwd"))), "link"),
        (tar_gz(("acme-1.0/x", special(tarfile.LNKTYPE, "acme-1.0/PKG-INFO"))), "link"),
        (tar_gz(("acme-1.0/x", special(tarfile.CHRTYPE))), "link or a device"),
        (tar_gz(("acme-1.0/x", special(tarfile.FIFOTYPE))), "link or a device"),
        (tar_gz(stem="acme-2.0"), "one folder"),
        (replace(tar_gz(), data=tar_gz().data + b"x"), "behind its end"),
        (replace(tar_gz(), data=tar_gz().data + gzip.compress(b"x")), "behind its end"),
        (replace(tar_gz(), data=tar_gz().data[:-5]), "cut off"),
        (replace(tar_gz(), data=b"not a gzip file"), "not a tar.gz"),
        (replace(tar_gz(), data=gzip.compress(b"\0" * 400_000_000, 9)), "would unpack"),
        (replace(tar_gz(), data=gzip.compress(b"")), "no acme-1.0/PKG-INFO|not a tar.gz"),
        (replace(tar_gz(), filename="Acme-1.0.tar.gz"), "acme-1.0.tar.gz"),
        (replace(tar_gz(), filename="acme-1.0.0.tar.gz"), "has to be|another version|one folder"),
    ],
    ids=range(19),
)
def test_hostile_sdists_are_refused(file: BuiltFile, why: str) -> None:
    assert re.search(why, refused(file))
