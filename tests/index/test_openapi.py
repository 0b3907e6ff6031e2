"""`/openapi.json` is true: schemathesis asks everything that it describes, and much that it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.index.asking import ask
from tests.support.running import ServerProcess, clean_environment

EXAMPLES = "6"
"""Requests for each operation and phase."""


def test_the_server_does_what_its_description_says(mirror: ServerProcess, tmp_path: Path) -> None:
    """Left out: that whatever fits the schema is accepted. No schema says what a requirement or a lock is."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{mirror.url}/openapi.json"]
    command += ["--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", EXAMPLES, "--seed", "20261121", "--no-color"]
    done = subprocess.run(
        command,
        env=clean_environment(tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in mirror.said


def test_the_index_is_described(mirror: ServerProcess) -> None:
    paths = ask(f"{mirror.url}/openapi.json").json()["paths"]
    assert {"/simple/", "/simple/{project}/", "/files/{project}/{hash}/{filename}", "/pypi/{project}/json"} <= set(
        paths
    )
    assert "/views/{view}/simple/{project}/" in paths
