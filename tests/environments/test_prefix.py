"""Prefixes and interpreter paths: what is taken, how it is written, what is refused and why."""

from __future__ import annotations

import pytest

from venvery.environments import check_prefix, check_python
from venvery.errors import BadPrefix


@pytest.mark.parametrize(
    ("prefix", "normal"),
    [
        ("/srv/env", "/srv/env"),
        ("//srv///env/", "/srv/env"),
        ("/srv/my env's $HOME", "/srv/my env's $HOME"),
        ("/srv/Ümläut", "/srv/Ümläut"),
        ("/...", "/..."),
        ("/back\\slash", "/back\\slash"),
    ],
)
def test_posix_prefixes_are_normalised(prefix: str, normal: str) -> None:
    assert check_prefix(prefix, "posix") == normal
    assert check_prefix(normal, "posix") == normal


@pytest.mark.parametrize(
    ("prefix", "normal"),
    [
        ("C:\\env", "C:\\env"),
        ("c:/Program Files//env/", "c:\\Program Files\\env"),
        ("\\\\server\\share\\env", "\\\\server\\share\\env"),
        ("//server/share/env", "\\\\server\\share\\env"),
    ],
)
def test_windows_prefixes_are_normalised(prefix: str, normal: str) -> None:
    assert check_prefix(prefix, "nt") == normal
    assert check_prefix(normal, "nt") == normal


@pytest.mark.parametrize(
    ("prefix", "complaint"),
    [
        ("", "is not absolute"),
        ("env", "is not absolute"),
        ("./env", "is not absolute"),
        ("~/env", "is not absolute"),
        ("C:\\env", "is not absolute"),
        ("/", "is the root itself"),
        ("///", "is the root itself"),
        ("/srv/../etc", "contains '..'"),
        ("/srv/./env", "contains '.'"),
        ("/srv/env\n", "control character"),
        ("/srv/e\x00nv", "control character"),
        ("/srv/e\x1bnv", "control character"),
        ("/srv/e\u2028nv", "control character"),
        ("/srv/e\udc80nv", "control character"),
        ("/srv/a:b", "separates the folders of PATH"),
        ("/srv/env ", "begins or ends with a space"),
        ("/srv/" + "a" * 256, "longer than 255 bytes"),
        ("/srv" + "/aaaaaaa" * 200, "longer than 1024 bytes"),
    ],
)
def test_bad_posix_prefixes_are_refused(prefix: str, complaint: str) -> None:
    with pytest.raises(BadPrefix, match=complaint) as caught:
        check_prefix(prefix, "posix")
    assert caught.value.hint
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "prefix",
    ["/srv/env", "env", "C:env", "C:\\", "\\\\server\\share", "\\\\?\\C:\\env", "\\\\.\\COM1\\x", "C:\\a\\..\\b",
     "C:\\con", "C:\\nul.txt\\x", "C:\\a.\\b", "C:\\a \\b", "C:\\a|b", 'C:\\a"b', "C:\\a:b", "C:\\a;b",
     "C:\\a\tb"],
)  # fmt: skip
def test_bad_windows_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(BadPrefix):
        check_prefix(prefix, "nt")


def test_interpreter_paths() -> None:
    assert check_python("/opt//python:3/bin/python3.11", "posix") == "/opt/python:3/bin/python3.11"
    assert check_python("C:/Python311/python.exe", "nt") == "C:\\Python311\\python.exe"
    for path in ("python3.11", "/usr/bin/", "/usr/../bin/python", "/usr/bin/py\nthon"):
        with pytest.raises(BadPrefix):
            check_python(path, "posix")
