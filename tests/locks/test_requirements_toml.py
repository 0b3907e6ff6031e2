"""Requirements inside scripts (PEP 723) and pyproject.toml (PEP 621, 735)."""

from __future__ import annotations

import pytest

from venvery.errors import BadRequirement, LimitExceeded
from venvery.model import requirements_text
from venvery.model.requirements_text import parse_requirements_text

SCRIPT = """\
#!/usr/bin/env python
\x0c
# /// other
# dependencies = ["nothing"]
# ///

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",  # it's what we need
#
#   'rich ; python_version < "3.14"',
# ]
# ///
import requests
"""

PYPROJECT = """\
[project]
name = "My.App"
requires-python = ">=3.10"
dependencies = ["django>=1.8",
  "requests>=2.7"]

[project.optional-dependencies]
fast = ["numpy"]
All = ["my-app[fast,loud]", "extra-thing"]
loud = ["speaker>=1"]

[dependency-groups]
test = ["pytest>=8", {include-group = "Base_Tools"}]
base-tools = ["coverage"]
docs = ["sphinx", {include-group = "base-tools"}]
"""


def read(text: str, origin: str, **choice: tuple[str, ...]) -> list[tuple[str, str | None]]:
    found = parse_requirements_text(text, origin=origin, **choice)
    return [(requirement.text, requirement.origin) for requirement in found.requirements]


def test_a_script_names_its_own_dependencies() -> None:
    assert read(SCRIPT, "tool.py") == [
        ("requests<3", "tool.py:10"),
        ('rich; python_version < "3.14"', "tool.py:12"),
    ]
    assert parse_requirements_text(SCRIPT, origin="tool.py").requires_python == ">=3.11"
    assert read(SCRIPT.replace("\n", "\r\n"), "tool.py") == read(SCRIPT, "tool.py")


def test_a_script_without_a_block_needs_nothing() -> None:
    assert read("import this\n", "tool.py") == []


def test_a_project_names_its_dependencies() -> None:
    assert read(PYPROJECT, "pyproject.toml") == [
        ("django>=1.8", "pyproject.toml:4"),
        ("requests>=2.7", "pyproject.toml:5"),
    ]
    assert parse_requirements_text(PYPROJECT, origin="a/pyproject.toml").requires_python == ">=3.10"


def test_extras_of_a_project_follow_its_own_name() -> None:
    assert read(PYPROJECT, "pyproject.toml", extras=("all",))[2:] == [
        ("extra-thing", "pyproject.toml:9"),
        ("numpy", "pyproject.toml:8"),
        ("speaker>=1", "pyproject.toml:10"),
    ]


def test_groups_stand_alone_and_include_each_other() -> None:
    assert read(PYPROJECT, "pyproject.toml", groups=("Test", "docs")) == [
        ("pytest>=8", "pyproject.toml:13"),
        ("coverage", "pyproject.toml:14"),
        ("sphinx", "pyproject.toml:15"),
    ]


@pytest.mark.parametrize(
    ("text", "origin", "line", "column", "message"),
    [
        ('# /// script\n# dependencies = ["a",\n#   "b>>1"]\n# ///', "t.py", 3, 7, "'b>>1' is not a requirement"),
        ("# /// script\n# dependencies = [\n# ///", "t.py", 2, 19, "not TOML"),
        ("# /// script\n# a = 1\n# a = = 2\n# ///", "t.py", 3, 7, "not TOML: invalid value"),
        ("\n# /// script\n# a = 1\n", "t.py", 2, 1, "a script block without its end"),
        ("# /// script\n# ///\n\n# /// script\n# ///", "t.py", 4, 1, "a second script block"),
        ('# /// script\n# dependencies = "a"\n# ///', "t.py", 2, 3, "dependencies must be a list of texts"),
        ("# /// script\n# dependencies = [1]\n# ///", "t.py", 2, 3, "dependencies must be a list of texts"),
        ("# /// script\n# requires-python = 3\n# ///", "t.py", 2, 3, "requires-python must be a text"),
        ("[project]\ndependencies = ['a', 'b>>1']", "pyproject.toml", 2, 24, "'b>>1' is not a requirement"),
        ("project = 1", "pyproject.toml", 1, 1, "project must be a table"),
        ("[project\n", "pyproject.toml", 1, 9, "not TOML"),
        ("[project]\ndynamic = ['dependencies']", "pyproject.toml", 2, 13, "only a build could tell"),
        ("x = " + "[" * 5000, "pyproject.toml", 1, 1, "nested too deeply"),
    ],
)
def test_a_mistake_is_named_with_its_place_in_the_file(
    text: str, origin: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(BadRequirement) as caught:
        read(text, origin)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"{origin}, line {line}, column {column}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "line", "message"),
    [
        ("a = ['x>>1']", 2, "'x>>1' is not a requirement"),
        ("b = []", 1, "there is no dependency group 'a'"),
        ("a = [{include-group = 'b'}]\nb = [{include-group = 'a'}]", 2, "[Cc]yclic|include"),
        ("a = [{include-group = 'c'}]", 2, "not found"),
        ("a = [{other = 'c'}]", 2, "invalid dependency group item"),
        ("a = 'x'", 2, "string rather than a list"),
        ("a = [3]", 2, "invalid dependency group item"),
        ("a = []\nA = []", 1, "duplicate dependency group names"),
    ],
)
def test_a_mistake_in_a_group_is_named_with_its_line(groups: str, line: int, message: str) -> None:
    with pytest.raises(BadRequirement, match=message) as caught:
        read(f"[dependency-groups]\n{groups}\n", "pyproject.toml", groups=("a",))
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(BadRequirement, match=r"line 7, column 1: there is no extra 'slow'"):
        read(PYPROJECT, "pyproject.toml", extras=("slow",))


def test_limits_hold_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded):
        read("#" * (requirements_text.MAX_BYTES + 1), "t.py")
    monkeypatch.setattr(requirements_text, "MAX_REQUIREMENTS", 1)
    with pytest.raises(LimitExceeded, match="more than 1 requirements"):
        read(PYPROJECT, "pyproject.toml")


def test_a_large_project_file_is_read_quickly_enough_to_be_no_attack() -> None:
    text = "[project]\ndependencies = [\n" + "".join(f'"p{n}>=1",\n' for n in range(10_000)) + "]\n"
    assert read(text, "pyproject.toml")[-1] == ("p9999>=1", "pyproject.toml:10002")
