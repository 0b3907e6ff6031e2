"""A full disk: exit code 3, one sentence, the old environment untouched, and the next run is right."""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.helpers import HERE_PYTHON, asks, check_environment, curl, refuses
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.wheels import make_wheel

MEGABYTES = 6


def heavy(index: IndexServer) -> None:
    """Add a wheel that is larger than the disk and cannot be compressed."""
    noise = random.Random(1).randbytes(8 << 20)
    index.add(make_wheel("heavy", "1.0", files={"heavy/__init__.py": "", "heavy/noise.bin": noise}))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a few megabytes; needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root; the limit on file sizes is tested instead")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("full", ["data", "cache", "environment"])
def test_each_folder_on_a_full_disk(
    venvery: Venvery, index: IndexServer, small_disk: Path, tmp_path: Path, full: str
) -> None:
    heavy(index)
    places = {name: tmp_path / f"roomy-{name}" for name in ("data", "cache", "environment")}
    places[full] = small_disk / full
    venvery.env |= {"VENVERY_DATA": str(places["data"]), "VENVERY_CACHE_DIR": str(places["cache"])}
    venvery("sync", "idna", places["environment"]).check()
    result = venvery("sync", "heavy", "idna", places["environment"])
    if full == "cache" and result.code == 0:
        # embedded, nothing need go through the client's store
        check_environment(places["environment"], {"heavy": "1.0", "idna": "3.7"})
        return
    refuses(result, 3, "space|disk")
    check_environment(places["environment"], {"idna": "3.7"})
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    venvery("sync", "heavy", "idna", places["environment"]).check()
    check_environment(places["environment"], {"heavy": "1.0", "idna": "3.7"})


def test_the_client_s_disk_is_full(venvery: Venvery, index: IndexServer, small_disk: Path, tmp_path: Path) -> None:
    heavy(index)
    with venvery.serve() as server:
        venvery.env |= {"VENVERY_CACHE_DIR": str(small_disk / "cache"), "VENVERY_SERVER": server.url}
        environment = small_disk / "env"
        venvery("sync", "idna", environment).check()
        refuses(venvery("sync", "heavy", "idna", environment), 3, "space|disk")
        check_environment(environment, {"idna": "3.7"})
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        venvery("sync", "heavy", "idna", environment).check()
        check_environment(environment, {"heavy": "1.0", "idna": "3.7"})


def test_the_server_s_disk_is_full(venvery: Venvery, index: IndexServer, small_disk: Path, tmp_path: Path) -> None:
    heavy(index)
    with venvery.serve("--data", small_disk / "data") as server:
        url = f"{server.url}/v1/environments?python={HERE_PYTHON}&prefix=/srv/e"
        arguments = ("-H", "Accept: application/x-tar+gzip", "--data-binary")
        curl(tmp_path, url, *arguments, f"@{asks(tmp_path, 'heavy')}").problem(507, "space|disk")
        assert curl(tmp_path, url, *arguments, f"@{asks(tmp_path, 'idna')}").status == 200
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        assert curl(tmp_path, url, *arguments, f"@{asks(tmp_path, 'heavy')}").status == 200
        assert "Traceback" not in server.said


def test_a_limit_on_file_sizes(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Works without root: no file may grow beyond a megabyte."""
    heavy(index)
    environment = tmp_path / "env"
    venvery("sync", "idna", environment).check()
    done = subprocess.run(
        venvery.command("sync", "heavy", "idna", environment),
        env=venvery.env,
        cwd=venvery.cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    check_environment(environment, {"idna": "3.7"})
    venvery("sync", "heavy", "idna", environment).check()
    check_environment(environment, {"heavy": "1.0", "idna": "3.7"})
