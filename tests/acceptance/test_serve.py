"""`venvery serve`: one request with curl, and tar makes the environment."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import shutil
import subprocess
import tarfile
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.acceptance.helpers import (
    HERE_PYTHON,
    SIGNED,
    TINY,
    Answer,
    asks,
    check_environment,
    curl,
    members,
    run_python,
)
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery, clean_environment

JSON = ("-H", "Content-Type: application/json")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a person types it, with pipefail, in a clean environment."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env=clean_environment(folder / "home"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fetch(server: ServerProcess, folder: Path, prefix: Path, accept: str = "application/x-tar+gzip") -> Answer:
    query = f"python={HERE_PYTHON}&prefix={prefix}"
    return curl(
        folder,
        f"{server.url}/v1/environments?{query}",
        *("--data-binary", f"@{asks(folder)}", "-H", f"Accept: {accept}"),
    )


def manifest(server: ServerProcess, folder: Path, prefix: Path) -> Answer:
    return fetch(server, folder, prefix, "application/json")


def layer_digests(answer: Answer) -> list[str]:
    """Give the digests of the layers that a manifest names, in its order."""
    return [layer["digest"] for layer in answer.json()["layers"]]


def test_curl_and_tar_make_an_environment(shared_server: ServerProcess, tmp_path: Path) -> None:
    asks(tmp_path)
    environment = tmp_path / "e"
    environment.mkdir()
    line = (
        "curl -sf --data-binary @requirements.txt -H 'Accept: application/x-tar+gzip' "
        f"'{shared_server.url}/v1/environments?python={HERE_PYTHON}&prefix={environment}' "
        f"| tar -xz -C {environment}"
    )
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    check_environment(environment, TINY)
    done = shell("e/bin/python -c 'import django, requests' && e/bin/django-admin --version", tmp_path)
    assert (done.returncode, done.stdout) == (0, "5.2\n"), done.stderr
    done = shell(". e/bin/activate && command -v django-admin && echo $VIRTUAL_ENV", tmp_path)
    assert done.stdout.splitlines() == [f"{environment}/bin/django-admin", str(environment)], done.stderr


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the tool zstd is not on this machine")
def test_zstd_streams_through_tar(shared_server: ServerProcess, tmp_path: Path) -> None:
    asks(tmp_path)
    environment = tmp_path / "e"
    environment.mkdir()
    line = (
        "curl -sf --data-binary @requirements.txt -H 'Accept: application/x-tar+zstd' "
        f"'{shared_server.url}/v1/environments?python={HERE_PYTHON}&prefix={environment}' "
        f"| tar --zstd -x -C {environment}"
    )
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    check_environment(environment, TINY)


def test_both_forms_hold_the_same_members(shared_server: ServerProcess, tmp_path: Path) -> None:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd

    packed = fetch(shared_server, tmp_path, tmp_path / "e", "application/x-tar+zstd")
    assert packed.headers["content-type"] == "application/x-tar+zstd"
    by_zstd = zstd.decompress(packed.body)
    by_gzip = gzip.decompress(fetch(shared_server, tmp_path, tmp_path / "e").body)
    # what is told of the environment itself names the form it came in
    told = (".venvery/head.json", ".venvery/manifest.json", ".venvery/provenance.json")
    assert members(by_zstd, but=told) == members(by_gzip, but=told)
    with tarfile.open(fileobj=io.BytesIO(by_gzip)) as archive:
        for member in archive:
            assert not member.name.startswith("/")
            assert ".." not in member.name.split("/")
            assert member.isfile() or member.isdir() or member.issym()
            assert (member.uid, member.gid) == (0, 0)


def test_a_second_prefix_reuses_every_layer(server: ServerProcess, index: IndexServer, tmp_path: Path) -> None:
    first = manifest(server, tmp_path, tmp_path / "one")
    assert first.status == 200
    assert len(set(layer_digests(first))) == 2 * len(TINY)  # a wheel's files, and their bytecode
    index.forget()
    second = manifest(server, tmp_path, tmp_path / "two")
    assert layer_digests(second) == layer_digests(first)
    archive = fetch(server, tmp_path, tmp_path / "two")
    assert archive.status == 200
    assert index.asked("/files/*") == ()
    environment = tmp_path / "two"
    environment.mkdir()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.body))) as opened:
        opened.extractall(environment, filter="tar")
    check_environment(environment, TINY)


def test_the_same_request_gets_the_same_bytes_from_any_server(
    venvery: Venvery, server: ServerProcess, tmp_path: Path
) -> None:
    here = fetch(server, tmp_path, tmp_path / "e").body
    assert fetch(server, tmp_path, tmp_path / "e").body == here
    with venvery.serve("--data", tmp_path / "another-data") as another:
        there = fetch(another, tmp_path, tmp_path / "e").body
        assert members(gzip.decompress(there), but=SIGNED) == members(gzip.decompress(here), but=SIGNED)
        digests = layer_digests(manifest(server, tmp_path, tmp_path / "e"))
        assert layer_digests(manifest(another, tmp_path, tmp_path / "e")) == digests


def test_environment_by_its_key(shared_server: ServerProcess, tmp_path: Path) -> None:
    made = manifest(shared_server, tmp_path, tmp_path / "e")
    key = made.json()["key"]
    assert curl(tmp_path, f"{shared_server.url}/v1/environments/{key}").json()["key"] == key
    archive = curl(tmp_path, f"{shared_server.url}/v1/environments/{key}.tar.gz?prefix={tmp_path}/e")
    assert archive.status == 200
    assert archive.headers["etag"]
    assert "immutable" in archive.headers["cache-control"]
    assert int(archive.headers["content-length"]) == len(archive.body)
    address = f"{shared_server.url}/v1/environments/{key}.tar.gz?prefix={tmp_path}/e"
    part = curl(tmp_path, address, "-r", "100-299")
    assert (part.status, part.body) == (206, archive.body[100:300])
    same = curl(tmp_path, address, "-H", f"If-None-Match: {archive.headers['etag']}")
    assert (same.status, same.body) == (304, b"")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.body))) as opened:
        assert any(name.endswith("site-packages/django/__init__.py") for name in opened.getnames())


def test_layers_can_be_fetched_alone(shared_server: ServerProcess, tmp_path: Path) -> None:
    for digest in layer_digests(manifest(shared_server, tmp_path, tmp_path / "e")):
        layer = curl(tmp_path, f"{shared_server.url}/v1/layers/{digest}")
        assert layer.status == 200
        assert "immutable" in layer.headers["cache-control"]
    unknown = "sha256:" + "0" * 64
    curl(tmp_path, f"{shared_server.url}/v1/layers/{unknown}").problem(404)


def test_layers_that_the_client_has_are_left_out(shared_server: ServerProcess, tmp_path: Path) -> None:
    digests = layer_digests(manifest(shared_server, tmp_path, tmp_path / "e"))
    body = {
        "requirements": ["django>=1.8", "requests>=2.7"],
        "target": {"python": HERE_PYTHON},
        "prefix": str(tmp_path / "e"),
        "have": digests[1:],
    }
    answer = curl(
        tmp_path,
        f"{shared_server.url}/v1/environments",
        *(*JSON, "-H", "Accept: application/x-tar+gzip", "-d", json.dumps(body)),
    )
    assert answer.status == 200
    whole = fetch(shared_server, tmp_path, tmp_path / "e")
    assert len(answer.body) < len(whole.body)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.body))) as opened:
        infos = {name.split("/")[-2] for name in opened.getnames() if name.endswith(".dist-info/METADATA")}
    assert len(infos) == 1


def test_resolve_speaks_every_format(shared_server: ServerProcess, tmp_path: Path) -> None:
    body = json.dumps({"requirements": ["django>=1.8", "requests>=2.7"], "target": {"python": HERE_PYTHON}})
    answers = {
        accept: curl(tmp_path, f"{shared_server.url}/v1/resolve", *(*JSON, "-H", f"Accept: {accept}", "-d", body))
        for accept in ("application/json", "application/yaml", "application/toml", "text/plain")
    }
    for accept, answer in answers.items():
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].split(";")[0] == accept
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", answers["text/plain"].body.decode(), re.MULTILINE))
    assert pins == TINY
    lock = tomllib.loads(answers["application/toml"].body.decode())
    assert {package["name"]: package["version"] for package in lock["packages"]} == TINY
    assert yaml.safe_load(answers["application/yaml"].body) == answers["application/json"].json()


def test_an_environment_from_a_lock(shared_server: ServerProcess, tmp_path: Path) -> None:
    body = json.dumps({"requirements": ["django>=1.8", "requests>=2.7"], "target": {"python": HERE_PYTHON}})
    lock = curl(
        tmp_path, f"{shared_server.url}/v1/resolve", *(*JSON, "-H", "Accept: application/json", "-d", body)
    )
    wanted = json.dumps({"lock": lock.json(), "prefix": str(tmp_path / "e")})
    made = curl(
        tmp_path, f"{shared_server.url}/v1/environments", *(*JSON, "-H", "Accept: application/json", "-d", wanted)
    )
    assert made.status == 200, made.body
    assert layer_digests(made) == layer_digests(manifest(shared_server, tmp_path, tmp_path / "e"))


def test_the_interpreter_can_be_named(shared_server: ServerProcess, tmp_path: Path) -> None:
    """The environment's Python is the one that the client says it has."""
    base = Path(run_python_base())
    body = {
        "requirements": ["idna"],
        "target": {"python": HERE_PYTHON},
        "prefix": str(tmp_path / "e"),
        "python": str(base),
    }
    answer = curl(
        tmp_path,
        f"{shared_server.url}/v1/environments",
        *(*JSON, "-H", "Accept: application/x-tar+gzip", "-d", json.dumps(body)),
    )
    assert answer.status == 200, answer.body
    (tmp_path / "e").mkdir()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.body))) as opened:
        opened.extractall(tmp_path / "e", filter="fully_trusted")
    check_environment(tmp_path / "e", {"idna": "3.7"})
    assert f"home = {base.parent}" in (tmp_path / "e/pyvenv.cfg").read_text()
    assert run_python(tmp_path / "e", "-c", "import sys; print(sys.base_prefix)") == str(base.parent.parent)


