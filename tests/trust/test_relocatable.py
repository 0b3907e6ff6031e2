"""Environments that may be moved: scripts and activation find them where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.environments.workshop import WINDOWS, Workshop, members, run
from tests.support.machine import find_python
from tests.support.wheels import make_wheel
from venvery.environments import HeadOptions, make_head
from venvery.environments.activate import activation_scripts
from venvery.environments.scripts import posix_script, relocatable_script

BODY = '''"""The docstring."""
from __future__ import annotations
import sys
def f(x: Nowhere): pass
print(__doc__, sys.argv[1:], sys.prefix)
'''

LATIN = b'# -*- coding: latin-1 -*-\n"""Gr\xfc\xdfe"""\nfrom __future__ import annotations\nprint(len(__doc__))\n'

PYTHONS = ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]


def python(version: str = "3.11") -> str:
    found = find_python(version)
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return str(found)


def installed(workshop: Workshop, place: Path, **options: object) -> Path:
    """Make an environment with both kinds of scripts."""
    wheel = make_wheel(
        "program",
        "1.0",
        files={"program.py": "def main():\n    import sys\n    print('hello', sys.argv[1:], sys.prefix)\n"},
        entry_points={"console_scripts": {"hello": "program:main"}},
        scripts={"documented": "#!python\n" + BODY},
    )
    workshop.install([wheel], place, python=python(), **options)
    return place


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("form", ["shell", "relocatable"])
def test_nothing_stands_before_the_docstring(tmp_path: Path, version: str, form: str) -> None:
    interpreter = tmp_path / "bin dir" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(python(version))
    script = interpreter.parent / "script"
    for body, said in ((BODY.encode(), "The docstring. ['a b'] "), (LATIN, "5")):
        script.write_bytes(
            relocatable_script(body) if form == "relocatable" else posix_script(str(interpreter), body)
        )
        script.chmod(0o755)
        assert script.read_bytes().startswith(b"#!/bin/sh\n")
        done = run([script, "a b"])
        assert done.stdout.startswith(said)
        assert done.stderr == ""


def test_a_path_that_looks_like_an_encoding(tmp_path: Path) -> None:
    interpreter = tmp_path / "coding=rot13" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(python())
    script = tmp_path / "script"
    script.write_bytes(posix_script(str(interpreter), b"print(1)\n"))
    script.chmod(0o755)
    assert run([script]).stdout == "1\n"


@pytest.mark.parametrize("name", ["moved", "moved to $HOME", 'it\'s "here"', "back\\slash", "-e", "Größe"])
def test_scripts_run_after_a_move(workshop: Workshop, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.move(installed(workshop, tmp_path / "made", relocatable=True), place)
    assert run([place / "bin/hello", "x y"]).stdout == f"hello ['x y'] {place}\n"
    assert run([place / "bin/documented"]).stdout == f"The docstring. [] {place}\n"


def test_scripts_are_called_in_every_way(workshop: Workshop, tmp_path: Path) -> None:
    place = installed(workshop, tmp_path / "env", relocatable=True)
    expected = f"hello [] {place}\n"
    links = tmp_path / "links"
    links.mkdir()
    (links / "absolute").symlink_to(place / "bin/hello")
    (links / "relative").symlink_to("../env/bin/hello")
    (links / "twice").symlink_to("relative")
    (tmp_path / "same").symlink_to("env")
    for link in ("absolute", "relative", "twice"):
        assert run([links / link]).stdout == expected
    assert run([tmp_path / "same/bin/hello"]).stdout == f"hello [] {tmp_path}/same\n"
    for command in ("bin/hello", "./bin/hello", "cd bin; ./hello", "cd bin; sh hello", "cd links; sh ./twice"):
        assert run(["sh", "-c", f"cd {tmp_path}; {command}".replace("bin", "env/bin")]).stdout == expected
    assert run(["sh", "-c", f"PATH={place}/bin:$PATH; cd /; hello"]).stdout == expected
    assert run([place / "bin/python", place / "bin/hello"]).stdout == expected


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox", "zsh"])
def test_every_shell_reads_the_first_lines_alike(workshop: Workshop, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    place = installed(workshop, tmp_path / "env", relocatable=True)
    command = {"busybox": ["busybox", "sh"], "zsh": ["zsh", "--emulate", "sh"]}.get(shell, [shell])
    for options in ([], ["-eu"]):
        done = run([*command, *options, place / "bin/hello"])
        assert (done.stdout, done.stderr) == (f"hello [] {place}\n", "")


CALLS = {
    "bash": (["bash", "-c"], '. "$1"; echo "$VIRTUAL_ENV"; command -v hello', "activate"),
    "bash-strict": (["bash", "-euc"], '. "$1"; echo "$VIRTUAL_ENV"; command -v hello', "activate"),
    "sh-is-bash": (["bash", "--posix", "-c"], '. "$1"; echo "$VIRTUAL_ENV"; command -v hello', "activate"),
    "zsh": (["zsh", "-fc"], '. "$1"; echo "$VIRTUAL_ENV"; command -v hello', "activate"),
    "fish": (
        ["fish", "--no-config", "-c"],
        "source $argv[2]; echo $VIRTUAL_ENV; command -v hello",
        "activate.fish",
    ),
}


@pytest.mark.parametrize("shell", CALLS)
@pytest.mark.parametrize("name", ["moved", "it's $HOME", 'a `b` "c"'])
def test_activation_after_a_move(workshop: Workshop, tmp_path: Path, shell: str, name: str) -> None:
    command, program, script = CALLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    place = tmp_path / name
    shutil.move(installed(workshop, tmp_path / "made", relocatable=True), place)
    done = run([*command, program, "shell", place / "bin" / script], env={"LC_ALL": "C.UTF-8"})
    assert (done.stdout.splitlines(), done.stderr) == ([str(place), f"{place}/bin/hello"], "")
    there = run(["bash", "-c", 'cd "$1/bin"; . activate; echo "$VIRTUAL_ENV"', "bash", place])
    assert there.stdout == f"{place}\n"


def test_csh_cannot_tell_and_says_so(workshop: Workshop, tmp_path: Path) -> None:
    if shutil.which("tcsh") is None:
        pytest.skip("tcsh is not on this machine")
    made = installed(workshop, tmp_path / "it's $made", relocatable=True)
    program = tmp_path / "program"
    program.write_text('set file = "$1:q"\nsource "$file:q"\necho "$VIRTUAL_ENV:q"\n')
    done = run(["tcsh", "-f", program, made / "bin/activate.csh"])
    assert done.stdout == f"{made}\n"
    shutil.move(made, tmp_path / "moved")
    done = run(["tcsh", "-f", program, tmp_path / "moved/bin/activate.csh"])
    assert "venvery relocate" in done.stdout


def test_a_shell_that_cannot_tell_says_so(workshop: Workshop, tmp_path: Path) -> None:
    made = installed(workshop, tmp_path / "made", relocatable=True)
    assert run(["dash", "-c", f". {made}/bin/activate; echo $VIRTUAL_ENV"]).stdout == f"{made}\n"
    shutil.move(made, tmp_path / "moved")
    done = run(["dash", "-c", f". {tmp_path}/moved/bin/activate; echo ${{VIRTUAL_ENV-none}}"], check=False)
    assert done.stdout == "none\n"
    assert "venvery relocate" in done.stderr


def test_on_windows_launchers_and_activation_know_their_folder(workshop: Workshop) -> None:
    wheel = make_wheel(
        "program", "1.0", entry_points={"console_scripts": {"hello": "a:b"}, "gui_scripts": {"g": "a:b"}}
    )
    manifest, layers = workshop.environment([wheel], WINDOWS)
    head = members(make_head(manifest, layers, HeadOptions("C:\\my env", relocatable=True)))
    # The launcher puts its own folder in the place of this word.
    assert b"#!<launcher_dir>\\python.exe\n" in head["Scripts/hello.exe"][1]
    assert b"#!<launcher_dir>\\pythonw.exe\n" in head["Scripts/g.exe"][1]
    assert b"$PSScriptRoot" in head["Scripts/Activate.ps1"][1]
    assert b"my env" not in head["Scripts/hello.exe"][1] + head["Scripts/Activate.ps1"][1].partition(b"PROMPT")[0]


def test_the_launcher_knows_the_word() -> None:
    from importlib.resources import files

    for name in ("t64.exe", "w64.exe"):
        assert "<launcher_dir>\\".encode("utf-16le") in files("installer._scripts").joinpath(name).read_bytes()


def test_what_is_made_for_one_place_names_no_other_way() -> None:
    fixed = activation_scripts("/srv/env", "env", "posix")
    assert not any(b"_venvery_here" in script or b"@" in script for script in fixed.values())
