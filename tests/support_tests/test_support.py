"""The tools that other tests rest on do what they say."""

from __future__ import annotations

import http.client
import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.conftest import ServeIndex
from tests.support.index_server import IndexServer, Settings
from tests.support.running import clean_environment
from tests.support.sdists import BrokenSdist, make_sdist
from tests.support.tiny import tiny_world
from tests.support.wheels import BrokenWheel, make_wheel
from tests.support.world import World


def get(url: str, **headers: str) -> Any:
    request = urllib.request.Request(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_pip_installs_the_tiny_world_from_every_form_of_index(index: IndexServer, tmp_path: Path) -> None:
    tree = index.world.write_tree(tmp_path / "tree", pep658="on")
    flat = index.world.write_flat(tmp_path / "flat")
    expected = {
        *("django-5.2", "asgiref-3.8.1", "sqlparse-0.5.3", "requests-2.32.3", "idna-3.7", "certifi-2024.7.4"),
        *("charset_normalizer-3.3.2", "pysocks-1.7.1", "everything-1.0"),
    }
    sources = [
        (["--index-url", index.url], "urllib3-2.2.0"),
        (["--index-url", tree.as_uri()], "urllib3-2.2.0"),
        (["--no-index", "--find-links", str(flat)], "urllib3-2.9.0"),  # a flat folder cannot say "yanked"
    ]
    for number, (source, urllib3) in enumerate(sources):
        target = tmp_path / f"installed{number}"
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(target)]
        done = subprocess.run(
            [*command, *source, "django>=1.8", "requests[socks]>=2.7", "everything"],
            env=clean_environment(tmp_path / "home"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        installed = {path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info")}
        assert installed == expected | {urllib3}


def test_pip_builds_the_sdists(tmp_path: Path) -> None:
    for file in (make_sdist("a", "1.0"), make_sdist("b", "1.0", static=False, requires=["a"])):
        file.write_to(tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--find-links", str(tmp_path), "b"]
    subprocess.run([*command, "-w", str(tmp_path / "built")], env=clean_environment(tmp_path / "home"), check=True)
    assert sorted(path.name for path in (tmp_path / "built").iterdir()) == [
        "a-1.0-py3-none-any.whl",
        "b-1.0-py3-none-any.whl",
    ]


def test_files_are_the_same_bytes_every_time() -> None:
    assert [file.sha256 for file in tiny_world().files] == [file.sha256 for file in tiny_world().files]


@pytest.mark.parametrize("defect", sorted(set(get_args(BrokenWheel)) - {"zip-bomb"}))
def test_each_broken_wheel_differs_from_the_good_one(defect: BrokenWheel) -> None:
    assert make_wheel("a", "1.0", broken=[defect]).data != make_wheel("a", "1.0").data


@pytest.mark.parametrize("defect", get_args(BrokenSdist))
def test_each_broken_sdist_differs_from_the_good_one(defect: BrokenSdist) -> None:
    assert make_sdist("a", "1.0", broken=[defect]).data != make_sdist("a", "1.0").data


def test_parent_members_survive_the_zip_library() -> None:
    names = zipfile.ZipFile(
        io.BytesIO(make_wheel("a", "1.0", broken=["parent-member", "absolute-member"]).data)
    ).namelist()
    assert "../escaped.txt" in names
    assert "/tmp/venvery-escaped.txt" in names


def test_negotiation(index: IndexServer) -> None:
    page = f"{index.url}idna/"
    assert get(page)[1]["Content-Type"].startswith("text/html")
    old_and_new = (
        "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
    )
    status, headers, body = get(page, Accept=old_and_new)
    assert (status, headers["Content-Type"]) == (200, "application/vnd.pypi.simple.v1+json")
    assert [file["filename"] for file in json.loads(body)["files"]] == [
        "idna-2.10-py3-none-any.whl",
        "idna-3.7-py3-none-any.whl",
    ]
    index.settings.formats = "html"
    assert get(page, Accept=old_and_new)[1]["Content-Type"].startswith(
        ("text/html", "application/vnd.pypi.simple.v1+html")
    )


def test_revalidation_ends_with_a_change(index: IndexServer) -> None:
    page = f"{index.url}idna/"
    _, headers, _ = get(page)
    assert get(page, If_None_Match=headers["ETag"])[0] == 304
    assert get(page, If_Modified_Since=headers["Last-Modified"])[0] == 304
    index.add(make_wheel("idna", "3.8"))
    assert get(page, If_None_Match=headers["ETag"])[0] == 200
    assert get(page, If_Modified_Since=headers["Last-Modified"])[0] == 200
    index.remove("idna-3.8-py3-none-any.whl")
    assert get(page, If_Modified_Since=headers["Last-Modified"])[0] == 200


def test_ranges(index: IndexServer) -> None:
    wheel = index.world.files[0]
    url = f"{index.origin}/files/{wheel.filename}"
    status, headers, body = get(url, Range="bytes=-100")
    assert (status, body) == (206, wheel.data[-100:])
    assert headers["Content-Range"] == f"bytes {len(wheel.data) - 100}-{len(wheel.data) - 1}/{len(wheel.data)}"
    assert get(url, Range="bytes=0-9")[2] == wheel.data[:10]
    assert get(url, Range="bytes=999999-")[0] == 416
    index.settings.ranges = "no-suffix"
    assert get(url, Range="bytes=-100")[0] == 416
    index.settings.ranges = "ignored"
    assert get(url, Range="bytes=0-9")[::2] == (200, wheel.data)


def test_metadata_files(index: IndexServer) -> None:
    url = f"{index.origin}/files/idna-3.7-py3-none-any.whl.metadata"
    assert b"Name: idna" in get(url)[2]
    index.settings.pep658 = "off"
    assert get(url)[0] == 404


def test_one_connection_serves_many_requests(index: IndexServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", index.port, timeout=10)
    for name in ("idna", "certifi", "nothing"):
        connection.request("GET", f"/simple/{name}/")
        connection.getresponse().read()
    connection.close()
    assert {request.connection for request in index.requests} == {1}
    assert [request.status for request in index.requests] == [200, 200, 404]


def test_faults(index: IndexServer) -> None:
    page = f"{index.url}idna/"
    index.fault("/simple/idna/", "status", status=429, times=1, retry_after="1")
    status, headers, _ = get(page)
    assert (status, headers["Retry-After"]) == (429, "1")
    assert get(page)[0] == 200
    index.fault("/simple/*", "reset", times=1)
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        get(page)
    index.fault("/simple/*", "truncate", after=20, times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(page)
    assert len(caught.value.partial) == 20
    index.fault("/simple/*", "stall", seconds=0.3, times=1)
    started = time.monotonic()
    assert get(page)[0] == 200
    assert time.monotonic() - started > 0.25
    index.fault("/simple/*", "garbage", times=1)
    assert b"Wi-Fi" in get(page)[2]
    good = get(page)[2]
    index.fault("/simple/*", "corrupt", times=1)
    assert get(page)[2] != good
    index.fault("/simple/idna/", "redirect", location="/simple/certifi/", times=1)
    assert b"certifi" in get(page)[2]
    assert get(page)[0] == 200


def test_credentials(serve_index: ServeIndex) -> None:
    index = serve_index(World([make_wheel("a", "1.0")]), settings=Settings(credentials=("me", "secret")))
    assert get(index.url)[0] == 401
    assert get(index.url, Authorization="Basic bWU6c2VjcmV0")[0] == 200


def test_stop_and_start_keep_the_port(index: IndexServer) -> None:
    port = index.port
    index.close()
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        get(index.url)
    index.start()
    assert index.port == port
    assert get(index.url)[0] == 200