def run_python_base() -> str:
    """Give the interpreter that this one's virtualenv was made from."""
    import os
    import sys

    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def test_it_is_an_ordinary_server(shared_server: ServerProcess) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        with urllib.request.urlopen(shared_server.url + path, timeout=10) as answer:
            assert answer.status == 200


def test_resolving_many_at_once(server: ServerProcess, index: IndexServer, tmp_path: Path) -> None:
    """Twenty clients ask for the same on an empty data folder: each file is fetched once."""
    asks(tmp_path)
    line = (
        "curl -sf --data-binary @requirements.txt -H 'Accept: application/x-tar+gzip' "
        f"'{server.url}/v1/environments?python={HERE_PYTHON}&prefix=/tmp/e' -o "
    )
    parallel = " & ".join(line + shlex.quote(f"{tmp_path}/{number}.tgz") for number in range(20)) + " & wait"
    done = shell(parallel, tmp_path)
    assert done.returncode == 0
    archives = {(tmp_path / f"{number}.tgz").read_bytes() for number in range(20)}
    assert len(archives) == 1
    wheels = [request.path for request in index.asked("/files/*.whl", "GET") if request.status == 200]
    assert sorted(wheels) == sorted(set(wheels))


def test_it_ends_when_asked(server: ServerProcess) -> None:
    assert server.close() in (0, -15)
    assert "Traceback" not in server.said
