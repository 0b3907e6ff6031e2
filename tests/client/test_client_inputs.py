"""Requirement files as pip reads them, and the digest over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from venvery.client.errors import UsageError
from venvery.client.inputs import Inputs, digest_of, gather


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def texts(inputs: Inputs) -> list[str]:
    return [item["requirement"] for item in inputs.requirements]


def test_files_and_those_that_they_name(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        "main.txt",
        """
        # a comment
        django>=1.8  # and another
        requests[socks] \\
            >=2.7 ; \\
            python_version > "3"
        -r sub/more.txt
        --requirement=sub/even-more.txt
        -csub/limits.txt
        --pre
        name#not-a-comment @ file:///x#egg=y
        ${FLAVOUR}-tool  ${UNSET}
        """,
    )
    write(tmp_path, "sub/more.txt", "six\n-r ../main.txt\n-c limits.txt\n")
    write(tmp_path, "sub/even-more.txt", "attrs\r\nidna\r\n")
    write(tmp_path, "sub/limits.txt", "six<2\n-r deeper.txt\n")
    write(tmp_path, "sub/deeper.txt", "attrs<99\n")
    inputs = gather(["flask"], [main], environ={"FLAVOUR": "sweet"})
    assert texts(inputs) == [
        "flask",
        "django>=1.8",
        'requests[socks]             >=2.7 ;             python_version > "3"',
        "six",
        "attrs",
        "idna",
        "name#not-a-comment @ file:///x#egg=y",
        "sweet-tool  ${UNSET}",
    ]
    assert [item["requirement"] for item in inputs.constraints] == ["six<2", "attrs<99"]
    assert [line for _, line in inputs.options] == ["--pre"]
    assert inputs.requirements[2]["origin"] == f"{main}:4"
    assert len(inputs.files) == 5


def test_hashes_are_taken_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path, "r.txt", f"six==1.16 \\\n  --hash=sha256:{'a' * 64} \\\n  --hash sha256:{'b' * 64}\nidna\n"
    )
    assert gather((), [path]).requirements == [
        {
            "requirement": "six==1.16",
            "origin": f"{path}:1",
            "hashes": [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"],
        },
        {"requirement": "idna", "origin": f"{path}:4"},
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfsix\n", ["six"]),
        ("six\n".encode("utf-16"), ["six"]),
        (b"# -*- coding: latin-1 -*-\nsix # caf\xe9\n", ["six"]),
        (b"six\\\n", ["six"]),
        (b"", []),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    (tmp_path / "r.txt").write_bytes(data)
    assert texts(gather((), [str(tmp_path / "r.txt")])) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-e .\n", "r.txt:1: an editable"),
        ("six\n--editable=../x\n", "r.txt:2: an editable"),
        ("-r missing.txt\n", "missing.txt, which .*r.txt:1 names, cannot be read: No such file"),
        ("-r https://example.org/r.txt\n", "is a URL"),
        ("# coding: nonsense\n", "cannot be read"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        gather((), [write(tmp_path, "r.txt", text)])
    assert caught.value.exit_code == 2


def test_the_digest_changes_with_everything_that_counts(tmp_path: Path) -> None:
    main = write(tmp_path, "main.txt", "six\n-r sub.txt\n${NAME}\n")
    write(tmp_path, "sub.txt", "idna\n")

    def digest(*others: object, name: str = "a") -> str:
        return digest_of(gather(["x"], [main], environ={"NAME": name}), *others)

    seen = {digest(), digest("other"), digest(name="b"), digest_of(gather((), [main], environ={}))}
    write(tmp_path, "sub.txt", "idna<3\n")
    seen.add(digest())
    assert len(seen) == 5
    assert digest() == digest()
    assert digest().startswith("sha256:")
