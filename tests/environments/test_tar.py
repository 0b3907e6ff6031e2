"""Fragments against the standard library's reading of them."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvery.environments import tar
from venvery.errors import StorageFailed

_PART = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=60
).filter(lambda part: part not in (".", "..") and len(part.encode()) <= 255)
_PATHS = st.lists(_PART, min_size=1, max_size=9).map("/".join)


def _write(path: str, content: bytes, *, executable: bool = False) -> bytes:
    return tar.header(path, len(content), executable=executable) + content + tar.padding(len(content))


@given(st.lists(st.tuples(_PATHS, st.binary(max_size=1500), st.booleans()), max_size=5))
def test_what_is_written_is_read_back_by_us_and_by_the_standard_library(
    files: list[tuple[str, bytes, bool]],
) -> None:
    fragment = b"".join(_write(path, content, executable=executable) for path, content, executable in files)
    assert len(fragment) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(fragment + tar.END)) as archive:
        theirs = [
            (member.name, archive.extractfile(member).read(), bool(member.mode & 0o100))  # type: ignore[union-attr]
            for member in archive
        ]
    assert theirs == [(path.rstrip("/"), content, executable) for path, content, executable in files]
    ours = [
        (member.path, body.read(), bool(member.mode & 0o100))
        for member, body in tar.read_members(io.BytesIO(fragment))
    ]
    assert ours == files


@given(_PATHS, _PATHS)
def test_links_are_read_back(path: str, link: str) -> None:
    fragment = tar.header(path, 0, link=link)
    with tarfile.open(fileobj=io.BytesIO(fragment + tar.END)) as archive:
        (member,) = archive.getmembers()
    assert (member.issym(), member.name, member.linkname) == (True, path, link)
    ((ours, _body),) = tar.read_members(io.BytesIO(fragment))
    assert (ours.path, ours.link) == (path, link)


def test_headers_say_nothing_about_who_wrote_them_and_when() -> None:
    with tarfile.open(fileobj=io.BytesIO(_write("a/b.py", b"x") + tar.END)) as archive:
        (member,) = archive.getmembers()
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert (member.mtime, member.mode, member.type) == (tar.MTIME, 0o644, tarfile.REGTYPE)
    assert member.pax_headers == {}


@pytest.mark.parametrize("length", range(90, 270))
def test_paths_of_every_length_around_the_limits_are_whole(length: int) -> None:
    for path in (
        "a" * 40 + "/" + "b" * (length - 41),
        "a" * (length - 41) + "/" + "b" * 40,
        "ab/" * (length // 3),
    ):
        path = path.rstrip("/")
        with tarfile.open(fileobj=io.BytesIO(_write(path, b"x") + tar.END)) as archive:
            assert archive.getnames() == [path]


def test_a_file_larger_than_ustar_can_say_has_its_size_in_pax() -> None:
    size = (8 << 30) + 5
    header = tar.header("big", size)
    member = tarfile.TarInfo.frombuf(header[-512:], "utf-8", "strict")
    assert member.name == "big"
    assert b" size=%d\n" % size in header


def test_a_fragment_that_is_cut_or_changed_is_noticed() -> None:
    fragment = _write("a.py", b"print()\n")
    for broken in (fragment[:-1], fragment[:700], fragment[:100], b"x" + fragment[1:]):
        with pytest.raises(StorageFailed):
            for _member, body in tar.read_members(io.BytesIO(broken)):
                body.read()
