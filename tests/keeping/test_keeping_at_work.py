"""Pruning beside a real server: nothing that is being streamed goes, and what went comes back."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import HERE_PYTHON
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel

WHEELS, MEGABYTES = 8, 2
NAMES = [f"bulky{number}" for number in range(WHEELS)]
BODY = {"requirements": NAMES, "target": {"python": HERE_PYTHON, "platform": "linux-x86_64"}}


@pytest.fixture
def bulky(index: IndexServer) -> None:
    """Add wheels that do not compress, more of them than the sockets hold on the way."""
    for number, name in enumerate(NAMES):
        noise = random.Random(number).randbytes(MEGABYTES << 20)
        index.add(make_wheel(name, "1.0", files={f"{name}/__init__.py": "", f"{name}/noise.bin": noise}))


def manifest(server: ServerProcess, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.url}/v1/environments", json.dumps(body).encode(), {"Accept": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def archive(server: ServerProcess, key: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}/v1/environments/{key}.tar.zst?prefix=/srv/e", timeout=60) as answer:
        return bytes(answer.read())


def pruned(venvery: Venvery, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(venvery("prune", "--json", *args).check().stdout)
    return found


def fsck(venvery: Venvery, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(venvery("fsck", "--json", *args).check().stdout)
    return found


@pytest.mark.usefixtures("bulky")
def test_pruning_while_twenty_clients_stream(venvery: Venvery, index: IndexServer) -> None:
    with venvery.serve() as server:
        key = manifest(server, BODY)["key"]
        reference = archive(server, key)
        begun, go = threading.Barrier(21), threading.Event()
        got: list[bytes] = []

        def download() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            with contextlib.closing(connection):
                connection.request("GET", f"/v1/environments/{key}.tar.zst?prefix=/srv/e")
                answer = connection.getresponse()
                start = answer.read(1000)
                begun.wait(60)
                go.wait(60)
                got.append(start + answer.read())

        clients = [threading.Thread(target=download) for _ in range(20)]
        for client in clients:
            client.start()
        begun.wait(60)
        said = pruned(venvery, "--max-size", "0")
        assert said["kept_in_use"] >= WHEELS
        assert {one["kind"] for one in said["removed"]} >= {"file"}
        go.set()
        for client in clients:
            client.join(60)
        assert len(got) == 20
        assert all(data == reference for data in got)
        deadline = time.monotonic() + 10
        while pruned(venvery, "--max-size", "0")["kept_in_use"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any((venvery.data / "blobs" / "sha256").rglob("??????*"))
        assert fsck(venvery, "--deep")["environments_to_be_made_anew"] == 1
        # and now the environment is asked for again, by its key alone
        index.forget()
        assert archive(server, key) == reference
        assert len(index.asked("/files/bulky*.whl", "GET")) >= WHEELS
    assert "Traceback" not in server.said
    assert fsck(venvery, "--deep")["environments_to_be_made_anew"] == 0


@pytest.mark.usefixtures("bulky")
def test_a_client_that_goes_away_lets_go(venvery: Venvery) -> None:
    with venvery.serve() as server:
        key = manifest(server, BODY)["key"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", f"/v1/environments/{key}.tar.zst?prefix=/srv/e")
        answer = connection.getresponse()
        answer.read(1000)
        assert len(leases(venvery)) == 1
        answer.close()
        connection.close()
        deadline = time.monotonic() + 10
        while leases(venvery) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert leases(venvery) == []
        for method in ("HEAD", "GET"):  # nothing is kept for what is not sent either
            connection.request(
                method, f"/v1/environments/{key}.tar.zst?prefix=/srv/e", headers={"Range": "bytes=999999999-"}
            )
            connection.getresponse().read()
        connection.close()
        assert leases(venvery) == []


def leases(venvery: Venvery) -> list[str]:
    return [path.name for path in (venvery.data / "blobs" / "leases").iterdir() if path.name != "gate"]


def test_a_lock_from_elsewhere_does_not_come_back_from_its_own_urls(venvery: Venvery, index: IndexServer) -> None:
    """A layer that is there needs no source; once it is removed, the sources alone say where its wheel is."""
    with venvery.serve() as server:
        body = BODY | {"requirements": ["idna<3"]}
        request = urllib.request.Request(
            f"{server.url}/v1/resolve", json.dumps(body).encode(), {"Accept": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            lock = json.load(answer)
        key = manifest(server, body)["key"]
        for package in lock["pins"]:
            for file in package["files"]:
                file["url"] = f"{index.origin}/stolen/{file['filename']}"
        assert manifest(server, {"lock": lock})["key"] == key
        pruned(venvery, "--max-size", "0")
        index.forget()
        archive(server, key)
        assert index.asked("/files/idna*")
        assert not index.asked("/stolen/*")


@pytest.mark.usefixtures("bulky")
def test_the_server_keeps_within_its_size(venvery: Venvery) -> None:
    """Two environments at a time fit; those that were not asked for longest go, and come back when asked for."""
    most = 14 << 20
    with venvery.serve("--max-size", str(most)) as server:
        keys = [manifest(server, BODY | {"requirements": [name]})["key"] for name in NAMES]
        for path in (venvery.data / "blobs" / "sha256").rglob("??????*"):
            age(path, 3600)
        manifest(server, BODY | {"requirements": ["idna<3"]})
        deadline = time.monotonic() + 20
        while size(venvery.data) > most and time.monotonic() < deadline:
            time.sleep(0.1)
        assert size(venvery.data) <= most
        assert len(archive(server, keys[0])) > MEGABYTES << 20
    assert "Traceback" not in server.said
    assert fsck(venvery)["ok"]


def age(path: Path, seconds: float) -> None:
    import os

    then = time.time() - seconds
    os.utime(path, (then, then))


def size(data: Path) -> int:
    files = [*(data / "blobs").rglob("*"), data / "venvery.sqlite"]
    total = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def test_embedded_sync_keeps_within_its_size(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "venvery.toml").write_text(f'max-size = "0 MB"\n[[sources]]\nname = "here"\nurl = "{index.url}"\n')
    args = ("--config", str(tmp_path / "venvery.toml"))
    venvery("sync", *args, "requests>=2.7", tmp_path / "env").check()
    before = list((venvery.data / "blobs" / "sha256").rglob("??????*"))
    assert before  # what was just used stays, for moments
    for path in before:
        age(path, 3600)
    venvery("sync", *args, "django>=1.8", tmp_path / "env2").check()
    assert not any(path.exists() for path in before)
    assert fsck(venvery)["ok"]


@pytest.mark.parametrize("moment", [0.5, 0.9])
def test_kill_during_prune(venvery: Venvery, tmp_path: Path, moment: float) -> None:
    venvery("sync", "django>=1.8", "requests>=2.7", tmp_path / "env").check()
    whole = venvery("prune", "--max-size", "0", "--dry-run").check().seconds
    process = venvery.start("prune", "--max-size", "0")
    time.sleep(whole * moment)
    process.kill()
    process.communicate(timeout=20)
    report = fsck(venvery)
    assert report["problems"] == []
    venvery("sync", "django>=1.8", "requests>=2.7", "--upgrade", tmp_path / "env2").check()
    assert fsck(venvery, "--deep")["problems"] == []


def test_what_the_commands_say(venvery: Venvery, tmp_path: Path) -> None:
    refused = venvery("prune").check(2)
    assert "is no data folder" in refused.stderr
    venvery("sync", "idna<3", tmp_path / "env", "--no-bytecode").check()
    shown = venvery("prune", "--max-size", "0", "--dry-run").check()
    assert "idna 2.10 for " in shown.stdout
    assert "idna-2.10-py3-none-any.whl" in shown.stdout
    assert "would remove 1 layer (" in shown.stderr
    done = venvery("prune", "--max-size", "0").check()
    assert done.stdout == ""
    assert "removed 1 layer (" in done.stderr
    assert "1 of the environments will be made anew" in venvery("fsck").check().stderr
    assert "is not a size" in venvery("prune", "--max-size", "lots").check(2).stderr
    (venvery.data / "blobs" / "sha256" / "stranger").write_text("")
    assert venvery("fsck").check(1).stdout.startswith("stranger: ")
