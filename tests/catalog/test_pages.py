"""Project pages as people and programs really write them."""

from __future__ import annotations

import json
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.catalog import pages
from venvery.catalog.anchors import read_carefully, read_plainly
from venvery.catalog.pages import Link
from venvery.errors import SourceGarbage

BASE = "https://index.example/simple/a/"
SHA = "ab" * 32


def parse_html(text: str, base: str) -> list[Link]:
    return list(pages.parse_html(text, base).links)


def parse_json(body: bytes, base: str) -> list[Link]:
    return list(pages.parse_json(body, base).links)


def one(anchor: str, base: str = BASE) -> Link:
    (link,) = parse_html(f"<!DOCTYPE html><html><body>{anchor}</body></html>", base)
    return link


def test_a_full_anchor() -> None:
    link = one(
        f'<a href="../../files/a-1.0.tar.gz#sha256={SHA.upper()}" data-requires-python="&gt;=3.8, &lt;4" '
        'data-yanked="bad &amp; &quot;ugly&quot;" data-core-metadata="sha256=cd" '
        'data-upload-time="2024-05-01T12:00:00Z">a-1.0.tar.gz</a>'
    )
    assert link == Link(
        "a-1.0.tar.gz",
        "https://index.example/files/a-1.0.tar.gz",
        {"sha256": SHA},
        ">=3.8, <4",
        'bad & "ugly"',
        "cd",
        None,
        1714564800.0,
    )


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ('data-core-metadata="sha256=AB"', "ab"),
        ('data-core-metadata="true"', ""),
        ("data-core-metadata", ""),
        ('data-core-metadata="false"', None),
        ('data-core-metadata="md5=ab"', ""),
        ('data-dist-info-metadata="sha256=ab"', "ab"),
        ('data-dist-info-metadata="sha256=ab" data-core-metadata="sha256=cd"', "cd"),
        ("", None),
    ],
)
def test_core_metadata_as_it_is_offered(attribute: str, expected: str | None) -> None:
    assert one(f'<a href="a-1.0-py3-none-any.whl" {attribute}>x</a>').core_metadata == expected


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("data-yanked", ""),
        ('data-yanked=""', ""),
        ("data-yanked=why", "why"),
        ("", None),
        ("data-yanked='it'", "it"),
    ],
)
def test_yanked_as_it_is_written(attribute: str, expected: str | None) -> None:
    assert one(f'<a href="a-1.0.tar.gz" {attribute}>x</a>').yanked == expected


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("a-1.zip", "https://index.example/simple/a/a-1.zip"),
        ("/a-1.zip", "https://index.example/a-1.zip"),
        ("./x/../a-1.zip", "https://index.example/simple/a/a-1.zip"),
        ("//files.example/a-1.zip", "https://files.example/a-1.zip"),
        ("http://files.example:81/a-1.zip", "http://files.example:81/a-1.zip"),
        ("a-1.zip?token=x&amp;y=1", "https://index.example/simple/a/a-1.zip?token=x&y=1"),
        ("https://me:secret@files.example/a-1.zip", "https://files.example/a-1.zip"),
        ("a%2B1/a-1.zip", "https://index.example/simple/a/a%2B1/a-1.zip"),
        ("b ö/a-1.zip", "https://index.example/simple/a/b%20%C3%B6/a-1.zip"),
        ("  a-1.zip\n", "https://index.example/simple/a/a-1.zip"),
    ],
)
def test_links_lead_where_a_browser_would_go(href: str, url: str) -> None:
    link = one(f'<a href="{href}">x</a>')
    assert (link.url, link.filename) == (url, "a-1.zip")


@pytest.mark.parametrize("href", ["file:///etc/a-1.zip", "ftp://x/a-1.zip", "javascript:a-1.zip", "data:a-1.zip"])
def test_a_page_from_the_network_leads_to_the_network_only(href: str) -> None:
    text = f'<html><body><a href="{href}">x</a><a href="b-1.zip">b</a></body></html>'
    assert [link.filename for link in parse_html(text, BASE)] == ["b-1.zip"]


def test_a_page_on_disk_may_lead_to_the_disk() -> None:
    assert (
        one('<a href="../files/a-1.zip">x</a>', "file:///srv/simple/a/").url == "file:///srv/simple/files/a-1.zip"
    )


