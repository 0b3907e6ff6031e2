"""`bin/python` of an environment that was made without knowing where Python is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.environments.workshop import Workshop, run
from tests.support.machine import find_python
from tests.support.wheels import make_wheel

_WHERE = "import sys, tiny; print(sys.prefix); print(sys.executable); print(sys.base_prefix)"
VERSION = "3.11"

SHELLS = ["dash", "busybox sh", "bash --posix"]


@pytest.fixture(scope="session")
def base() -> Path:
    """Give a real base interpreter of the version."""
    found = find_python(VERSION)
    assert found is not None
    done = subprocess.run(
        [found, "-I", "-c", "import sys; print(sys._base_executable)"], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


@pytest.fixture
def prefix(workshop: Workshop, tmp_path: Path) -> Path:
    """Give a fresh environment in a folder with an awkward name."""
    place = tmp_path / "the env's"
    main = "def main():\n    import sys\n    print(sys.argv[1:], sys.prefix)\n"
    points = {"console_scripts": {"where": "tiny:main"}}
    workshop.install([make_wheel("tiny", "1.0", entry_points=points, files={"tiny.py": main})], place)
    return place


def folder_with(tmp_path: Path, name: str, content: str | Path, at: str = "tools") -> str:
    folder = tmp_path / at
    folder.mkdir(exist_ok=True)
    if isinstance(content, Path):
        (folder / name).symlink_to(content)
    else:
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return str(folder)


def coreutils(tmp_path: Path) -> str:
    """Give a folder with what the finder runs, and no Python."""
    for name in ("readlink", "mv", "rm", "ln"):
        folder = folder_with(tmp_path, name, Path(shutil.which(name) or name))
    return folder


def use_shell(prefix: Path, shell: str) -> None:
    """Let another shell than the system's read the finder."""
    program, *arguments = shell.split()
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on this machine")
    finder = prefix / "bin/python"
    finder.write_text(finder.read_text().replace("#!/bin/sh", " ".join(["#!" + path, *arguments]), 1))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["python3.11", "python3", "python"])
def test_the_first_run_finds_python_and_steps_aside(
    tmp_path: Path, prefix: Path, base: Path, name: str, shell: str
) -> None:
    use_shell(prefix, shell)
    path = folder_with(tmp_path, name, f'#!/bin/sh\nexec "{base}" "$@"\n')  # as a version manager's shim does
    for _ in range(2):
        done = run([prefix / "bin/python", "-c", _WHERE], env={"PATH": path + ":/usr/bin:/bin"})
        assert done.stdout.splitlines()[:2] == [str(prefix), str(prefix / "bin/python")]
        assert done.stderr == ""
    link = (prefix / "bin/python").readlink()
    assert link.samefile(base)
    lines = (prefix / "pyvenv.cfg").read_text().splitlines()
    assert lines[0] == f"home = {link.parent}"
    assert lines[1] == "include-system-site-packages = false"
    assert lines[2].startswith("version = 3.11.")
    assert sorted(entry.name for entry in prefix.iterdir()) == [".venvery", "bin", "lib", "lib64", "pyvenv.cfg"]
    assert not [entry for entry in (prefix / "bin").iterdir() if entry.name.startswith(".")]


@pytest.mark.parametrize("start", ["python3", "python3.11", "where"])
def test_any_way_in_is_the_first_run(tmp_path: Path, prefix: Path, base: Path, start: str) -> None:
    path = folder_with(tmp_path, "python3.11", base)
    command = [prefix / "bin" / start, *(["-c", "import tiny; tiny.main()"] if start != "where" else [])]
    done = run([*command, "a b", "*"], env={"PATH": path + ":/usr/bin:/bin"})
    assert done.stdout == f"['a b', '*'] {prefix}\n"
    assert (prefix / "bin/python").is_symlink()


def test_by_path_and_by_a_link_from_elsewhere(tmp_path: Path, prefix: Path, base: Path) -> None:
    path = folder_with(tmp_path, "python3.11", base)
    other = folder_with(tmp_path, "mine", prefix / "bin" / "python", at="other")
    done = run([f"{other}/mine", "-c", "print(1)"], env={"PATH": path + ":/usr/bin:/bin"})
    assert done.stdout == "1\n"
    assert (prefix / "bin/python").is_symlink()


def test_activated_it_does_not_find_itself(tmp_path: Path, prefix: Path, base: Path) -> None:
    path = folder_with(tmp_path, "python3", base)
    done = run(["sh", "-c", f'. "{prefix}/bin/activate"; python -c "import sys; print(sys.prefix)"'],
               env={"PATH": path + ":/usr/bin:/bin"})  # fmt: skip
    assert done.stdout == f"{prefix}\n"


