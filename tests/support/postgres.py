"""A real PostgreSQL server of the tests' own: a fresh cluster on a free port of 127.0.0.1."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.index_server import closed_port

__all__ = ["PostgresServer", "find_postgres", "shared_server"]

_OWNERS = ("postgres", "nobody")
"""Who runs the server when the tests run as root: it refuses to be root."""


def find_postgres() -> Path | None:
    """Find the folder with `initdb` and `pg_ctl`."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    beside = shutil.which("initdb")
    for folder in [*reversed(folders), *([Path(beside).parent] if beside else [])]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


class PostgresServer:
    """A server that is running; ends with `close()` or the end of `with`."""

    def __init__(self) -> None:
        found = find_postgres()
        assert found is not None, "find_postgres tells whether there is one"
        self._programs = found
        self._home = Path(tempfile.mkdtemp(prefix="venvery-postgres-"))
        self._numbers = itertools.count()
        self.port = closed_port()
        owner = next((name for name in _OWNERS if os.geteuid() == 0 and _exists(name)), None)
        self._as = (
            ["setpriv", f"--reuid={owner}", f"--regid={pwd.getpwnam(owner).pw_gid}", "--clear-groups"]
            if owner
            else []
        )
        if owner:
            shutil.chown(self._home, owner)
        self._run("initdb", "-D", self._home / "data", "-U", "venvery", "--auth=trust", "-E", "UTF8", "--no-sync")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", self._home / "data", "-w", "-l", self._home / "log", "-o", options, "start")

    def new_database(self) -> str:
        """Make an empty database, and give its URL."""
        name = f"test_{next(self._numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "venvery", name)
        return f"postgresql://venvery@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Stop the server, and remove what it wrote."""
        self._run("pg_ctl", "-D", self._home / "data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, program: str, *args: object) -> None:
        command = [*self._as, str(self._programs / program), *map(str, args)]
        done = subprocess.run(
            command,
            cwd=self._home,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server keeps it open
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


@functools.cache
def shared_server() -> PostgresServer:
    """Give one server for all tests of this process; it ends with the process."""
    server = PostgresServer()
    atexit.register(server.close)
    return server


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
