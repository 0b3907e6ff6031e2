"""What goes wrong on the way: nothing is half there, nothing is lost, and everyone is told plainly."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.hosted.posting import Answer, ask, form_of, listed, post
from tests.support.running import ServerProcess, Venvery
from tests.support.sdists import make_sdist
from tests.support.wheels import BuiltFile, make_wheel

OPEN = ("--no-index", "--anonymous", "read,resolve,upload")


@pytest.fixture
def venvery(tmp_path: Path) -> Venvery:
    return Venvery(tmp_path / "v")


@pytest.fixture
def server(venvery: Venvery) -> Iterator[ServerProcess]:
    with venvery.serve(*OPEN) as server:
        yield server
    assert "Traceback" not in server.said, server.said


def noisy(size: int) -> BuiltFile:
    """Make a wheel that cannot be compressed."""
    noise = random.Random(size).randbytes(size)
    return make_wheel("acme", "1.0", files={"acme/__init__.py": "", "acme/noise.bin": noise})


def download(server: ServerProcess, project: str) -> list[bytes]:
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    page = ask(server, "GET", f"/simple/{project}/", headers=accept).json()
    return [ask(server, "GET", file["url"].removeprefix("../..")).body for file in page["files"]]


def left_behind(venvery: Venvery) -> list[Path]:
    return list((venvery.data / "blobs/incoming").iterdir())


def test_fields_may_come_in_any_order_and_the_action_in_the_query(server: ServerProcess) -> None:
    for number, first in enumerate((True, False)):
        wheel = make_wheel("acme", f"1.{number}")
        assert post(server, wheel, content_first=first, sha256_digest=wheel.sha256).status == 200
        wheel = make_wheel("acme", f"2.{number}")
        said: dict[str, str | None] = {":action": None}
        answer = post(server, wheel, path="/upload/?:action=file_upload", content_first=first, **said)
        assert answer.status == 200
    assert len(listed(server, "acme")) == 4
    assert post(server, make_wheel("acme", "3"), **{":action": "doap"}).status == 400
    assert post(server, make_wheel("acme", "3"), sha256_digest="0" * 64).status == 400
    assert post(server, make_wheel("acme", "3"), blake2_256_digest="0" * 64).status == 400
    assert post(server, make_wheel("acme", "3"), filename="../acme-3-py3-none-any.whl").status == 400
    assert ask(server, "POST", "/upload/", body=b"x=1").status == 400
    assert ask(server, "POST", "/simple/acme/", body=b"").status == 405
    assert len(listed(server, "acme")) == 4


def test_a_refusal_says_why_wherever_a_client_looks(server: ServerProcess) -> None:
    assert post(server, make_wheel("acme", "1.0")).status == 200
    other = make_wheel("acme", "1.0", files={"acme/__init__.py": "other"})
    plain = post(server, other)
    assert plain.status == 400
    assert plain.reason.startswith("File already exists: acme-1.0-py3-none-any.whl")
    assert plain.text.startswith("File already exists: acme-1.0-py3-none-any.whl")
    document = post(server, other, accept="application/json").json()
    assert document["code"] == 400
    assert document["message"].startswith("File already exists") and document["title"] == document["message"]
    problem = post(server, other, accept="application/problem+json")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:venvery:problem:file-exists"
    renamed = BuiltFile("ACME-1.0-py3-none-any.whl", other.data, other.metadata)
    assert "File already exists" in post(server, renamed).text  # the same name to every client
    assert download(server, "acme") == [make_wheel("acme", "1.0").data]
    again = make_sdist("acme", "1.0")
    assert [post(server, again).status, post(server, again).json()["new"]] == [200, False]


def test_the_same_file_ten_times_at_once(server: ServerProcess) -> None:
    wheel = noisy(300_000)
    with ThreadPoolExecutor(10) as pool:
        answers: list[Answer] = list(pool.map(lambda _n: post(server, wheel), range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    assert sum(answer.json()["new"] for answer in answers) == 1
    assert download(server, "acme") == [wheel.data]


def test_ten_different_files_under_one_name_at_once(server: ServerProcess) -> None:
    wheels = [make_wheel("acme", "1.0", files={"acme/__init__.py": f"n = {n}\n"}) for n in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda wheel: post(server, wheel), wheels))
    winners = [wheel for wheel, answer in zip(wheels, answers, strict=True) if answer.status == 200]
    assert len(winners) == 1
    assert all(answer.reason.startswith("File already") for answer in answers if answer.status != 200)
    assert download(server, "acme") == [winners[0].data]


@pytest.mark.parametrize("part", [0.2, 0.9, 0.999])
def test_a_connection_that_is_cut_publishes_nothing(server: ServerProcess, venvery: Venvery, part: float) -> None:
    body, content_type = form_of(noisy(3_000_000))
    head = (
        f"POST /upload/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body[: int(len(body) * part)])
    assert listed(server, "acme") == []
    assert post(server, noisy(3_000_000)).status == 200
    assert download(server, "acme") == [noisy(3_000_000).data]
    deadline = 100
    while left_behind(venvery) and (deadline := deadline - 1):  # the server notices the cut in its own time
        ask(server, "GET", "/healthz")
    assert left_behind(venvery) == []


def test_a_form_that_is_cut_off_publishes_nothing(server: ServerProcess) -> None:
    body, content_type = form_of(make_wheel("acme", "1.0"))
    for cut in (10, 40, 200, 1000):
        answer = ask(server, "POST", "/upload/", body=body[:-cut], headers={"Content-Type": content_type})
        assert answer.status == 400, answer
    assert listed(server, "acme") == []


def test_what_was_answered_200_survives_a_kill(venvery: Venvery) -> None:
    files = [make_wheel("acme", "1.0"), make_sdist("acme", "1.0"), noisy(500_000)]
    for file in files[:2]:
        with venvery.serve(*OPEN) as server:
            assert post(server, file).status == 200
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait(10)
    with venvery.serve(*OPEN) as server:
        assert sorted(download(server, "acme")) == sorted(file.data for file in files[:2])
    venvery("fsck", "--deep").check()


def test_what_was_uploaded_is_never_pruned(venvery: Venvery) -> None:
    wheel = noisy(500_000)
    with venvery.serve(*OPEN) as server:
        assert post(server, wheel).status == 200
    venvery("prune", "--max-size", "1", "--unused-for", "0").check()
    with venvery.serve(*OPEN) as server:
        assert download(server, "acme") == [wheel.data]
        blob = venvery.data / "blobs/sha256" / wheel.sha256[:2] / wheel.sha256[2:]
        blob.chmod(0o644)
        blob.write_bytes(b"damaged")
    result = venvery("fsck", "--deep", "--repair").check(1)  # what cannot be had again is not thrown away
    assert "damaged" in result.stdout + result.stderr
    assert blob.read_bytes() == b"damaged"
    with venvery.serve(*OPEN) as server:
        assert listed(server, "acme") == ["acme-1.0-py3-none-any.whl"]


def test_a_file_larger_than_allowed_is_refused(venvery: Venvery, tmp_path: Path) -> None:
    config = tmp_path / "venvery.toml"
    config.write_text('[limits]\nupload-bytes = 100000\n[access]\nanonymous = ["read", "upload"]\n')
    with venvery.serve("--config", config, "--no-index") as server:
        assert post(server, noisy(300_000)).status == 413
        assert post(server, make_wheel("acme", "1.0")).status == 200
        assert left_behind(venvery) == []


def test_a_full_disk_publishes_nothing_and_the_next_attempt_succeeds(venvery: Venvery, tmp_path: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        venvery.data = disk / "data"
        venvery.env["VENVERY_DATA"] = str(venvery.data)
        with venvery.serve(*OPEN) as server:
            assert post(server, make_wheel("small", "1.0")).status == 200
            full = post(server, noisy(8_000_000))
            assert (full.status, "disk" in full.text) == (507, True)
            assert (listed(server, "acme"), left_behind(venvery)) == ([], [])
            subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
            assert post(server, noisy(8_000_000)).status == 200
            assert download(server, "acme") == [noisy(8_000_000).data]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def attestation(filename: str, sha256: str) -> dict[str, object]:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": "https://attestations.example/publish/v1",
        "predicate": None,
    }
    return {
        "version": 1,
        "verification_material": {"certificate": "AAAA", "transparency_entries": []},
        "envelope": {
            "statement": base64.b64encode(json.dumps(statement).encode()).decode(),
            "signature": base64.b64encode(b"signed").decode(),
        },
    }


def test_attestations_are_served_as_provenance(server: ServerProcess) -> None:
    wheel = make_wheel("acme", "1.0")
    ours = attestation(wheel.filename, wheel.sha256)
    for wrong in ("{}", "[]", "[1]", "not json", json.dumps([attestation(wheel.filename, "0" * 64)])):
        assert post(server, wheel, attestations=wrong).status == 400
    assert listed(server, "acme") == []
    assert post(server, wheel, attestations=json.dumps([ours])).status == 200
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    file = ask(server, "GET", "/simple/acme/", headers=accept).json()["files"][0]
    place = urlsplit(urljoin(f"{server.url}/simple/acme/", file["provenance"])).path
    found = ask(server, "GET", place).json()
    assert found["attestation_bundles"][0]["attestations"] == [ours]
