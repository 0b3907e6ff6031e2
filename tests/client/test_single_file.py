"""`venvery.pyz`: the client as one file, run by whatever Python is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.client.archives import SITE, Environment, library
from tests.client.serving import ArchiveServer
from tests.client.test_client_sync import strays
from tests.support.machine import find_python
from venvery.client.pack import pack


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "venvery.pyz"
    path.write_bytes(pack())
    return path


def run(pyz: Path, folder: Path, *words: object, python: str = sys.executable, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [python, "-I", "-W", "error", str(pyz), *map(str, words)],
        cwd=folder,
        env={"VENVERY_CACHE_DIR": str(folder / "cache"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def base_of(python: str) -> str:
    code = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_main_job(pyz: Path, server: ArchiveServer, tmp_path: Path) -> None:
    server.environment.python = base_of(sys.executable)
    (tmp_path / "requirements.txt").write_text("alpha\nbig>=1\n--pre\n-c limits.txt\n")
    (tmp_path / "limits.txt").write_text("gamma<2\n")
    words = ("sync", "gamma", "-r", "requirements.txt", ".venv", "--server", server.url)
    out, said = run(pyz, tmp_path, *words)
    assert out == ""
    assert re.fullmatch(r"\.venv: 3 layers, 0 of them from the local store, 0\.\d MB received\n", said)
    body = server.asked[0]
    assert [item["requirement"] for item in body["requirements"]] == ["gamma", "alpha", "big>=1"]
    assert [item["requirement"] for item in body["constraints"]] == ["gamma<2"]
    assert body["options"] == {"prereleases": "allow"}
    assert body["prefix"] == str(tmp_path / ".venv")
    assert body["python"] == base_of(sys.executable)
    assert body["target"]["python"].startswith("3.")
    assert (tmp_path / f".venv/{SITE}/big/__init__.py").exists()
    assert run(pyz, tmp_path, *words) == ("", ".venv is up to date\n")
    (tmp_path / "limits.txt").write_text("gamma<3\n")
    _, said = run(pyz, tmp_path, *words)
    assert "3 of them from the local store" in said
    assert run(pyz, tmp_path, "sync", "x", "-q", "other", "--server", server.url) == ("", "")
    assert strays(tmp_path) == [".venv", "limits.txt", "other", "requirements.txt"]


def test_unchanged_is_quick(pyz: Path, server: ArchiveServer, tmp_path: Path) -> None:
    """No request, and little more than an interpreter's start (measured in CPU time: machines are shared)."""
    server.environment.python = base_of(sys.executable)
    words = ("sync", "alpha", ".venv", "--server", server.url)
    run(pyz, tmp_path, *words)

    def cost(*command: str) -> float:
        best = 9.9
        for _ in range(5):
            before = os.times()
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
            after = os.times()
            best = min(
                best, after.children_user + after.children_system - before.children_user - before.children_system
            )
        return best

    began = time.perf_counter()
    spent = cost(sys.executable, "-I", str(pyz), *words) - cost(sys.executable, "-I", "-c", "pass")
    assert time.perf_counter() - began < 10
    assert spent <= 0.05
    assert len(server.asked) == 1


def test_a_lock(pyz: Path, server: ArchiveServer, tmp_path: Path) -> None:
    server.environment.python = base_of(sys.executable)
    (tmp_path / "pylock.toml").write_text('lock-version = "1.0"\n')
    run(pyz, tmp_path, "sync", "pylock.toml", ".venv", "--server", server.url)
    assert server.asked[0]["pylock"] == 'lock-version = "1.0"\n'
    assert "requirements" not in server.asked[0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sync", "x", "env"), 2, "no server is named"),
        (("sync", "env", "--server", "http://127.0.0.1:9"), 2, "no requirements"),
        (("sync", "x", "env", "--server", "nonsense"), 2, "not the URL"),
        (("sync", "-r", "missing.txt", "env", "--server", "http://127.0.0.1:9"), 2, "missing.txt cannot be read"),
        (("sync", "x", "env", "--server", "http://127.0.0.1:9", "--python", "/no/python"), 2, "no interpreter at"),
        (("sync", "x", "env", "--server", "http://127.0.0.1:9", "--python", "3.99"), 3, "no Python 3.99"),
        (("nonsense",), 2, "invalid choice"),
    ],
)
def test_wrong_usage(pyz: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    out, error = run(pyz, tmp_path, *words, code=code)
    assert out == ""
    assert said in error
    assert "Traceback" not in error


def test_the_answer_is_no(pyz: Path, server: ArchiveServer, tmp_path: Path) -> None:
    problem = {"type": "urn:x", "detail": "a and b want different c", "hint": "drop one"}
    server.answers = [(422, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())]
    _, error = run(pyz, tmp_path, "sync", "a", "b", "env", "--server", server.url, code=1)
    assert error == "error: a and b want different c\nhint: drop one\n"
    assert not (tmp_path / "env").exists()


def test_it_is_the_same_every_time_and_runs_by_itself(pyz: Path, tmp_path: Path) -> None:
    assert pack() == pyz.read_bytes()
    runnable = tmp_path / "venvery.pyz"
    runnable.write_bytes(pack(sys.executable.encode()))
    runnable.chmod(0o755)
    said = subprocess.run([str(runnable), "sync", "--help"], capture_output=True, text=True, check=True)
    assert "--server" in said.stdout


def test_target(pyz: Path, tmp_path: Path) -> None:
    out, _ = run(pyz, tmp_path, "target")
    assert json.loads(out)["marker_environment"]["sys_platform"] == sys.platform


@pytest.mark.pythons("3.8", "3.9", "3.13")
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.13"])
def test_with_other_pythons(pyz: Path, server: ArchiveServer, tmp_path: Path, version: str) -> None:
    python = find_python(version)
    assert python is not None
    base = base_of(str(python))
    layer = library("alpha")
    server.environment = Environment([layer], python=base)
    words = ("sync", "alpha", "env", "--server", server.url)
    run(pyz, tmp_path, *words, python=str(python))
    assert server.asked[0]["python"] == base
    assert server.asked[0]["target"]["python"].startswith(version + ".")
    assert run(pyz, tmp_path, *words, python=str(python))[1] == "env is up to date\n"
