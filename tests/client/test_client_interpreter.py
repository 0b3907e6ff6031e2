"""What an interpreter is, and where it is found."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.machine import find_python as find_on_machine
from venvery.client import interpreter
from venvery.client.errors import LocalError, UsageError
from venvery.client.interpreter import find_python, identify, this_interpreter

HERE = "{}.{}.{}".format(*sys.version_info[:3])


def write_python(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_this_one() -> None:
    from packaging.markers import default_environment

    found = this_interpreter()
    assert (found.version, found.implementation) == (HERE, "cpython")
    assert found.markers == {name: value for name, value in default_environment().items() if name != "extra"}
    assert not Path(found.base).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix
    assert Path(found.base).exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has no glibc")
def test_the_platform_is_that_of_the_tags() -> None:
    from packaging.tags import sys_tags

    assert this_interpreter().platform in {tag.platform for tag in sys_tags()}
    assert this_interpreter().target == {"python": HERE, "platform": this_interpreter().platform}


def test_asking_gives_what_it_says_itself(tmp_path: Path) -> None:
    other = Path(sys.executable).with_name("python3")
    path = str(other if other.exists() and str(other) != sys.executable else Path(sys.executable).resolve())
    asked = identify(path, str(tmp_path))
    assert asked.markers == this_interpreter().markers
    assert os.path.realpath(asked.base) == os.path.realpath(this_interpreter().base)


def test_the_answer_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "bin/python-copy"
    copy.parent.mkdir()
    copy.symlink_to(Path(sys.executable).resolve())
    first = identify(str(copy), str(tmp_path / "cache"))

    def asked(path: str) -> dict[str, object]:
        raise LocalError("it was asked again")

    monkeypatch.setattr(interpreter, "_ask", asked)
    assert identify(str(copy), str(tmp_path / "cache")) == first
    copy.unlink()
    write_python(copy, "#!/bin/sh\nexit 0\n")
    with pytest.raises(LocalError, match="asked again"):
        identify(str(copy), str(tmp_path / "cache"))


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "not a program"])
def test_what_is_no_interpreter(tmp_path: Path, text: str) -> None:
    path = write_python(tmp_path / "python3", text)
    with pytest.raises(LocalError, match="does not run as a Python interpreter"):
        identify(str(path))
    with pytest.raises(UsageError, match="no interpreter at"):
        identify(str(tmp_path / "missing"))


def test_shims_are_asked_each_time(tmp_path: Path) -> None:
    """A pyenv shim is one file that leads to different interpreters; a broken one is passed over."""
    write_python(tmp_path / "a/python9.9", "#!/bin/sh\nexit 127\n")
    said = subprocess.run(
        [sys.executable, "-I", "-c", interpreter._PROBE], capture_output=True, text=True, check=True
    )
    answer = tmp_path / "answer"
    answer.write_text(said.stdout.replace(f'"version": "{HERE}"', '"version": "9.9.1"'))
    write_python(tmp_path / "b/python9.9", f"#!/bin/sh\ncat {answer}\n")
    path = {"PATH": f"{tmp_path}/a:{tmp_path}/b"}
    assert find_python("9.9", path, str(tmp_path / "cache")).version == "9.9.1"
    answer.write_text(said.stdout.replace(f'"version": "{HERE}"', '"version": "9.8.1"'))
    with pytest.raises(LocalError, match=r"no Python 9\.9 on"):
        find_python("9.9", path, str(tmp_path / "cache"))


def test_finding() -> None:
    minor = HERE.rpartition(".")[0]
    for version in (minor, HERE, "3"):
        assert find_python(version, {"PATH": ""}).version == HERE
    for version in ("2.6", "3.99", HERE + "9", minor + "t"):
        with pytest.raises(LocalError):
            find_python(version, {"PATH": ""})
    for version in ("", "three", "3.11; rm -rf", "../python"):
        with pytest.raises(UsageError):
            find_python(version, {"PATH": ""})


@pytest.mark.pythons("3.8", "3.12")
@pytest.mark.parametrize("version", ["3.8", "3.12"])
def test_others_are_asked(version: str, tmp_path: Path) -> None:
    path = find_on_machine(version)
    assert path is not None
    found = identify(str(path), str(tmp_path))
    assert found.version.startswith(version + ".")
    assert found.platform == this_interpreter().platform
    by_version = find_python(version, {"PATH": str(path.parent)}, str(tmp_path))
    assert by_version.version == found.version
    environment = tmp_path / "venv"
    subprocess.run([str(path), "-m", "venv", "--without-pip", str(environment)], check=True)
    assert os.path.realpath(identify(str(environment / "bin/python")).base) == os.path.realpath(found.base)


def test_many_threads_may_ask_at_once() -> None:
    with ThreadPoolExecutor(16) as threads:
        asked = list(threads.map(lambda _n: this_interpreter(), range(32)))
    assert set(map(repr, asked)) == {repr(this_interpreter())}
