"""What this machine has: further interpreters, uv, and the index that its pip is configured for."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

__all__ = ["configured_index", "find_python", "find_uv", "why_index_is_silent"]


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


@functools.cache
def configured_index() -> str:
    """Give the index to use, as the program finds it: its own variable, pip's settings, pip's default."""
    for name in ("VENVERY_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    for setting in ("install.index-url", "download.index-url", "global.index-url"):
        found = _pip("-m", "pip", "config", "get", setting)
        if found:
            return found
    found = _pip("-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
    if not found:
        raise LookupError("no index is configured, and this Python has no pip to ask for its default")
    return found


def _pip(*args: str) -> str:
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.cache
def why_index_is_silent() -> str | None:
    """Ask the configured index for a project's page; None when it answers, else why it does not."""
    try:
        url = configured_index().rstrip("/") + "/requests/"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return None if b"requests-2.7.0" in answer.read() else "it does not know requests 2.7.0"
    except (LookupError, urllib.error.URLError, OSError) as error:
        return f"{type(error).__name__}: {error}"