def test_a_file_name_is_the_last_part_of_the_url_decoded() -> None:
    assert one('<a href="a-1.0%2Bcpu-py3-none-any.whl">click here</a>').filename == "a-1.0+cpu-py3-none-any.whl"


def test_base_is_honoured() -> None:
    text = '<html><head><base href="/other/"><base href="/no/"></head><body><a href="a-1.zip">a</a></body></html>'
    assert parse_html(text, BASE)[0].url == "https://index.example/other/a-1.zip"


@pytest.mark.parametrize(
    "text",
    [
        "<!-- <a href='no-1.zip'> --><A HREF=a-1.zip>a</A>",
        "<script>'<a href=\"no-1.zip\">'</script><a href='a-1.zip'>a</a>",
        '<a\nhref = "a-1.zip"\n>a</a>',
        '<a href="a-1.zip" href="no-1.zip">a</a>',
        '<a title="1 > 0" href="a-1.zip">a</a>',
        '<abbr href="no-1.zip"></abbr><a class=x href="a-1.zip"/>',
        '<a name="no"></a><a href="a-1.zip">a',
    ],
)
def test_odd_html_is_read_as_html(text: str) -> None:
    assert [link.filename for link in parse_html(f"<html><body>{text}</body></html>", BASE)] == ["a-1.zip"]


_VALUE = st.text(alphabet="ab1-._:;,!=<>~&\"'/ \t\n\u00e9%#?+[]", max_size=12)
_NAME = st.sampled_from(["href", "HREF", "data-yanked", "data-requires-python", "class", "name", "content"])
_ATTRIBUTE = st.one_of(
    st.builds('{}="{}"'.format, _NAME, _VALUE.map(lambda v: v.replace('"', "&quot;"))),
    st.builds("{}='{}'".format, _NAME, _VALUE.map(lambda v: v.replace("'", "&#39;"))),
    st.builds("{}={}".format, _NAME, st.sampled_from(["a", "a-1.zip", "b&amp;c"])),
    _NAME,
)
_TAGS = st.builds(
    "<{} {}{}>".format,
    st.sampled_from(["a", "A", "meta", "Base", "b", "ab"]),
    st.lists(_ATTRIBUTE, max_size=4).map(" ".join),
    st.sampled_from(["", "/", " /", "\n"]),
)
_MARKUP = st.lists(
    st.one_of(
        _TAGS,
        _VALUE,
        st.sampled_from(
            [
                '<a href="a-1.zip">a</a>',
                f'<a href="x/a-1.zip#sha256={SHA}" data-upload-time="2024-05-01" data-yanked="&lt;">a</a><br>',
                "<title>",
                "</title>",
                "<!--",
                "-->",
                "<script>",
                "</script>",
                "<",
                ">",
                "</a>",
                "<a",
                "</",
                "<!",
                "<?",
                "<b ",
            ]
        ),
    )
).map("".join)


@settings(max_examples=300, deadline=None)
@given(_MARKUP)
def test_the_quick_reader_sees_what_the_parser_sees(text: str) -> None:
    quick = read_plainly(text)
    if quick is not None:
        careful = read_carefully(text)
        assert (quick.base, quick.meta) == (careful.base, careful.meta)
        assert sorted(map(repr, pages._links(quick, BASE))) == sorted(map(repr, pages._links(careful, BASE)))


def test_the_quick_reader_is_used_for_ordinary_pages() -> None:
    head = "<!DOCTYPE html><html><head><title>Links for a</title></head>"
    quick = read_plainly(f'{head}<body><h1>a</h1><a href="a-1.zip#sha256={SHA}">a</a><br/>\n</body></html>')
    assert quick is not None and len(quick.plain.filenames) == 1 and quick.anchors == []


