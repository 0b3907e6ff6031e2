"""Bad input gets one clear sentence, the right exit code or problem+json, and nothing half-written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.helpers import HERE_PYTHON, asks, curl, refuses, strays
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel

JSON = ("-H", "Content-Type: application/json")


def test_an_unknown_project(venvery: Venvery, tmp_path: Path) -> None:
    refuses(venvery("resolve", "no-such-project"), 1, "no-such-project")
    refuses(venvery("sync", "django", "no-such-project", tmp_path / "env"), 1, "no-such-project")
    assert not (tmp_path / "env").exists()


def test_an_unknown_dependency_says_who_wants_it(venvery: Venvery, index: IndexServer) -> None:
    index.add(make_wheel("lonely", "1.0", requires=["not-there>=2"]))
    refuses(venvery("resolve", "lonely"), 1, "lonely", "not-there")


def test_a_malformed_requirement_names_line_and_column(venvery: Venvery, tmp_path: Path) -> None:
    wanted = asks(tmp_path, "# a comment", "django>=1.8", "requests>>2.7", "idna")
    refuses(venvery("resolve", "-r", wanted), 2, r"requirements\.txt", r"(line 3|:3\b)", r"(column 9|:9\b)")


def test_a_malformed_requirement_in_an_included_file(venvery: Venvery, tmp_path: Path) -> None:
    asks(tmp_path, "django", "idna = 3", name="inner.txt")
    wanted = asks(tmp_path, "-r inner.txt")
    refuses(venvery("resolve", "-r", wanted), 2, r"inner\.txt", r"(line 2|:2\b)")


@pytest.mark.parametrize(
    "requirement", ["django>=", "===", "a b", "django[", "idna; python_version", "idna @ ", "-x", "\x00", "é>1"]
)
def test_malformed_requirements(venvery: Venvery, tmp_path: Path, requirement: str) -> None:
    refuses(venvery("resolve", "-r", asks(tmp_path, requirement)), 2, r"(line 1|:1\b)")


def test_an_impossible_set_is_explained(venvery: Venvery) -> None:
    refuses(venvery("resolve", "conflict-a", "conflict-b"), 1, "conflict-a", "conflict-b", "shared")


def test_an_impossible_version_says_what_there_is(venvery: Venvery) -> None:
    refuses(venvery("resolve", "idna>=99"), 1, "idna", "99", r"3\.7")


def test_a_python_that_is_too_old_or_too_new(venvery: Venvery) -> None:
    refuses(venvery("resolve", "django==5.2", "--python", "3.9"), 1, "django", r"3\.9|3\.10")


def test_only_a_source_distribution_with_unknown_dependencies(venvery: Venvery, tmp_path: Path) -> None:
    """Only a build tells them, and builds may be switched off."""
    settings = tmp_path / "venvery.toml"
    settings.write_text('[builds]\nsdists = "never"\n')
    refuses(venvery("sync", "--config", settings, "dynamic-source", tmp_path / "env"), 1, "dynamic-source")
    assert not (tmp_path / "env").exists()


def test_direct_urls_are_refused(venvery: Venvery, index: IndexServer) -> None:
    url = f"{index.origin}/files/idna-3.7-py3-none-any.whl"
    refuses(venvery("resolve", f"idna @ {url}"), 2, "idna")
    refuses(venvery("resolve", "idna @ file:///etc/passwd"), 2, "idna")


def test_missing_files_and_wrong_usage(venvery: Venvery, tmp_path: Path) -> None:
    refuses(venvery("resolve", "-r", tmp_path / "not-there.txt"), 2, "not-there.txt")
    refuses(venvery("sync", tmp_path / "pylock.toml", tmp_path / "env"), 2, "pylock.toml")
    assert venvery("resolve", "--no-such-option").code == 2
    assert venvery("no-such-command").code == 2
    assert "Traceback" not in venvery().stderr


def test_a_file_that_is_no_text(venvery: Venvery, tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(bytes(range(128, 256)) * 10)
    refuses(venvery("resolve", "-r", tmp_path / "binary.txt"), 2, "binary.txt")


@pytest.mark.parametrize(
    "content", ["", "not toml at all [", 'lock-version = "9.0"', 'lock-version = "1.0"\npackages = 3']
)
def test_a_lock_that_is_none(venvery: Venvery, tmp_path: Path, content: str) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(content)
    refuses(venvery("sync", lock, tmp_path / "env"), 2, "pylock.toml")
    assert not (tmp_path / "env").exists()


def test_a_server_that_is_not_there(venvery: Venvery, tmp_path: Path) -> None:
    refuses(venvery("sync", "--server", "http://127.0.0.1:9", "idna", tmp_path / "env"), 3, r"127\.0\.0\.1:9")
    refuses(venvery("resolve", "--server", "http://127.0.0.1:9", "idna"), 3, r"127\.0\.0\.1:9")
    assert not (tmp_path / "env").exists()


def test_a_server_that_is_something_else(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    refuses(venvery("sync", "--server", index.origin, "idna", tmp_path / "env"), 3)
    index.fault("*", "garbage")
    refuses(venvery("sync", "--server", index.origin, "idna", tmp_path / "env"), 3)
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    "prefix",
    ["relative/env", "/srv/../etc", "/srv/a\nb", "/srv/a\x00b", "", "/srv/a\x1bb", "/srv/" + "x" * 5000, "~/env"],
)
def test_bad_prefixes(shared_server: ServerProcess, tmp_path: Path, prefix: str) -> None:
    wanted = asks(tmp_path, "idna")
    url = f"{shared_server.url}/v1/environments?python={HERE_PYTHON}&prefix={quote(prefix, safe='')}"
    accept = ("-H", "Accept: application/x-tar+gzip")
    curl(tmp_path, url, "--data-binary", f"@{wanted}", *accept).problem(400, "prefix")
    body = json.dumps({"requirements": ["idna"], "target": {"python": HERE_PYTHON}, "prefix": prefix})
    curl(tmp_path, f"{shared_server.url}/v1/environments", *JSON, *accept, "-d", body).problem(400, "prefix")


@pytest.mark.parametrize(
    "python", ["bin/python3", "/usr/bin/../python3", "/usr/bin/py\nthon", "/usr/bin/python3 -c evil"]
)
def test_bad_interpreters(shared_server: ServerProcess, tmp_path: Path, python: str) -> None:
    body = {"requirements": ["idna"], "target": {"python": HERE_PYTHON}, "prefix": "/srv/e", "python": python}
    answer = curl(
        tmp_path,
        f"{shared_server.url}/v1/environments",
        *(*JSON, "-H", "Accept: application/x-tar+gzip", "-d", json.dumps(body)),
    )
    if python.endswith("evil"):  # a space is a legal character in a path; it must not become an argument
        assert answer.status in (200, 400)
    else:
        answer.problem(400)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"requirements": ["requests>>2.7"]}, 400),
        ({"requirements": "idna\nrequests>>2.7"}, 400),
        ({"requirements": ["no-such-project"]}, 422),
        ({"requirements": ["conflict-a", "conflict-b"]}, 422),
        ({"requirements": ["idna"], "target": {"python": "2.7"}}, 400),
        ({"requirements": ["idna"], "target": {"platform": "amiga-m68k"}}, 400),
        ({"requirements": ["idna @ file:///etc/passwd"]}, 400),
        ({"requirements": ["linux-only"], "target": {"python": "3.11", "platform": "macos-arm64"}}, 422),
        ({"requirements": 7}, 400),
        ({"requirements": [7]}, 400),
        ({"requirements": ["-r /etc/passwd"]}, 400),
        ({"requirements": "-r /etc/passwd\n"}, 400),
        ({"requirements": ["idna"], "no_such_field": 1}, 400),
        ({}, 400),
        ([], 400),
    ],
)
def test_bad_requests(shared_server: ServerProcess, tmp_path: Path, body: object, status: int) -> None:
    for path in ("resolve", "environments"):
        answer = curl(tmp_path, f"{shared_server.url}/v1/{path}", *JSON, "-d", json.dumps(body))
        problem = answer.problem(status)
        assert "passwd" not in json.dumps(problem).replace("/etc/passwd", "")
        assert "root:" not in json.dumps(problem)


def test_the_explanation_is_text_and_tree(shared_server: ServerProcess, tmp_path: Path) -> None:
    body = json.dumps({"requirements": ["conflict-a", "conflict-b"]})
    problem = curl(tmp_path, f"{shared_server.url}/v1/resolve", *JSON, "-d", body).problem(422, "shared")
    assert re.search("conflict-a", problem["detail"])
    trees = [value for value in problem.values() if isinstance(value, dict) and "because" in value]
    assert trees, problem


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"requirements": ["a"], "requirements": ',
        rb'{"requirements": ["idna ; python_version > \"\ud800\""]}',
        b'{"requirements": NaN}',
    ],
)
def test_bodies_that_are_no_json(shared_server: ServerProcess, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "body").write_bytes(body)
    answer = curl(tmp_path, f"{shared_server.url}/v1/resolve", *JSON, "--data-binary", f"@{tmp_path / 'body'}")
    answer.problem(400)
    curl(tmp_path, f"{shared_server.url}/healthz")


def test_paths_that_are_not_there(shared_server: ServerProcess, tmp_path: Path) -> None:
    curl(tmp_path, f"{shared_server.url}/v1/nothing").problem(404)
    curl(tmp_path, f"{shared_server.url}/v1/environments/sha256:{'0' * 64}").problem(404)
    curl(tmp_path, f"{shared_server.url}/v1/layers/..%2f..%2fetc%2fpasswd", "--path-as-is")
    assert curl(tmp_path, f"{shared_server.url}/v1/resolve", "-X", "DELETE").status == 405


def test_a_flat_folder_that_is_not_there(venvery: Venvery, tmp_path: Path) -> None:
    refuses(venvery("resolve", "idna", "--no-index", "--find-links", tmp_path / "nowhere"), 2, "nowhere")


def test_a_data_folder_that_cannot_be(venvery: Venvery, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    result = venvery("resolve", "idna", "--data", tmp_path / "a-file" / "data")
    assert result.code in (2, 3)
    refuses(result, result.code, "a-file")
    assert strays(tmp_path, but=("data", "cache", "home", "work")) == ["a-file"]
