"""What this machine has: further interpreters, and uv."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["find_python", "find_uv"]


@functools.cache
def find_python(version: str) -> Path | None:
    """Find an interpreter of a version such as `3.8`: this one, on PATH, or of pyenv or uv."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.executable)
    candidates = [shutil.which(f"python{version}")]
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    roots.append(Path.home() / ".local/share/uv/python")
    for root in roots:
        for pattern in (f"{version}.*", f"cpython-{version}.*"):
            candidates += [str(found / "bin" / "python3") for found in sorted(root.glob(pattern))]
    for candidate in candidates:
        if candidate and Path(candidate).is_file() and _version_of(candidate) == version:
            return Path(candidate)
    return None


def _version_of(python: str) -> str | None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def find_uv() -> Path | None:
    """Find uv: `VENVERY_TEST_UV`, beside this interpreter, or on PATH."""
    named = os.environ.get("VENVERY_TEST_UV")
    if named:
        return Path(named)
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    return Path(found) if found else None
