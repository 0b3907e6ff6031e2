"""Rows: file names parsed as the reference does, and nothing lost on the way to disk and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.catalog.pages import Link
from venvery.catalog.rows import Names, files_of, revision_of, rows_of, status_of
from venvery.model.files import ProjectStatus, parse_filename
from venvery.model.names import normalize
from venvery.storage.compression import pack, unpack

A = normalize("a")
_WORDS = (
    "a A a_b a.b a__b 1.0 1.0.0 01.0 1_0 1.0+cu_118 1!2 x 2b 12 0 py3 cp311 py2.py3 none abi3 any win_amd64 "
    "manylinux_2_17_x86_64.manylinux2014_x86_64 3x é"
)
_WORD = st.sampled_from([*_WORDS.split(), " ", "", "."])


@settings(max_examples=500, deadline=None)
@given(st.lists(_WORD, min_size=1, max_size=7), st.sampled_from([".whl", ".tar.gz", ".zip", ".egg", ".WHL", ""]))
def test_file_names_are_read_as_the_reference_reads_them(words: list[str], suffix: str) -> None:
    filename = "-".join(words) + suffix
    expected = parse_filename(filename)
    if expected is not None:
        found = Names(expected.project).parse(filename)
        assert found == (expected.version, expected.tag, expected.build)
        other = Names(normalize("other")).parse(filename)
        assert other is None
    elif suffix == ".whl":
        assert Names(A).parse(filename) is None


@pytest.mark.parametrize(
    ("project", "filename", "version"),
    [
        ("python-dateutil", "python-dateutil-2.4-1.tar.gz", "2.4.post1"),
        ("foo-bar", "Foo.Bar-1.0rc1.tar.gz", "1.0rc1"),
        ("foo-bar", "foo_bar-1.0.zip", "1.0"),
    ],
)
def test_old_sdist_names_are_read_by_those_who_know_the_project(project: str, filename: str, version: str) -> None:
    found = Names(normalize(project)).parse(filename)
    assert found is not None
    assert (str(found[0]), *found[1:]) == (version, "", ())


@pytest.mark.parametrize(
    "filename", ["foo-bar-2.tar.gz", "foo.tar.gz", "foo-.tar.gz", "foo-abc.tar.gz", "foobar-1.zip", "foo-1.exe"]
)
def test_files_of_other_projects_and_unreadable_ones_are_left_out(filename: str) -> None:
    assert Names(normalize("foo")).parse(filename) is None


def link(filename: str, url: str | None = None, **other: object) -> Link:
    return Link(filename, url or f"https://files.example/x/{filename}", **{"hashes": {}, **other})  # type: ignore[arg-type]


def test_rows_come_back_as_they_went() -> None:
    links = [
        link("a-2.0.tar.gz", hashes={"md5": "ef", "sha256": "AB" * 32}),
        link(
            "a-1.0-1x-py3-none-any.whl",
            "https://files.example/y/a-1.0-1x-py3-none-any.whl?token=1",
            hashes={"sha256": "ab" * 32, "sha512": "cd", "crc32": "00"},
            requires_python=">=3",
            yanked="",
            core_metadata="ef",
            size=7,
            upload_time=5.5,
        ),
        link("b-1.0.tar.gz"),
        link("a-1.0-1x-py3-none-any.whl", "https://elsewhere.example/a-1.0-1x-py3-none-any.whl"),
    ]
    rows = unpack(pack(rows_of(A, links, now=9.0)))
    wheel, sdist = files_of(A, rows, "src")
    assert wheel.url == "https://files.example/y/a-1.0-1x-py3-none-any.whl?token=1"
    assert (wheel.build, wheel.tag, wheel.size, wheel.yanked, wheel.core_metadata) == (
        (1, "x"),
        "py3-none-any",
        7,
        "",
        "ef",
    )
    assert (wheel.sha256, wheel.hashes, wheel.source) == ("ab" * 32, (("sha512", "cd"),), "src")
    assert wheel.upload_time is not None and wheel.upload_time.timestamp() == 5.5
    assert (sdist.kind, sdist.tag, str(sdist.version)) == ("sdist", "", "2.0")
    assert sdist.upload_time is not None and sdist.upload_time.timestamp() == 9.0


def test_a_mirror_that_moves_its_files_makes_another_listing() -> None:
    here = rows_of(A, [link("a-1.zip", "https://one.example/a-1.zip", hashes={"sha256": "ab" * 32})], now=1)
    there = rows_of(A, [link("a-1.zip", "https://two.example/b/a-1.zip", hashes={"sha256": "ab" * 32})], now=2)
    assert revision_of(here) != revision_of(there)


def test_without_a_hash_the_place_is_what_counts() -> None:
    here = rows_of(A, [link("a-1.zip", "https://one.example/a-1.zip")], now=1)
    there = rows_of(A, [link("a-1.zip", "https://two.example/a-1.zip")], now=1)
    assert revision_of(here) != revision_of(there)


def test_the_order_of_a_page_does_not_matter() -> None:
    links = [link("a-1.zip"), link("a-2.zip"), link("a-10.zip")]
    assert revision_of(rows_of(A, links, now=1)) == revision_of(rows_of(A, links[::-1], now=1))


def test_a_time_that_was_given_once_is_kept() -> None:
    before = rows_of(A, [link("a-1.zip", upload_time=5.0)], now=9)
    after = rows_of(A, [link("a-1.zip")], now=10, before=json.loads(json.dumps(before)))
    assert revision_of(before) == revision_of(after)
    assert files_of(A, after, "")[0].upload_time == files_of(A, before, "")[0].upload_time


def test_other_bytes_under_the_same_name_are_seen_anew() -> None:
    """Else a file that was exchanged today would pass for one of long ago."""
    before = rows_of(A, [link("a-1.zip", hashes={"sha256": "ab" * 32}), link("a-2.zip")], now=1)
    after = rows_of(A, [link("a-1.zip", hashes={"sha256": "cd" * 32}), link("a-2.zip")], now=2, before=before)
    times = [file.upload_time.timestamp() for file in files_of(A, after, "") if file.upload_time is not None]
    assert times == [2.0, 1.0]


def test_status_and_provenance_are_kept_and_make_a_revision() -> None:
    plain = rows_of(A, [link("a-1.zip")], now=1)
    archived = rows_of(A, [link("a-1.zip")], now=1, status=ProjectStatus("archived", "done"))
    proven = rows_of(A, [link("a-1.zip", provenance="https://one.example/p")], now=1)
    assert len({revision_of(rows) for rows in (plain, archived, proven)}) == 3
    assert status_of(unpack(pack(archived))) == ProjectStatus("archived", "done")
    assert files_of(A, unpack(pack(proven)), "")[0].provenance == "https://one.example/p"