@pytest.mark.parametrize(
    "text",
    [
        '<title><a href="a-1.zip">a</a></title>',
        '<title>Links <a href="a-1.zip">a</a> for a</title><a href="b-1.zip">b</a>',
        '<!-- <a href="a-1.zip">a</a> -->',
        "<b title='<a href=\"a-1.zip\">a</a>'>x</b>",
        '<b <a href="a-1.zip">a</a>>',
        '<textarea><a href="a-1.zip">a</a></textarea>',
        '<![CDATA[<a href="a-1.zip">a</a>]]>',
        '</ <a href="a-1.zip">a</a>',
        '\0<a href="a-1.zip">a</a>',
        '<a href="a-1.zip"><a href="b-1.zip">b</a></a>',
        '<title><a href="a-1.zip">a</a>',
    ],
)
def test_what_looks_like_an_anchor_but_is_none(text: str) -> None:
    quick, careful = read_plainly(text), read_carefully(text)
    if quick is not None:
        assert sorted(map(repr, pages._links(quick, BASE))) == sorted(map(repr, pages._links(careful, BASE)))


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html><body></body></html>",
        "<!DOCTYPE html><html><head><title>Links for a</title></head><body><h1>Links for a</h1></body></html>",
        '<html><head><meta name="pypi:repository-version" content="1.0"></head><body>nothing here</body></html>',
        '<html><head><title>Index of /a/</title></head><body><a href="../">../</a></body></html>',
        "<!-- generated -->\n<html><body>\n\n</body></html>",
    ],
)
def test_an_empty_project_page_is_legal(text: str) -> None:
    assert parse_html(text, BASE) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "It works!",
        '{"files": []}',
        "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "<html><body><h1>Welcome to Hotel Wi-Fi</h1><p>Please log in.</p></body></html>",
        "<html><body><form action='/login'><input name='user'></form></body></html>",
        "<html><head><script>location='/login'</script></head><body></body></html>",
        "<!DOCTYPE html><html><body><a href='/login'>Sign in</a></body></html>",
    ],
)
def test_what_is_no_project_page_is_garbage(text: str) -> None:
    with pytest.raises(SourceGarbage):
        parse_html(text, BASE)


def test_another_major_version_is_refused() -> None:
    page = '<html><head><meta name="pypi:repository-version" content="2.0"></head><body></body></html>'
    with pytest.raises(SourceGarbage, match=r"2\.0"):
        parse_html(page, BASE)
    with pytest.raises(SourceGarbage, match=r"2\.0"):
        parse_json(b'{"meta": {"api-version": "2.0"}, "files": []}', BASE)


def json_page(**file: object) -> bytes:
    full = {"filename": "a-1.zip", "url": "a-1.zip", "hashes": {}, **file}
    return json.dumps({"meta": {"api-version": "1.4"}, "name": "a", "files": [full]}).encode()


def test_json_in_full() -> None:
    page = json_page(
        hashes={"SHA256": SHA.upper(), "blake2b_256": "cd"},
        size=7,
        yanked="why",
        **{
            "requires-python": ">=3.8",
            "core-metadata": {"sha256": "EF"},
            "upload-time": "2024-05-01T12:00:00.250000Z",
        },
    )
    assert parse_json(page, BASE) == [
        Link(
            "a-1.zip",
            "https://index.example/simple/a/a-1.zip",
            {"sha256": SHA, "blake2b_256": "cd"},
            ">=3.8",
            "why",
            "ef",
            7,
            1714564800.25,
        )
    ]


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("yanked", True, "yanked", ""),
        ("yanked", False, "yanked", None),
        ("yanked", "", "yanked", None),
        ("core-metadata", True, "core_metadata", ""),
        ("core-metadata", {}, "core_metadata", ""),
        ("core-metadata", False, "core_metadata", None),
        ("dist-info-metadata", {"sha256": "ab"}, "core_metadata", "ab"),
        ("requires-python", None, "requires_python", None),
        ("requires-python", "", "requires_python", None),
        ("size", None, "size", None),
        ("size", -1, "size", None),
        ("upload-time", "yesterday", "upload_time", None),
        ("upload-time", None, "upload_time", None),
    ],
)
def test_json_values_in_all_their_forms(field: str, value: object, name: str, expected: object) -> None:
    (link,) = parse_json(json_page(**{field: value}), BASE)
    assert getattr(link, name) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"meta": {"api-version": "1.0"}}',
        b'{"meta": {"api-version": "1.0"}, "files": [{"filename": "a"}]}',
        b'{"meta": {"api-version": "1.0"}, "files": [7]}',
        b'{"meta": {"api-version": "1.0"}, "files": [{"filename": 7, "url": "x", "hashes": {}}]}',
        b'{"meta": {"api-version": "1.0"}, "files": [{"filename": "a", "url": "x", "hashes": []}]}',
        b'{"meta": {"api-version": "1.0"}, "files": 7}',
        b'{"meta": {"api-version": "1.0"}, "files": [{"filena',
    ],
)
def test_broken_json_is_garbage(body: bytes) -> None:
    with pytest.raises(SourceGarbage):
        parse_json(body, BASE)


