"""The index that this machine's pip is configured for, and whether it answers."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import urllib.error
import urllib.request

__all__ = ["configured_index", "why_not"]


@functools.cache
def configured_index() -> str:
    """Give the index to use, as the program finds it: its own variable, pip's settings, pip's default."""
    for name in ("VENVERY_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    for setting in ("install.index-url", "download.index-url", "global.index-url"):
        found = _ask_pip("-m", "pip", "config", "get", setting)
        if found:
            return found
    found = _ask_pip("-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
    if not found:
        raise LookupError("no index is configured, and this Python has no pip to ask for its default")
    return found


def _ask_pip(*args: str) -> str:
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.cache
def why_not() -> str | None:
    """Ask the configured index for a project's page; None when it answers, else why it does not."""
    try:
        url = configured_index().rstrip("/") + "/requests/"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return None if b"requests-2.7.0" in answer.read() else "it does not know requests 2.7.0"
    except (LookupError, urllib.error.URLError, OSError) as error:
        return f"{type(error).__name__}: {error}"