def test_an_environment_on_path_gives_its_base(tmp_path: Path, prefix: Path, base: Path) -> None:
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    run([prefix / "bin/python", "-c", "import tiny"], env={"PATH": f"{tmp_path}/venv/bin:/usr/bin:/bin"})
    assert (prefix / "bin/python").readlink().samefile(base)
    assert "/venv/" not in (prefix / "pyvenv.cfg").read_text()


def test_two_unfinished_environments_do_not_ask_each_other_for_ever(
    workshop: Workshop, tmp_path: Path, base: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        workshop.install([make_wheel("tiny", "1.0")], place)
    tools = coreutils(tmp_path)
    done = run([first / "bin/python", "-c", ""], env={"PATH": f"{first}/bin:{second}/bin:{tools}"}, check=False)
    assert done.returncode == 127
    assert "there is no Python 3.11 on PATH" in done.stderr
    path = folder_with(tmp_path, "python3.11", base, at="python")
    for place in (second, first):
        run([place / "bin/python", "-c", "import tiny"], env={"PATH": f"{first}/bin:{second}/bin:{path}:{tools}"})
        assert (place / "bin/python").readlink().samefile(base)


def test_a_python_of_another_version_is_not_taken(tmp_path: Path, prefix: Path) -> None:
    other = find_python("3.12") or find_python("3.10")
    if other is None:
        pytest.skip("no other Python on this machine")
    tools = coreutils(tmp_path)
    folder_with(tmp_path, "python3", other)
    folder_with(tmp_path, "python", "#!/bin/sh\necho /bin/false\n")
    folder_with(tmp_path, "python3.11", "#!/bin/sh\nexit 1\n")
    done = run([prefix / "bin/python", "-c", "print(1)"], env={"PATH": tools}, check=False)
    assert done.returncode == 127
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{prefix}/bin/python: there is no Python 3.11 on PATH, which this environment needs",
        "hint: install it, or put its folder on PATH, and run this again",
    ]
    assert not (prefix / "bin/python").is_symlink()
    assert "home" not in (prefix / "pyvenv.cfg").read_text()


def test_many_at_once(tmp_path: Path, prefix: Path, base: Path) -> None:
    path = folder_with(tmp_path, "python3.11", base)

    def start(_: int) -> str:
        return run([prefix / "bin/python", "-c", _WHERE], env={"PATH": path + ":/usr/bin:/bin"}).stdout

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(start, range(16)))
    assert len(answers) == 1
    assert answers.pop().startswith(str(prefix))
    assert not [entry.name for entry in (prefix / "bin").iterdir() if entry.name.startswith(".")]
    assert (prefix / "pyvenv.cfg").read_text().count("home = ") == 1


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to become somebody else"
)
@pytest.mark.parametrize("shell", SHELLS)
def test_in_a_folder_that_cannot_be_written_it_runs_all_the_same(
    tmp_path: Path, prefix: Path, base: Path, shell: str
) -> None:
    use_shell(prefix, shell)
    try:
        subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", str(base), "-c", ""], check=True, capture_output=True
        )
    except subprocess.CalledProcessError:
        pytest.skip("the base interpreter cannot be read by others")
    open_folder = Path(tempfile.mkdtemp(prefix="venvery-test-"))
    try:
        open_folder.chmod(0o755)
        place = open_folder / "env"
        shutil.copytree(prefix, place, symlinks=True)
        _run_as_somebody_else(place, folder_with(open_folder, "python3.11", base))
    finally:
        shutil.rmtree(open_folder)


def _run_as_somebody_else(prefix: Path, path: str) -> None:
    command = [
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        prefix / "bin/python",
        "-c",
        _WHERE + "; print(sys.argv)",
        "a b",
    ]
    done = run(command, env={"PATH": path + ":/usr/bin:/bin"}, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[:2] == [str(prefix), str(prefix / "bin/python")]
    assert done.stdout.splitlines()[3] == "['-c', 'a b']"
    assert not (prefix / "bin/python").is_symlink()


def test_with_the_interpreter_given_all_is_there_at_once(workshop: Workshop, tmp_path: Path, base: Path) -> None:
    place = tmp_path / "env"
    workshop.install([make_wheel("tiny", "1.0")], place, python=str(base))
    done = run([place / "bin/python3", "-c", _WHERE])
    assert done.stdout.splitlines()[0] == str(place)
