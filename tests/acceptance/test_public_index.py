"""The main job with the real django and requests, from the index that pip here is configured for."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from packaging.pylock import Pylock
from packaging.version import Version

from tests.acceptance.helpers import HERE_PYTHON, asks, check_environment, curl, installed, pip_agrees, run_python
from tests.support.machine import find_python, find_uv
from tests.support.public_index import configured_index
from tests.support.running import Venvery, clean_environment

pytestmark = pytest.mark.public_index

MAIN_JOB = ("django>=1.8", "requests>=2.7")
DEPENDENCIES = {"django", "asgiref", "sqlparse", "requests", "urllib3", "idna", "certifi", "charset-normalizer"}


def run(folder: Path, *command: str | Path, **env: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env=clean_environment(folder / "home", **env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def make_venv(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def test_pip_takes_our_pins(public_venvery: Venvery, tmp_path: Path) -> None:
    lock = tmp_path / "locked.txt"
    lock.write_text(public_venvery("resolve", *MAIN_JOB).check().stdout)
    environment = make_venv(tmp_path / "by-pip")
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", "-q")
    run(tmp_path, *pip, "--index-url", configured_index(), "--require-hashes", "-r", lock)
    assert set(installed(environment)) == DEPENDENCIES


def test_our_answer_is_pip_s_answer(public_venvery: Venvery, tmp_path: Path) -> None:
    ours = dict(
        re.findall(r"^([a-z0-9-]+)==([^\s\\;]+)", public_venvery("resolve", *MAIN_JOB).check().stdout, re.M)
    )
    environment = make_venv(tmp_path / "by-pip")
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", "-q")
    run(tmp_path, *pip, "--index-url", configured_index(), *MAIN_JOB)
    assert ours == installed(environment)


def test_uv_takes_our_pylock(public_venvery: Venvery, tmp_path: Path) -> None:
    uv = find_uv()
    if uv is None:
        pytest.skip("uv was not found on this machine (name it with VENVERY_TEST_UV)")
    lock = tmp_path / "pylock.toml"
    lock.write_text(public_venvery("resolve", *MAIN_JOB, "--format", "pylock").check().stdout)
    assert {package.name for package in Pylock.from_dict(tomllib.loads(lock.read_text())).packages} == DEPENDENCIES
    environment = make_venv(tmp_path / "by-uv")
    run(tmp_path, uv, "pip", "sync", "-q", "--python", environment / "bin/python", lock)
    assert set(installed(environment)) == DEPENDENCIES


def test_pip_takes_our_pylock(public_venvery: Venvery, tmp_path: Path) -> None:
    """pip reads such files from 26.1 on, experimentally; the newest that the index has is used."""
    lock = tmp_path / "pylock.toml"
    lock.write_text(public_venvery("resolve", *MAIN_JOB, "--format", "pylock").check().stdout)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "pip")], check=True)
    new_pip = (tmp_path / "pip/bin/python", "-m", "pip")
    run(tmp_path, *new_pip, "install", "-q", "-U", "pip", PIP_INDEX_URL=configured_index())
    version = Version(run(tmp_path, *new_pip, "--version").split()[1])
    if version < Version("26.1"):
        pytest.skip(f"pip {version} does not read pylock.toml")
    environment = make_venv(tmp_path / "by-pip")
    run(tmp_path, *new_pip, "--python", environment / "bin/python", "install", "-q", "-r", lock)
    assert set(installed(environment)) == DEPENDENCIES


def test_sync_makes_it(public_venvery: Venvery, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    public_venvery("sync", "-r", asks(tmp_path), environment).check()
    found = installed(environment)
    assert set(found) == DEPENDENCIES
    check_environment(environment, found)
    pip_agrees(environment)
    assert run_python(environment, "-c", "import django, requests; print(django.__version__)") == found["django"]
    again = public_venvery("sync", "-r", asks(tmp_path), environment).check()
    assert again.seconds < 2.0


@pytest.mark.pythons("3.11")
def test_the_curl_line(public_venvery: Venvery, tmp_path: Path) -> None:
    """The line of the README, character by character but for the port and the folder."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    match = re.search(r"^curl -sf .*?\n.*?tar -xz -C /tmp/e$", readme, re.MULTILINE)
    assert match, "the README does not show the curl line"
    asks(tmp_path)
    environment = tmp_path / "e"
    environment.mkdir()
    with public_venvery.serve() as server:
        line = match[0].replace("http://127.0.0.1:8000", server.url).replace("/tmp/e", str(environment))
        run(tmp_path, "bash", "-o", "pipefail", "-c", line)
    run_python(environment, "-c", "import django, requests")
    found = installed(environment)
    check_environment(environment, found)
    assert run(tmp_path, environment / "bin/django-admin", "--version").strip() == found["django"]
    activated = run(tmp_path, "sh", "-c", f". {environment}/bin/activate && command -v django-admin")
    assert activated.strip() == f"{environment}/bin/django-admin"


@pytest.mark.parametrize(
    ("platform", "tag"),
    [
        ("macos-arm64", r"macosx_\d+_\d+_(arm64|universal2)"),
        ("windows-x86_64", "win_amd64"),
        ("linux-aarch64", r"manylinux[0-9_]*_aarch64"),
    ],
)
def test_foreign_targets(public_venvery: Venvery, tmp_path: Path, platform: str, tag: str) -> None:
    wanted = asks(tmp_path, "django>=1.8", "requests>=2.7", "markupsafe")
    prefix = r"C:\e" if platform.startswith("windows") else "/srv/e"
    with public_venvery.serve() as server:
        answer = curl(
            tmp_path,
            f"{server.url}/v1/environments?python=3.13&platform={platform}&prefix={quote(prefix)}",
            *("--data-binary", f"@{wanted}", "-H", "Accept: application/x-tar+gzip"),
        )
    assert answer.status == 200, answer.body
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.body))) as archive:
        files = {member.name.removeprefix("./"): member for member in archive}
        wheel = next(name for name in files if re.search(r"[Mm]arkup[Ss]afe-[^/]*\.dist-info/WHEEL$", name))
        content = archive.extractfile(files[wheel])
        assert content is not None
        assert re.search(rf"Tag: cp313-cp313-.*{tag}", content.read().decode())
    if platform.startswith("windows"):
        assert "Scripts/django-admin.exe" in files
        assert "Lib/site-packages/django/__init__.py" in files
    else:
        assert "bin/django-admin" in files
        assert "lib/python3.13/site-packages/django/__init__.py" in files


@pytest.mark.pythons("3.13")
def test_another_python_of_this_machine(public_venvery: Venvery, tmp_path: Path) -> None:
    python = find_python("3.13")
    assert python is not None
    environment = tmp_path / "env"
    public_venvery("sync", *MAIN_JOB, "markupsafe", "--python", python, environment).check()
    check_environment(environment, installed(environment))
    assert "3.13" in run_python(environment, "-c", "import sys, markupsafe._speedups; print(sys.version)")


def test_the_server_is_used_from_another_machine(public_venvery: Venvery, tmp_path: Path) -> None:
    """A client without an index, a data folder or a store of its own."""
    with public_venvery.serve() as server:
        bare = Venvery(tmp_path / "bare", index_url="http://127.0.0.1:9/simple/")
        bare("sync", "--server", server.url, *MAIN_JOB, "--python", HERE_PYTHON, tmp_path / "bare/env").check()
        check_environment(tmp_path / "bare/env", installed(tmp_path / "bare/env"))
