"""Files in columns: the same as one by one, whichever way they are read."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.catalog.columns import Columns, Link
from venvery.catalog.rows import Names, files_of, revision_of, rows_of
from venvery.model.file_table import FileTable
from venvery.model.files import Listing
from venvery.model.names import normalize
from venvery.resolve.universe import Universe
from venvery.storage.compression import pack, unpack

A = normalize("a-b")
_FILENAMES = st.one_of(
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["a-b", "a_b", "A.B", "b", "a_b-c", ""]),
            st.sampled_from(["-", ""]),
            st.sampled_from(["1", "1.0", "2!1", "1.0rc1", "1.0+x", "x", "1-1", ""]),
            st.sampled_from(
                ["-py3-none-any.whl", "-1-py3-none-any.whl", "-2x-cp311-cp311-linux_x86_64.whl", "-py3-none.whl",
                 ".tar.gz", ".zip", ".exe", "-py3-none-any.zip", "--py3-none-any.whl", "-x-py3-none-any.whl"]
            ),
        ),
    ),
    st.text(st.sampled_from("ab1-._wzhl"), max_size=12),
)  # fmt: skip
_LINKS = st.lists(
    st.builds(
        Link,
        _FILENAMES,
        st.sampled_from(["https://x.example/f/a-1.zip", "https://x.example/a%2Bb.whl?x=1", "https://y.example/"]),
        st.sampled_from([{}, {"sha256": "ab" * 32}, {"sha256": "cd" * 32, "sha512": "ef"}, {"md5": "01"}]),
        st.sampled_from([None, ">=3.8", "<3"]),
        st.sampled_from([None, "", "broken"]),
        st.sampled_from([None, "", "ab" * 32]),
        st.sampled_from([None, 0, 7]),
        st.sampled_from([None, 5.0, 6.5]),
        st.sampled_from([None, "https://x.example/p"]),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_FILENAMES, max_size=10))
def test_many_names_are_read_as_each_of_them(filenames: list[str]) -> None:
    numbered, names = Names(A).number(filenames), Names(A)
    found = {
        filenames[place]: (numbered.versions[numbered.version_of[place]], *numbered.kinds[numbered.kind_of[place]])
        for place in numbered.places
    }
    assert len(found) == len(numbered.places)
    expected = {
        name: (parsed[0], parsed[1], parsed[2] or None) for name in filenames if (parsed := names.parse(name))
    }
    assert found.keys() == expected.keys()
    for name, (version, *kind) in expected.items():
        assert (Names(A).parse(f"a_b-{found[name][0]}.zip"), kind) == ((version, "", ()), list(found[name][1:]))


@given(_LINKS)
def test_columns_are_links(links: list[Link]) -> None:
    assert list(Columns.of(links)) == links
    assert list(Columns.of(links) + Columns.of(links)) == [*links, *links]


@settings(max_examples=300, deadline=None)
@given(_LINKS)
def test_a_universe_is_the_same_whether_its_files_are_made_or_not(links: list[Link]) -> None:
    rows = rows_of(A, links, now=9.0)
    lazy, stored = files_of(A, rows, "src"), files_of(A, unpack(pack(rows)), "src")
    made = tuple(files_of(A, rows, "src"))
    assert lazy == made == tuple(stored) == FileTable.of(made) and revision_of(rows) == revision_of(
        unpack(pack(rows))
    )
    ours = {link.filename for link in links if Names(A).parse(link.filename)}
    assert [file.filename for file in made] == sorted(ours)
    first, second = Universe(Listing(A, "r", lazy)), Universe(Listing(A, "r", made))
    assert first.versions == second.versions and first.groups() == second.groups()
    assert list(first.by_version) == list(second.by_version)
    for file in made:
        assert file in lazy.find(file.filename)


def test_a_file_is_made_once() -> None:
    files = files_of(A, rows_of(A, [Link("a_b-1.zip", "https://x.example/a_b-1.zip", {})], now=1.0), "src")
    assert files[0] is files[-1] is next(iter(files)) is files[:1][0]


def test_what_was_uploaded_at_no_time_that_can_be_read_was_seen_now() -> None:
    page = Columns.of([Link("a_b-1.zip", "https://x.example/a_b-1.zip", {"sha256": "ab" * 32})])
    page.times = ["2020-99"]
    (file,) = files_of(A, rows_of(A, page, now=7.0), "src")
    assert file.upload_time is not None and file.upload_time.timestamp() == 7.0
