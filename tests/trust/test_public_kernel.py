"""A real Jupyter kernel in a real environment: started without activation, moved, verified, made again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.running import Venvery

pytestmark = pytest.mark.public_index

ASK = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel()
client.execute_interactive("import sys; print(sys.prefix)", timeout=60)
manager.shutdown_kernel(now=True)
"""


def kernel_prefix(environment: Path, home: Path) -> str:
    """Start the kernel from an interpreter whose PATH has no Python of this environment."""
    done = subprocess.run(
        [environment / "bin/python", "-W", "ignore", "-c", ASK],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_the_kernel_is_the_environments_own(public_venvery: Venvery, tmp_path: Path) -> None:
    environment, moved = tmp_path / "env", tmp_path / "my env"
    public_venvery("sync", "ipykernel", "jupyter-client", environment, timeout=300).check()
    spec = json.loads((environment / "share/jupyter/kernels/python3/kernel.json").read_bytes())
    assert spec["argv"][0] == f"{environment}/bin/python"
    assert kernel_prefix(environment, tmp_path) == str(environment)
    public_venvery("verify", environment).check()
    shutil.move(environment, moved)
    public_venvery("relocate", moved).check()
    assert kernel_prefix(moved, tmp_path) == str(moved)
    public_venvery("verify", "--rebuild", moved, timeout=300).check()
