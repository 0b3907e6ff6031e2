"""`kill -9` at any moment leaves nothing that the next run trusts wrongly."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.helpers import HERE_PYTHON, SIGNED, TINY, asks, check_environment, installed, members, strays
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.wheels import make_wheel

OLD = ("everything", "idna<3")
OLD_HOLDS = {"everything": "1.0", "idna": "2.10"}
NEW = ("django>=1.8", "requests>=2.7", "bulky")
NEW_HOLDS = TINY | {"bulky": "1.0"}
MOMENTS = (0.2, 0.45, 0.65, 0.85)
"""Fractions of an undisturbed run's time."""


def bulky(index: IndexServer) -> None:
    """Add a wheel of many files, so that there is something to interrupt."""
    files = {f"bulky/module{number}.py": f"VALUE = {number}\n" * 40 for number in range(300)}
    index.add(make_wheel("bulky", "1.0", files={"bulky/__init__.py": "", **files}))


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and its children as `kill -9` does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)


def duration(venvery: Venvery, *args: str | Path) -> float:
    return venvery(*args).check().seconds


@pytest.mark.parametrize("store", ["cold", "warm"])
def test_during_sync(venvery: Venvery, index: IndexServer, tmp_path: Path, store: str) -> None:
    bulky(index)
    environment = tmp_path / "env"
    whole = duration(venvery, "sync", *NEW, "--data", tmp_path / "probe", tmp_path / "probe-env")
    if store == "warm":
        venvery("sync", *NEW, tmp_path / "warm-env").check()
    for moment in MOMENTS:
        venvery("sync", *OLD, environment).check()
        folders = ("--data", tmp_path / f"data-{moment}") if store == "cold" else ()
        process = venvery.start("sync", *NEW, *folders, environment)
        time.sleep(whole * moment)
        kill(process)
        holds = installed(environment)  # it works, whichever of the two it is
        assert holds in (OLD_HOLDS, NEW_HOLDS)
        check_environment(environment, holds)
        venvery("sync", *NEW, *folders, environment).check()
        check_environment(environment, NEW_HOLDS)
    expected = {"env", "probe", "probe-env", "warm-env", "data", "cache", "home", "work"}
    left = [
        name for name in strays(tmp_path) if name not in expected and not name.startswith(("data-", "home-of"))
    ]
    assert left == []


def test_during_the_first_sync(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Nothing was there before: afterwards there is nothing, or the whole."""
    bulky(index)
    environment = tmp_path / "env"
    whole = duration(venvery, "sync", *NEW, tmp_path / "probe-env")
    for moment in MOMENTS:
        subprocess.run(["rm", "-rf", str(environment)], check=True)
        process = venvery.start("sync", *NEW, environment)
        time.sleep(whole * moment)
        kill(process)
        if environment.exists():
            check_environment(environment, NEW_HOLDS)
        venvery("sync", *NEW, environment).check()
        check_environment(environment, NEW_HOLDS)


def test_while_files_are_on_their_way(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Killed at a moment that is sure to lie in a download; what was fetched is checked or fetched again."""
    bulky(index)
    fault = index.fault("/files/bulky*.whl", "drip", seconds=20)
    process = venvery.start("sync", *NEW, tmp_path / "env")
    deadline = time.monotonic() + 20
    while not index.asked("/files/bulky*.whl", "GET") and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    kill(process)
    fault.left = 0
    assert not (tmp_path / "env").exists()
    venvery("sync", *NEW, tmp_path / "env").check()
    check_environment(tmp_path / "env", NEW_HOLDS)


@pytest.mark.parametrize("moment", MOMENTS[::2])
def test_during_serve(venvery: Venvery, index: IndexServer, tmp_path: Path, moment: float) -> None:
    bulky(index)
    wanted = asks(tmp_path, *NEW)
    with venvery.serve("--data", tmp_path / "probe") as probe:
        started = time.monotonic()
        stream(probe.url, wanted, tmp_path / "probe.tgz").wait(60)
        whole = time.monotonic() - started
    reference = members(gzip.decompress((tmp_path / "probe.tgz").read_bytes()), but=SIGNED)
    with venvery.serve() as server:
        request = stream(server.url, wanted, tmp_path / "cut.tgz")
        time.sleep(whole * moment)
        server.kill()
        request.wait(30)
    with venvery.serve() as again:
        assert stream(again.url, wanted, tmp_path / "again.tgz").wait(60) == 0
        archive = gzip.decompress((tmp_path / "again.tgz").read_bytes())
        assert members(archive, but=SIGNED) == reference


def stream(url: str, wanted: Path, output: Path) -> subprocess.Popen[bytes]:
    query = f"python={HERE_PYTHON}&prefix=/srv/e"
    accept = "Accept: application/x-tar+gzip"
    return subprocess.Popen(
        [
            "curl",
            "-sf",
            "--data-binary",
            f"@{wanted}",
            "-H",
            accept,
            "-o",
            str(output),
            f"{url}/v1/environments?{query}",
        ]
    )


def test_a_server_killed_under_a_client(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """The client says what happened, leaves the old environment, and goes on when the server is back."""
    bulky(index)
    environment = tmp_path / "env"
    venvery("sync", *OLD, environment).check()
    index.fault("/files/bulky*.whl", "drip", seconds=20)
    with venvery.serve() as server:
        process = venvery.start("sync", "--server", server.url, *NEW, environment)
        deadline = time.monotonic() + 20
        while not index.asked("/files/bulky*.whl", "GET") and time.monotonic() < deadline:
            time.sleep(0.02)
        server.kill()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "Traceback" not in said
    check_environment(environment, OLD_HOLDS)
    index.heal()
    with venvery.serve() as server:
        venvery("sync", "--server", server.url, *NEW, environment).check()
    check_environment(environment, NEW_HOLDS)


def test_interrupted_by_hand(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Ctrl-C ends it at once, without a traceback and without a trace."""
    index.fault("/simple/*", "stall", seconds=20)
    process = venvery.start("sync", *OLD, tmp_path / "env")
    deadline = time.monotonic() + 20
    while not index.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said
    assert not (tmp_path / "env").exists()
