"""`venvery sync`: makes a folder exactly the environment that was asked for, and touches nothing needlessly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.helpers import TINY, asks, check_environment, pip_agrees, refuses, run_python, strays
from tests.support.index_server import IndexServer
from tests.support.machine import find_python
from tests.support.running import ServerProcess, Venvery, clean_environment
from tests.support.wheels import make_wheel

MAIN_JOB = ("django>=1.8", "requests>=2.7")


@pytest.fixture(params=["embedded", "server"])
def mode(request: pytest.FixtureRequest, venvery: Venvery) -> str:
    """Run a test twice: with everything in one process, and against a running server."""
    if request.param == "server":
        server: ServerProcess = request.getfixturevalue("server")
        venvery.env["VENVERY_SERVER"] = server.url
        venvery.env["VENVERY_DATA"] = "/nonexistent/data"
        venvery.env["VENVERY_INDEX_URL"] = "http://127.0.0.1:9/simple/"
    return str(request.param)


def identity(folder: Path) -> dict[str, tuple[int, int]]:
    """Give what changes when somebody writes: inode and time of each entry."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts:
            status = path.lstat()
            found[str(path.relative_to(folder))] = status.st_ino, status.st_mtime_ns
    return found


@pytest.mark.usefixtures("mode")
def test_it_makes_a_working_environment(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    result = venvery("sync", "-r", asks(tmp_path), environment).check()
    assert result.stdout == ""
    check_environment(environment, TINY)
    pip_agrees(environment)
    run_python(environment, "-c", "import django, requests")
    admin = subprocess.run(
        [str(environment / "bin/django-admin"), "--version"], capture_output=True, text=True, check=True
    )
    assert admin.stdout == "5.2\n"


@pytest.mark.usefixtures("mode")
def test_activate_works(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", *MAIN_JOB, environment).check()
    script = (
        f". '{environment}/bin/activate' && command -v python && django-admin --version"
        ' && echo "$VIRTUAL_ENV" && deactivate && echo "${VIRTUAL_ENV-gone}"'
    )
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell, "-c", script],
            env=clean_environment(tmp_path / "home"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines() == [f"{environment}/bin/python", "5.2", str(environment), "gone"], (
            done.stderr
        )


@pytest.mark.usefixtures("mode")
def test_everything_that_a_wheel_may_hold(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "everything", environment).check()
    check_environment(environment, {"everything": "1.0"})
    assert (environment / "share/everything/readme.txt").read_text() == "read me\n"
    assert run_python(environment, "-c", "import everything_pure, everything_plat; print('both')") == "both"
    headers = list((environment / "include").rglob("everything.h"))
    assert len(headers) == 1
    script = environment / "bin/everything-script"
    assert script.read_bytes().startswith(f"#!{environment}/bin/python".encode())
    done = subprocess.run([str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(environment)
    assert subprocess.run([str(environment / "bin/everything-shell")], capture_output=True).stdout == b"shell\n"
    site = next(environment.glob("lib/python*/site-packages"))
    assert os.access(site / "everything/run.sh", os.X_OK)
    assert not os.access(site / "everything/__init__.py", os.X_OK)
    assert (environment / "bin/everything-gui").exists()


@pytest.mark.usefixtures("mode")
def test_bytecode_is_there_and_is_used(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", *MAIN_JOB, environment).check()
    before = {path: path.stat().st_mtime_ns for path in environment.rglob("*.pyc")}
    assert any(path.name.startswith("__init__.") and "django" in path.parts for path in before)
    run_python(environment, "-c", "import django, requests, django.core.management")
    assert {path: path.stat().st_mtime_ns for path in environment.rglob("*.pyc")} == before
    trace = run_python(environment, "-c", "import django; print(django.get_version.__code__.co_filename)")
    assert trace == str(next(environment.glob("lib/python*/site-packages")) / "django/__init__.py")


def test_again_does_nothing_and_asks_nobody(
    venvery: Venvery, index: IndexServer, mode: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    environment, wanted = tmp_path / "env", asks(tmp_path)
    venvery("sync", "-r", wanted, environment).check()
    before = identity(environment)
    index.forget()
    index.close()
    if mode == "server":
        request.getfixturevalue("server").kill()
    again = venvery("sync", "-r", wanted, environment).check()
    assert identity(environment) == before
    assert again.seconds < 2.0  # an interpreter's start on a busy machine; alone it is a tenth of that
    assert index.requests == ()


@pytest.mark.usefixtures("mode")
def test_changed_requirements_replace_it_exactly(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", "-r", asks(tmp_path), environment).check()
    venvery("sync", "-r", asks(tmp_path, "requests[socks]==2.32.3", "idna<3"), environment).check()
    without_django = {name: TINY[name] for name in ("requests", "urllib3", "certifi", "charset-normalizer")}
    check_environment(environment, without_django | {"idna": "2.10", "pysocks": "1.7.1"})
    assert not (environment / "bin/django-admin").exists()
    venvery("sync", "-r", asks(tmp_path), environment).check()
    check_environment(environment, TINY)
    assert strays(tmp_path, but=("env", "requirements.txt", "data", "cache", "home", "work")) == [
        name for name in strays(tmp_path) if name.startswith(("home-of", "serve-"))
    ]


@pytest.mark.usefixtures("mode")
def test_a_missing_environment_is_made_again(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", *MAIN_JOB, environment).check()
    subprocess.run(["rm", "-rf", str(environment)], check=True)
    venvery("sync", *MAIN_JOB, environment).check()
    check_environment(environment, TINY)


@pytest.mark.usefixtures("mode")
def test_from_a_pylock(venvery: Venvery, tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(venvery("resolve", *MAIN_JOB, "--format", "pylock").check().stdout)
    environment = tmp_path / "env"
    venvery("sync", lock, environment).check()
    check_environment(environment, TINY)


@pytest.mark.usefixtures("mode")
def test_a_failed_sync_leaves_the_old_environment(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    venvery("sync", *MAIN_JOB, environment).check()
    before = identity(environment)
    refuses(venvery("sync", "conflict-a", "conflict-b", environment), 1, "conflict-a", "conflict-b", "shared")
    refuses(venvery("sync", "no-such-project", environment), 1, "no-such-project")
    assert identity(environment) == before
    check_environment(environment, TINY)


def test_a_folder_that_is_no_environment_is_left_alone(venvery: Venvery, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("ten years of work")
    refuses(venvery("sync", "idna", precious), 2, "thesis")
    assert strays(precious) == ["chapter1.tex"]


def test_an_empty_folder_is_taken(venvery: Venvery, tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    venvery("sync", "idna", tmp_path / "env").check()
    check_environment(tmp_path / "env", {"idna": "3.7"})


def test_odd_folders(venvery: Venvery, tmp_path: Path) -> None:
    """Spaces, a long path that no `#!` line can hold, letters that are not ASCII."""
    for name in ("with a space", "long-" + "x" * 180, "münchen"):
        environment = tmp_path / name
        venvery("sync", "django", environment).check()
        done = subprocess.run([str(environment / "bin/django-admin"), "--version"], capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("5.2\n", 0), done.stderr
        subprocess.run(["rm", "-rf", str(environment)], check=True)


def test_a_relative_folder_is_relative_to_where_one_is(venvery: Venvery) -> None:
    venvery("sync", "idna", ".venv").check()
    check_environment(venvery.cwd / ".venv", {"idna": "3.7"})


@pytest.mark.pythons("3.12")
def test_another_interpreter(venvery: Venvery, tmp_path: Path) -> None:
    python = find_python("3.12")
    assert python is not None
    venvery("sync", *MAIN_JOB, "--python", python, tmp_path / "env").check()
    check_environment(tmp_path / "env", TINY)
    tag = run_python(
        tmp_path / "env",
        "-c",
        "import charset_normalizer, sys; print(charset_normalizer.TAG, sys.version_info[1])",
    )
    assert tag.split()[1] == "12"
    assert tag.startswith("cp312-")


def test_two_syncs_at_once_end_well(venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    running = [venvery.start("sync", *MAIN_JOB, environment) for _ in range(3)]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert all("Traceback" not in said[1] for said, _ in outcomes), outcomes
    assert 0 in {code for _, code in outcomes}, outcomes
    venvery("sync", *MAIN_JOB, environment).check()
    check_environment(environment, TINY)


def test_a_replaced_file_on_the_index_is_noticed(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """The lock promises hashes; other bytes under the same name are not installed."""
    lock = tmp_path / "pylock.toml"
    lock.write_text(venvery("resolve", "idna", "--format", "pylock").check().stdout)
    index.add(make_wheel("idna", "3.7", files={"idna/__init__.py": '__version__ = "6.6"\n'}))
    refuses(
        venvery("sync", lock, tmp_path / "env", "--data", tmp_path / "fresh"), 3, "idna-3.7", "promised|sha-?256"
    )
    assert not (tmp_path / "env").exists()