def test_a_quarantined_project_offers_nothing() -> None:
    page = json.loads(json_page())
    page["project-status"] = {"status": "quarantined"}
    assert parse_json(json.dumps(page).encode(), BASE) == []
    head = '<html><head><meta name="pypi:project-status" content="quarantined"></head>'
    text = head + '<body><a href="a-1.zip">a</a></body></html>'
    assert parse_html(text, BASE) == []


@pytest.mark.parametrize("state", ["active", "archived", "deprecated", "quarantined"])
def test_the_status_of_a_project_is_read(state: str) -> None:
    page = json.loads(json_page())
    page["project-status"] = {"status": state, "reason": "moved & gone"}
    from_json = pages.parse_json(json.dumps(page).encode(), BASE).status
    metas = f'<meta name="pypi:project-status" content="{state}">'
    metas += '<meta name="pypi:project-status-reason" content="moved &amp; gone">'
    text = f'<html><head>{metas}</head><body><a href="a-1.zip">a</a></body></html>'
    from_html = pages.parse_html(text, BASE).status
    assert from_json is not None
    assert from_json == from_html
    assert (from_json.state, from_json.reason) == (state, "moved & gone")


@pytest.mark.parametrize("said", [{"status": "on fire"}, {"status": ["active"]}, {}, "archived", None])
def test_a_status_that_nobody_knows_says_nothing(said: object) -> None:
    page = json.loads(json_page())
    page["project-status"] = said
    assert pages.parse_json(json.dumps(page).encode(), BASE).status is None


def test_where_provenance_lies_is_read() -> None:
    expected = "https://index.example/integrity/a-1.zip"
    (link,) = parse_json(json_page(provenance="/integrity/a-1.zip"), BASE)
    assert link.provenance == expected
    assert one(f'<a href="a-1.zip" data-provenance="{expected}">a</a>').provenance == expected
    assert one('<a href="a-1.zip" data-provenance="javascript:x">a</a>').provenance is None


_PARTS = st.sampled_from(["a", "b.c", "..", ".", "", "%2e", "c;d", "e:f", ".g", "-h", "~", "i+j", "?", "#", "@"])
_BASES = ["https://x.example", "http://x.example:80", "file://", "https://[::1]", "https://u@x.example", "ftp://x"]


@given(
    st.sampled_from(_BASES),
    st.lists(_PARTS, max_size=4).map("/".join),
    st.sampled_from(["", "/", "../", "../../", "//", "./", "../../../../../"]),
    st.lists(_PARTS, max_size=4).map("/".join),
    st.sampled_from(["", "/"]),
)
def test_folders_are_joined_as_the_reference_joins_them(
    origin: str, page: str, up: str, folder: str, end: str
) -> None:
    base, reference = f"{origin}/{page}", up + folder + end
    joined = pages._Joiner(base)._join(reference)
    assert joined == urljoin(base, reference or ".")


@given(
    st.sampled_from(
        ["https://x.example", "http://u:p@x.example", "https:/", "..", "", "ftp://x.example", "https://?"]
    ),
    st.lists(_PARTS, max_size=4).map("/".join),
    st.sampled_from(["a-1.zip", "a-1.zip#sha256=1", "a-1.zip?x=/y", "a b.zip", "", "a%20b.zip", "é.zip"]),
)
def test_urls_are_split_as_they_are_joined(origin: str, folder: str, name: str) -> None:
    reference = f"{origin}/{folder}/{name}"
    join = pages._Joiner("https://index.example/simple/a/")
    whole, parts = join(reference.partition("#")[0]), join.split(reference)
    assert whole == (None if parts is None else "".join(parts))
    assert parts is None or (parts[0].endswith("/") and "/" not in parts[1])
