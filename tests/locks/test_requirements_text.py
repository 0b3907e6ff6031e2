"""requirements.txt and lists of requirements, read as pip reads them, and refused with their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from venvery.errors import BadInput, BadRequirement, LimitExceeded
from venvery.model import requirements_text
from venvery.model.requests import NameSet
from venvery.model.requirements_text import (
    IndexOptions,
    RequirementsText,
    decode_requirements,
    parse_requirements_text,
    split_requirement_list,
)

HASH = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def read(text: str, files: dict[str, str] | None = None) -> RequirementsText:
    return parse_requirements_text(
        text, origin="requirements.txt", load=lambda name, _from: (name, (files or {})[name])
    )


def texts(found: RequirementsText) -> list[tuple[str, str | None]]:
    return [(requirement.text, requirement.origin) for requirement in found.requirements]


def test_what_people_write() -> None:
    found = read(
        "\ufeff# everything\r\n"
        "Django>=1.8   # the framework\r\n"
        "\r\n"
        "requests[socks,security] >= 2.7 , < 3 ; python_version >= '3.8' \\\r\n"
        f"    --hash={HASH} \\\n"
        f"    --hash {OTHER}\n"
        "\ttool @ https://files.example/tool-1.0-py3-none-any.whl#sha256=00\n"
    )
    assert texts(found) == [
        ("Django>=1.8", "requirements.txt:2"),
        ('requests[security,socks]<3,>=2.7; python_version >= "3.8"', "requirements.txt:4"),
        ("tool @ https://files.example/tool-1.0-py3-none-any.whl#sha256=00", "requirements.txt:7"),
    ]
    assert [requirement.hashes for requirement in found.requirements] == [(), (HASH, OTHER), ()]
    assert found.requirements[2].url == "https://files.example/tool-1.0-py3-none-any.whl#sha256=00"


def test_options_say_what_they_say_to_pip() -> None:
    found = read(
        "-i https://a.example/simple --extra-index-url=https://b.example/simple\n"
        "--extra-index-url 'https://c.example/simple'\n"
        '-f "my wheels"\n--find-links=https://d.example/links\n'
        "--no-index\n--pre\n--prefer-binary\n--require-hashes\n--trusted-host a.example\n--use-feature x\n"
        "--only-binary :all:\n--no-binary=Foo,bar\n--only-binary bar\n"
    )
    assert found == RequirementsText(
        index_options=IndexOptions(
            index_url="https://a.example/simple",
            extra_index_urls=("https://b.example/simple", "https://c.example/simple"),
            find_links=(("my wheels", "requirements.txt"), ("https://d.example/links", "requirements.txt")),
            no_index=True,
            pre=True,
            prefer_binary=True,
            only_binary=NameSet(True, frozenset({"bar"})),  # type: ignore[arg-type]
            no_binary=NameSet(False, frozenset({"foo"})),  # type: ignore[arg-type]
            trusted_hosts=("a.example",),
            require_hashes=True,
        )
    )


def test_all_and_none_reset_what_was_said_of_formats() -> None:
    options = read("--only-binary a,b\n--no-binary :all:\n").index_options
    assert (options.only_binary, options.no_binary) == (NameSet(), NameSet(True))
    options = read("--only-binary a\n--only-binary :none:\n").index_options
    assert (options.only_binary, options.no_binary) == (NameSet(), NameSet())


def test_included_files_keep_their_own_lines() -> None:
    files = {
        "base.txt": "one\n-c limits.txt\n",
        "limits.txt": "two<3\n-r more.txt\n",
        "more.txt": "\nthree\n",
    }
    found = read("-rbase.txt\n--requirement=more.txt\nfour", files)
    assert texts(found) == [
        ("one", "base.txt:1"),
        ("three", "more.txt:2"),  # pip: what a constraints file includes with -r is required
        ("three", "more.txt:2"),
        ("four", "requirements.txt:3"),
    ]
    assert [(r.text, r.origin) for r in found.constraints] == [("two<3", "limits.txt:1")]


def test_a_comment_ends_a_continued_line() -> None:
    assert texts(read("one \\\n# not two\nthree # \\\nfour")) == [
        ("one", "requirements.txt:1"),
        ("three", "requirements.txt:3"),
    ]
    assert texts(read("one>=1,\\\n<2")) == [("one<2,>=1", "requirements.txt:1")]
    assert texts(read("one\\")) == [("one", "requirements.txt:1")]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("django>=1.8\nrequests>>2", 2, 9, "is not a requirement"),
        ("  requests>>2", 1, 11, "is not a requirement"),
        ("one\n\nrequests>=2 ; \\\n   python_versio>'3'", 4, 4, "is not a requirement"),
        ("requests ; python_versio > '3'", 1, 12, "is not a requirement"),
        ("one\n  -e .", 2, 3, "an editable install (-e) is not possible"),
        ("--editable=git+https://x.example/y", 1, 1, "an editable install"),
        ("./wheels/a-1-py3-none-any.whl", 1, 1, "a local path is not possible"),
        ("a-1-py3-none-any.whl", 1, 1, "a local path is not possible"),
        ("C:\\wheels\\a", 1, 1, "a local path is not possible"),
        ("some/where", 1, 1, "a local path is not possible"),
        ("git+https://x.example/y", 1, 1, "version control"),
        ("git@x.example:y", 1, 1, "version control"),
        ("web @ git+https://x.example/y", 1, 7, "version control"),
        ("web @ ../web", 1, 7, "'../web' after @ is not a URL"),
        ("web@1.0", 1, 5, "'1.0' after @ is not a URL"),
        ("https://x.example/a-1-py3-none-any.whl", 1, 1, "a URL needs the project's name"),
        ("one\nweb @ https://${TOKEN}@x.example/w.whl", 2, 15, "${TOKEN} is not expanded"),
        ("-i https://${A}/", 1, 12, "${A} is not expanded"),
        ("one\x00two", 1, 4, "a control character, U+0000"),
        ("one\ntw\x1bo", 2, 3, "a control character, U+001B"),
        ("one # a\u2028two", 1, 8, "a control character, U+2028"),
        ("one \\ \ntwo", 1, 5, "a backslash that does not end its line"),
        ("--indx-url https://a.example", 1, 1, "--indx-url is not an option"),
        ("--no-index=1", 1, 1, "--no-index=1 is not an option"),
        ("-i", 1, 1, "--index-url needs a value"),
        ("--index-url=", 1, 1, "--index-url needs a value"),
        ("-i https://a.example b", 1, 22, "'b' is not expected here"),
        ("-f 'wheels", 1, 1, "a quote that is not closed"),
        ("web --pre", 1, 5, "--pre must stand on a line of its own"),
        ("web --global-option x", 1, 5, "--global-option is not taken"),
        ("--config-settings a=b", 1, 1, "--config-settings is not taken"),
        (f"--hash={HASH}", 1, 1, "--hash must follow a requirement"),
        ("web \\\n --hash=md5:00", 2, 2, "'md5:00' is not a SHA-256 hash"),
        ("web --hash=sha256:00", 1, 5, "64 hex digits"),
        ("--only-binary=a,b/c", 1, 1, "'b/c' is not a project name"),
        ("a; " + "x" * 100, 1, 4, "is not a requirement"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_column(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(BadRequirement) as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"requirements.txt, line {line}, column {column}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hints_help() -> None:
    def hint(text: str) -> str | None:
        with pytest.raises(BadInput) as caught:
            read(text)
        return caught.value.hint

    assert [hint("--indx-url x"), hint("-e ."), hint("web@1.0"), hint("i ${X}")] == snapshot(
        [
            "did you mean --index-url?",
            "build a wheel of it and upload it, or add its folder as a source",
            "a version is written with ==, a URL with https://",
            "write the value itself, or keep credentials in the configuration of the index",
        ]
    )


def test_a_request_body_includes_nothing() -> None:
    with pytest.raises(BadRequirement, match="line 2, column 1: includes cannot be used in a request body"):
        parse_requirements_text("one\n-r /etc/passwd", origin="body")


def test_a_file_that_includes_itself_is_refused() -> None:
    with pytest.raises(
        BadRequirement, match=r"^b\.txt, line 2, column 1: a\.txt includes itself, through b\.txt$"
    ):
        read("-r a.txt", {"a.txt": "-r b.txt", "b.txt": "one\n-c a.txt"})
    with pytest.raises(BadRequirement, match=r"^a\.txt, line 1, column 1: a\.txt includes itself$"):
        read("-r a.txt", {"a.txt": "-r a.txt"})


def test_includes_that_double_at_every_level_hit_a_limit() -> None:
    files = {f"{depth}.txt": f"-r {depth + 1}.txt\n-r {depth + 1}.txt" for depth in range(40)} | {"40.txt": ""}
    with pytest.raises(LimitExceeded, match="more than 1000 included files"):
        read("-r 0.txt", files)


def test_a_constraint_cannot_have_extras() -> None:
    with pytest.raises(BadRequirement, match=r"c\.txt, line 1, column 1: a constraint cannot have extras"):
        read("-c c.txt", {"c.txt": "web[fast]<2"})


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded, match="larger than 1048576 bytes"):
        read("# " + "ü" * 524_288)
    with pytest.raises(LimitExceeded, match="larger than 1048576 bytes"):
        read("-r a\n" * 11, {"a": "#" * 100_000})
    with pytest.raises(LimitExceeded, match="more than 16384 characters"):
        read("web" + ",".join(f">={n}" for n in range(5000)))
    with pytest.raises(LimitExceeded, match="more than 100 parentheses"):
        read("web; " + "(" * 101 + "os_name == 'nt'" + ")" * 101)
    monkeypatch.setattr(requirements_text, "MAX_REQUIREMENTS", 3)
    with pytest.raises(LimitExceeded, match="more than 3 requirements"):
        read("a\nb\nc\nd")
    with pytest.raises(LimitExceeded, match="more than 3 requirements"):
        split_requirement_list(["a"] * 4)


def test_ten_thousand_lines_are_read() -> None:
    assert len(read("web>=1\n" * 10_000).requirements) == 10_000


@given(st.text(max_size=60) | st.text("a-r=<>;# \\\n\r'\"[]@:/.${}", max_size=60))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        read(text, {})
    except BadRequirement as error:
        lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert error.line is not None
        assert 1 <= error.line <= len(lines)
        assert error.column is not None
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    except KeyError:
        assert "-" in text  # a file that is included


def test_bytes_are_utf_8() -> None:
    assert decode_requirements(b"\xef\xbb\xbfweb\r\n", origin="r.txt") == "web\r\n"
    with pytest.raises(BadRequirement, match=r"r\.txt, line 2, column 4: not UTF-8 text"):
        decode_requirements("one\nüx".encode() + b"y\xff", origin="r.txt")
    with pytest.raises(LimitExceeded):
        decode_requirements(b"#" * (requirements_text.MAX_BYTES + 1), origin="r.txt")


def test_a_list_of_requirements() -> None:
    found = split_requirement_list(
        ["django>=1.8", {"requirement": " web ", "origin": "pyproject.toml:7", "hashes": [HASH]}]
    )
    assert [(r.text, r.origin, r.hashes) for r in found] == [
        ("django>=1.8", None, ()),
        ("web", "pyproject.toml:7", (HASH,)),
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("web", "requirements must be a list of texts"),
        ({"web": 1}, "requirements must be a list of texts"),
        (["a", 7], r"requirements\[1\] must be a text"),
        (["a", None], r"requirements\[1\] must be a text"),
        (["a", "b", "c", " web>>2"], r"requirements\[3\], column 5: 'web>>2' is not a requirement"),
        ([""], r"requirements\[0\], column 1: '' is not a requirement"),
        (["-r x.txt"], r"requirements\[0\], column 1"),
        (["a\nb"], r"requirements\[0\], column 2"),
        (["git+https://x.example/y"], r"requirements\[0\], .*version control"),
        ([{"requirement": "a", "line": 3}], r"requirements\[0\] has no field 'line'"),
        ([{"origin": "a"}], r"requirements\[0\] must be a text"),
        ([{"requirement": "a", "origin": "x\n--index-url y"}], "the origin is not one printable line"),
        ([{"requirement": "a", "hashes": ["md5:0"]}], "hashes must be a list of sha256"),
    ],
)
def test_a_list_with_a_mistake_names_the_item(items: Any, message: str) -> None:
    with pytest.raises(BadRequirement, match=message):
        split_requirement_list(items)
