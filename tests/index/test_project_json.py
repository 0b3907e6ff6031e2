"""The older JSON API and serials: what somebody needs to mirror this server, or to audit what it gives."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.index.asking import JSON, ask
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel


def test_a_project_is_described_by_its_newest_good_release(mirror: ServerProcess) -> None:
    reply = ask(f"{mirror.url}/pypi/urllib3/json")
    page = reply.json()
    assert page["info"]["version"] == "3.0.0"
    assert set(page["releases"]) == {"1.26.20", "2.2.0", "2.9.0", "2.10.0rc1", "3.0.0"}
    (yanked,) = page["releases"]["2.9.0"]
    assert (yanked["yanked"], yanked["yanked_reason"]) == (True, "breaks everything")
    (file,) = page["urls"]
    assert (file["packagetype"], file["python_version"], file["size"]) == ("bdist_wheel", "py3", file["size"])
    assert file["upload_time_iso_8601"].endswith("Z")
    data = ask(file["url"]).body
    assert hashlib.sha256(data).hexdigest() == file["digests"]["sha256"]
    assert page["last_serial"] == int(reply.headers["x-pypi-last-serial"]) > 0
    assert ask(f"{mirror.url}/pypi/urllib3/json", if_none_match=reply.headers["etag"]).status == 304


def test_a_release_is_described_by_its_metadata(mirror: ServerProcess) -> None:
    page = ask(f"{mirror.url}/pypi/django/4.2.16/json").json()
    assert page["info"]["name"] == "Django"
    assert page["info"]["requires_python"] == ">=3.8"
    assert "asgiref<4,>=3.6.0" in page["info"]["requires_dist"]
    assert page["vulnerabilities"] == []
    assert "releases" not in page


def test_what_is_not_there(mirror: ServerProcess) -> None:
    for path in ("/pypi/nothing-here/json", "/pypi/django/99/json", "/pypi/django/x/json", "/pypi/-/json"):
        assert ask(mirror.url + path).status == 404, path
    assert ask(f"{mirror.url}/pypi/Django/5.2/json").headers["location"] == "../../django/5.2/json"


def test_whole_urls_are_those_that_the_client_sees(mirror: ServerProcess) -> None:
    headers = {"host": "packages.example", "x_forwarded_proto": "https", "x_forwarded_prefix": "/deep/pkg"}
    page = ask(f"{mirror.url}/pypi/idna/json", **headers).json()
    assert page["urls"][0]["url"].startswith("https://packages.example/deep/pkg/packages/idna/")
    headers["x_forwarded_prefix"] = "//evil.example"
    page = ask(f"{mirror.url}/views/default/pypi/idna/json", **headers).json()
    assert page["urls"][0]["url"].startswith("https://packages.example/views/default/packages/idna/")


def test_serials_tell_who_mirrors_what_changed(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    config = tmp_path / "short.toml"
    config.write_text("freshness-seconds = 0.05\n", encoding="utf-8")
    with venvery.serve("--config", config) as server:

        def serial(project: str) -> int:
            return int(ask(f"{server.url}/simple/{project}/", accept=JSON).json()["meta"]["_last-serial"])

        idna, django = serial("idna"), serial("django")
        assert idna != django
        assert serial("idna") == idna, "nothing changed"
        index.add(make_wheel("idna", "9.0"))
        while (changed := serial("idna")) == idna:
            pass
        assert changed > django
        assert serial("django") == django
    with venvery.serve() as server:
        reply = ask(f"{server.url}/simple/", accept=JSON)
        listed = {entry["name"]: entry["_last-serial"] for entry in reply.json()["projects"]}
        assert listed == {"idna": changed, "django": django}
        assert reply.headers["x-pypi-last-serial"] == str(changed)
