"""`/venvery.pyz`: the two lines of the CI recipes, as a runner without anything of ours types them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.helpers import TINY, asks, check_environment, curl
from tests.support.machine import find_python
from tests.support.running import ServerProcess, clean_environment

FETCH = 'curl -sSfO "$VENVERY_SERVER/venvery.pyz" && echo "$VENVERY_PYZ_SHA256  venvery.pyz" | sha256sum -c'
SYNC = "python3 venvery.pyz sync -r requirements.txt .venv"


def runner(server: ServerProcess, folder: Path, line: str, python: Path, **further: str) -> str:
    """Run one line of a recipe in a folder whose `python3` is that Python; give what was said."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "python3").exists():
        # no symbolic link: a Python finds its home by its own name
        (tools / "python3").write_text(f'#!/bin/sh\nexec "{python}" -I "$@"\n')
        (tools / "python3").chmod(0o755)
    environment = clean_environment(folder / "home", VENVERY_SERVER=server.url, **further)
    environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def base_of(python: Path) -> str:
    code = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_two_lines_of_a_recipe(server: ServerProcess, tmp_path: Path) -> None:
    digest = curl(tmp_path, f"{server.url}/venvery.pyz.sha256").body.decode().split()[0]
    asks(tmp_path)
    said = runner(server, tmp_path, FETCH, Path(sys.executable), VENVERY_PYZ_SHA256=digest)
    assert said == "venvery.pyz: OK\n"
    runner(server, tmp_path, SYNC, Path(sys.executable))
    check_environment(tmp_path / ".venv", TINY)
    assert runner(server, tmp_path, SYNC, Path(sys.executable)) == ".venv is up to date\n"


def test_an_old_python_makes_an_environment_for_itself(server: ServerProcess, tmp_path: Path) -> None:
    """With the oldest Python that there is here; on a machine with one Python, with that one."""
    found = (find_python(version) for version in ("3.8", "3.9", "3.10"))
    python = next((path for path in found if path is not None), Path(sys.executable))
    (tmp_path / "venvery.pyz").write_bytes(curl(tmp_path, f"{server.url}/venvery.pyz").body)
    asks(tmp_path, "idna")
    runner(server, tmp_path, SYNC, python)
    inside = tmp_path / ".venv/bin/python"
    code = "import idna, sys; print(sys.prefix, *sys.version_info[:2])"
    said = subprocess.run([inside, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert said == [str(tmp_path / ".venv"), *version.split(".")[:2]]
    assert os.path.realpath(inside) == os.path.realpath(base_of(python))


def test_it_says_what_it_is(server: ServerProcess, tmp_path: Path) -> None:
    whole = curl(tmp_path, f"{server.url}/venvery.pyz")
    digest = hashlib.sha256(whole.body).hexdigest()
    assert (whole.status, whole.headers["venvery-sha256"]) == (200, digest)
    assert whole.headers["content-type"] == "application/zip"
    assert int(whole.headers["content-length"]) == len(whole.body)
    asked = curl(tmp_path, f"{server.url}/venvery.pyz", "--head")
    assert (asked.status, asked.headers["venvery-sha256"]) == (200, digest)
    assert int(asked.headers["content-length"]) == len(whole.body)
    same = curl(tmp_path, f"{server.url}/venvery.pyz", "-H", f"If-None-Match: {whole.headers['etag']}")
    assert (same.status, same.body) == (304, b"")
    part = curl(tmp_path, f"{server.url}/venvery.pyz", "-r", "1-9")
    assert (part.status, part.body) == (206, whole.body[1:10])
    line = curl(tmp_path, f"{server.url}/venvery.pyz.sha256")
    assert line.body.decode() == f"{digest}  venvery.pyz\n"
