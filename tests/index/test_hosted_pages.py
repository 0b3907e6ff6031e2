"""What is uploaded is on the pages at once, owns its name, and is for those alone who may see its view."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.asking import JSON, ask
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery, clean_environment
from tests.support.tiny import tiny_world
from tests.support.wheels import BuiltFile, make_wheel

CONFIG = """
[[sources]]
name = "team"
kind = "hosted"
[[sources]]
name = "secret"
kind = "hosted"
[[sources]]
name = "upstream"
url = "{url}"
[[views]]
name = "default"
sources = ["team", "upstream"]
[[views]]
name = "inner"
sources = ["secret"]
private = true
"""


class Company:
    """A server with two hosted sources and an upstream."""

    def __init__(self, venvery: Venvery, server: ServerProcess, config: Path) -> None:
        self.venvery, self.server, self.config = venvery, server, config

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    def run(self, *args: str | Path) -> str:
        """Run a command on its data folder, beside it."""
        return self.venvery(*args, "--config", self.config).check().stdout

    def upload(self, file: BuiltFile, to: str) -> BuiltFile:
        """Publish a file."""
        self.run("upload", "--to", to, file.write_to(self.venvery.folder))
        return file


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Run one for all tests of the module."""
    folder = tmp_path_factory.mktemp("company")
    config = folder / "venvery.toml"
    with IndexServer(tiny_world()) as index:
        config.write_text(CONFIG.format(url=index.url), encoding="utf-8")
        venvery = Venvery(folder)
        with venvery.serve("--config", config) as server:
            yield Company(venvery, server, config)
        assert "Traceback" not in server.said, server.said


def test_an_upload_is_there_for_every_client_at_once(company: Company) -> None:
    assert ask(f"{company.url}/simple/fresh/").status == 404
    one = company.upload(make_wheel("fresh", "1.0"), "team")
    reply = ask(f"{company.url}/simple/fresh/", accept=JSON)
    assert reply.json()["versions"] == ["1.0"]
    assert reply.headers["cache-control"] == "no-cache"
    (entry,) = reply.json()["files"]
    assert ask(f"{company.url}/{entry['url'].removeprefix('../../')}").body == one.data
    assert ask(f"{company.url}/{entry['url'].removeprefix('../../')}.metadata").status == 200
    company.upload(make_wheel("fresh", "2.0"), "team")
    again = ask(f"{company.url}/simple/fresh/", accept=JSON, if_none_match=reply.headers["etag"])
    assert again.json()["versions"] == ["1.0", "2.0"]
    company.run("yank", "fresh==1.0")
    assert [file["yanked"] for file in ask(f"{company.url}/simple/fresh/", accept=JSON).json()["files"]] == [
        True,
        False,
    ]
    names = [project["name"] for project in ask(f"{company.url}/simple/", accept=JSON).json()["projects"]]
    assert "fresh" in names


def test_a_name_that_is_hosted_is_not_looked_up_elsewhere(company: Company) -> None:
    mirrored = ask(f"{company.url}/simple/idna/", accept=JSON).json()["files"][0]["url"].removeprefix("../../")
    assert ask(f"{company.url}/{mirrored}").status == 200
    company.upload(make_wheel("idna", "0.1"), "team")
    assert ask(f"{company.url}/simple/idna/", accept=JSON).json()["versions"] == ["0.1"]
    assert ask(f"{company.url}/{mirrored}").status == 404, "its files are not given either, fetched or not"


def test_a_private_view_is_for_those_who_may_see_it(company: Company, tmp_path: Path) -> None:
    wheel = company.upload(make_wheel("hush", "1.0"), "secret")
    place = f"files/hush/{wheel.sha256}/{wheel.filename}"
    for path in ("simple/", "simple/hush/", "simple/Hush", "pypi/hush/json", place, f"{place}.metadata", "simple"):
        reply = ask(f"{company.url}/views/inner/{path}")
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"].startswith("Basic")
    assert ask(f"{company.url}/{place}").status == 404, "its digest alone opens nothing"
    token = company.run("token", "create", "--scope", "read:inner").strip()
    host = company.url.removeprefix("http://")
    index = f"http://__token__:{token}@{host}/views/inner/simple/"
    command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "-i", index, "-d", str(tmp_path / "got")]
    environment = clean_environment(tmp_path / "home")
    subprocess.run([*command, "hush"], env=environment, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "got" / wheel.filename).read_bytes() == wheel.data
    reply = ask(f"{company.url}/views/inner/{place}", authorization=f"Bearer {token}")
    assert reply.body == wheel.data
    assert reply.headers["cache-control"].startswith("private"), "no cache on the way gives it to others"


def test_a_blocked_release_is_gone_for_every_client(company: Company) -> None:
    path = ask(f"{company.url}/simple/sqlparse/", accept=JSON).json()["files"][0]["url"].removeprefix("../../")
    assert ask(f"{company.url}/{path}").status == 200
    token = company.run("token", "create", "--scope", "admin").strip()
    body = {"release": "sqlparse==0.5.3", "reason": "stolen"}
    request = urllib.request.Request(
        f"{company.url}/v1/blocks",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    assert ask(f"{company.url}/simple/sqlparse/", accept=JSON).json()["files"] == []
    assert ask(f"{company.url}/{path}").status == 403
