"""What a person does with an environment: run its scripts, ask pip about it, uninstall from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments.workshop import WINDOWS, Workshop, run, tree, unpack
from tests.support.machine import find_python
from tests.support.wheels import make_wheel

pytest.importorskip("pip", reason="pip is not installed beside these tests")

MAIN = "def main():\n    import sys\n    print('hello', *sys.argv[1:])\n"


def python() -> str:
    found = find_python("3.11")
    assert found is not None
    return str(found)


PLACES = ["env", "an env's $place", "e" * 120]


@pytest.fixture
def prefix(request: pytest.FixtureRequest, workshop: Workshop, tmp_path: Path) -> Path:
    """Give an environment of a library and a program that needs it."""
    place = tmp_path / getattr(request, "param", "env")
    wheels = [
        make_wheel("library", "2.0", files={"library.py": MAIN}, data={"data/share/library/x.txt": "x"}),
        make_wheel(
            "program",
            "1.0",
            requires=["library>=1"],
            entry_points={"console_scripts": {"hello": "library:main"}},
            scripts={
                "old-style": "#!python\nimport library\nlibrary.main()\n",
                "binary": "#!/bin/sh\necho binary\n",
            },
            data={"headers/program.h": "int x;\n"},
        ),
    ]
    workshop.install(wheels, place, python=python())
    return place


def pip(prefix: Path, *arguments: str) -> str:
    """Run the tests' own pip on the environment."""
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [*command, "--python", str(prefix / "bin/python"), *arguments],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("prefix", PLACES, indirect=True)
def test_scripts_run(prefix: Path) -> None:
    assert run([prefix / "bin/hello", "a", "b c"]).stdout == "hello a b c\n"
    assert run([prefix / "bin/old-style"]).stdout == "hello\n"
    assert run([prefix / "bin/binary"]).stdout == "binary\n"


@pytest.mark.parametrize("prefix", PLACES, indirect=True)
def test_python_knows_that_it_is_in_an_environment(prefix: Path) -> None:
    code = "import sys, library; print(sys.prefix, sys.prefix != sys.base_prefix, library.__file__, sep='\\n')"
    site = prefix / "lib/python3.11/site-packages"
    for name in ("python", "python3", "python3.11"):
        assert run([prefix / "bin" / name, "-c", code]).stdout.splitlines() == [
            str(prefix),
            "True",
            f"{site}/library.py",
        ]


def test_pip_finds_everything_in_order_and_takes_it_away_again(prefix: Path) -> None:
    assert pip(prefix, "check") == "No broken requirements found.\n"
    assert pip(prefix, "list", "--format=freeze").splitlines() == ["library==2.0", "program==1.0"]
    before = set(tree(prefix))
    pip(prefix, "uninstall", "--yes", "program", "library")
    left = set(tree(prefix))
    gone = before - left
    assert not [path for path in left if "site-packages" in path]
    assert {"bin/hello", "bin/old-style", "bin/binary", "share/library/x.txt"} <= gone
    assert {path for path in tree(prefix) if path.startswith("bin/")} == {
        "bin/python", "bin/python3", "bin/python3.11",
        "bin/activate", "bin/activate.csh", "bin/activate.fish", "bin/Activate.ps1",
    }  # fmt: skip


def test_the_tree_for_windows_made_here(workshop: Workshop, tmp_path: Path) -> None:
    wheel = make_wheel(
        "program", "1.0", files={"library.py": MAIN}, entry_points={"console_scripts": {"hello": "library:main"}}
    )
    manifest, layers = workshop.environment([wheel], WINDOWS)
    data = b"".join(workshop.archive(manifest, layers, "C:\\work\\env", "gzip").chunks())
    unpack(data, tmp_path / "env", "gzip", "gnu-tar")
    found = tree(tmp_path / "env")
    assert found["Lib/site-packages/library.py"][1].decode() == MAIN
    exe = found["Scripts/hello.exe"][1]
    assert b"#!C:\\work\\env\\Scripts\\python.exe\n" in exe
    # A launcher runs the zip behind it as its program: so can any Python.
    (tmp_path / "hello.exe").write_bytes(exe)
    done = run(
        [python(), tmp_path / "hello.exe", "x"], env={"PYTHONPATH": str(tmp_path / "env/Lib/site-packages")}
    )
    assert done.stdout == "hello x\n"


def test_the_launcher_is_whole(workshop: Workshop) -> None:
    from importlib.resources import files

    from venvery.environments.scripts import nt_script

    for kind, name in (("console", "t64.exe"), ("gui", "w64.exe")):
        launcher = files("installer._scripts").joinpath(name).read_bytes()
        _, exe = nt_script("C:\\e\\Scripts\\python.exe", "x", kind, b"pass\n")  # type: ignore[arg-type]
        assert exe.startswith(launcher + b"#!C:\\e\\Scripts\\python")


def test_it_can_be_installed_into_afterwards(workshop: Workshop, tmp_path: Path) -> None:
    place = tmp_path / "env"
    workshop.install([make_wheel("library", "2.0", files={"library.py": MAIN})], place, python=python())
    newer = make_wheel("library", "3.0", files={"library.py": "print(3)\n"}).write_to(tmp_path / "wheels")
    pip(place, "install", "--no-index", "--no-deps", str(newer))
    assert run([place / "bin/python", "-c", "import library"]).stdout == "3\n"
