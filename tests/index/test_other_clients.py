"""Poetry and bandersnatch, unchanged, fetched from the index that this machine's pip is configured for."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.index.asking import JSON, ask
from tests.support.machine import find_uv
from tests.support.public_index import configured_index
from tests.support.running import ServerProcess, clean_environment

pytestmark = pytest.mark.public_index

_BANDERSNATCH = """
[mirror]
directory = {folder}
master = {url}
allow-non-https = true
api-method = simple
json = true
release-files = true
timeout = 20
workers = 2
verifiers = 1
hash-index = false
stop-on-error = true
storage-backend = filesystem
compare-method = hash
download-mirror =
simple-format = ALL
"""


def tool(folder: Path, name: str, *args: str, cwd: Path, **variables: str) -> None:
    """Run a tool in an environment of its own."""
    uv = find_uv()
    assert uv is not None, "uv is one of the test dependencies"
    command = [str(uv), "tool", "run", "--no-python-downloads", "--default-index", configured_index(), name, *args]
    environment = clean_environment(folder / "home", **variables)
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_poetry_locks_and_installs(mirror: ServerProcess, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["requests>=2.7", "django"]\n[tool.poetry]\npackage-mode = false\n'
        f'[[tool.poetry.source]]\nname = "ours"\nurl = "{mirror.url}/simple/"\npriority = "primary"\n',
        encoding="utf-8",
    )
    tool(tmp_path, "poetry", "lock", "-n", cwd=project, POETRY_VIRTUALENVS_IN_PROJECT="1")
    assert f"{mirror.url}/simple" in (project / "poetry.lock").read_text(encoding="utf-8")
    tool(tmp_path, "poetry", "install", "-n", cwd=project, POETRY_VIRTUALENVS_IN_PROJECT="1")
    installed = {path.name for path in project.glob(".venv/lib/*/site-packages/*.dist-info")}
    assert "requests-2.32.3.dist-info" in installed


def test_bandersnatch_mirrors_what_is_here(mirror: ServerProcess, tmp_path: Path) -> None:
    for project in ("idna", "sqlparse"):
        ask(f"{mirror.url}/simple/{project}/")
    while len(ask(f"{mirror.url}/simple/", accept=JSON).json()["projects"]) < 2:
        time.sleep(0.2)
    folder = tmp_path / "bandersnatch"
    folder.mkdir()
    (tmp_path / "conf").write_text(_BANDERSNATCH.format(folder=folder, url=mirror.url), encoding="utf-8")
    tool(tmp_path, "bandersnatch", "-c", str(tmp_path / "conf"), "mirror", cwd=tmp_path)
    names = {path.name for path in folder.glob("web/packages/*/*/*.whl")}
    assert {"idna-2.10-py3-none-any.whl", "idna-3.7-py3-none-any.whl", "sqlparse-0.5.3-py3-none-any.whl"} <= names
    assert (folder / "web/simple/idna/index.v1_json").is_file()
