"""Runs the program as people do: a process of its own in a clean environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.index_server import closed_port

__all__ = ["Result", "ServerProcess", "Venvery", "clean_environment"]

_KEPT = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH"),
    # whom this machine trusts is no setting of a person
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


def clean_environment(home: Path, **further: str) -> dict[str, str]:
    """Make an environment into which nothing of the person's own settings leaks.

    No pip or uv configuration, no proxies, no `PYTHON*`, and a home folder of its own.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "PYTHONUTF8": "1",
        **further,
    }


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished command said."""

    args: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    seconds: float

    def check(self, code: int = 0) -> Result:
        """Insist on an exit code; fails with everything that the command said."""
        assert self.code == code, f"exit {self.code}, not {code}\n{self}"
        return self

    def __str__(self) -> str:
        return f"$ venvery {' '.join(self.args)}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"


class Venvery:
    """The command `venvery`, with folders of its own below `folder`."""

    def __init__(self, folder: Path, *, index_url: str | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.cache = folder / "cache"
        self.cwd = folder / "work"
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.env = clean_environment(
            folder / "home", VENVERY_DATA=str(self.data), VENVERY_CACHE_DIR=str(self.cache), **_database()
        )
        if index_url is not None:
            self.env["VENVERY_INDEX_URL"] = index_url

    def __call__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float = 120,
    ) -> Result:
        """Run a command to its end."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*args),
            env={**self.env, **(env or {})},
            cwd=cwd or self.cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        words = tuple(map(str, args))
        return Result(words, done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def start(
        self, *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, so that it can be killed with its children."""
        return subprocess.Popen(
            self.command(*args),
            env={**self.env, **(env or {})},
            cwd=cwd or self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    @staticmethod
    def command(*args: str | Path) -> list[str]:
        """Give the whole command line."""
        return [sys.executable, "-m", "venvery", *map(str, args)]

    def serve(self, *args: str | Path, env: Mapping[str, str] | None = None) -> ServerProcess:
        """Start `venvery serve` on a free port and wait until it is ready."""
        return ServerProcess(self, args, env=env)


def _database() -> dict[str, str]:
    """Name a database of its own, where the tests are to run on PostgreSQL: `VENVERY_TEST_POSTGRES=1`."""
    if not os.environ.get("VENVERY_TEST_POSTGRES"):
        return {}
    from tests.support.postgres import shared_server

    return {"VENVERY_DATABASE": shared_server().new_database()}


class ServerProcess:
    """A running `venvery serve`; ends with `close()` or the end of `with`, by its pid."""

    def __init__(
        self, venvery: Venvery, args: Sequence[str | Path] = (), *, env: Mapping[str, str] | None = None
    ) -> None:
        self.port = closed_port()
        self.log = venvery.folder / f"serve-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                venvery.command("serve", "--host", "127.0.0.1", "--port", str(self.port), *args),
                env={**venvery.env, **(env or {})},
                cwd=venvery.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """Everything that the server wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"venvery serve ended with {self.process.returncode}\n{self.said}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        self.close()
        raise AssertionError(f"venvery serve was not ready after {seconds:.0f} s\n{self.said}")

    def kill(self) -> None:
        """End the server as `kill -9` does, with its children, and wait for it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> int:
        """Ask the server to end, and give its exit code; kill it after ten seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
