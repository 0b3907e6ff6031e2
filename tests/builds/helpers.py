"""What a failed build has to say, and worlds whose builds take as long as they are told to."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.builds.hostile import hostile_sdist
from tests.support.running import Result
from tests.support.wheels import BuiltFile

__all__ = ["ask", "fails", "gated_sdist", "until"]


def fails(result: Result, said: str) -> None:
    """Insist on a clear no: what the build said is marked as such, one sentence of ours says what went wrong."""
    result.check(1)
    assert result.stdout == ""
    ours = [line for line in result.stderr.splitlines() if not line.startswith("| ")]
    assert "Traceback" not in "\n".join(ours), str(result)
    assert sum(line.startswith("error: ") for line in ours) == 1, str(result)
    assert any(line.startswith("the whole log: ") for line in ours), str(result)
    told = "\n".join(line for line in ours if line.startswith(("error: ", "hint: ")))
    assert re.search(said, told), f"no {said!r} in what it said\n{result}"


def gated_sdist(name: str, seconds: float) -> BuiltFile:
    """Make an sdist whose build takes some seconds, and says so."""
    return hostile_sdist(name, f"print('working', flush=True)\ntime.sleep({seconds})")


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is so, and give what it gave; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not after {seconds:.0f} s: {true}")


def ask(
    url: str, body: Any = None, *, method: str | None = None, data: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Ask a server; give status, headers and body, read as JSON where it is."""
    sent = json.dumps(body).encode() if body is not None else data
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, sent, {"Accept": "application/json", **named}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            raw, status, got = answer.read(), answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        raw, status, got = error.read(), error.code, dict(error.headers)
    lower = {name.lower(): value for name, value in got.items()}
    if "json" in lower.get("content-type", ""):
        return status, lower, json.loads(raw)
    return status, lower, raw


def wheels_in(data: Path) -> list[bytes]:
    """Give the bytes of all wheels among the blobs."""
    blobs = [path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file()]
    return [blob for blob in blobs if blob.startswith(b"PK") and b".dist-info/RECORD" in blob]
