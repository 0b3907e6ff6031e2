"""Who may do what: tokens, scopes, private views; nothing leaks to those who may not see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from posixpath import normpath
from typing import Any

import pytest

from tests.hosted.posting import ask, form_of, listed, post
from tests.support.running import ServerProcess, Venvery
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel

TARGET = {"python": "3.11", "platform": "linux-x86_64"}
VIEWS = """
[[sources]]
name = "open"
kind = "hosted"

[[sources]]
name = "secret"
kind = "hosted"

[[views]]
name = "default"
sources = ["open"]

[[views]]
name = "inner"
sources = ["secret", "open"]
private = true
"""

Token = Callable[..., str]


@pytest.fixture
def venvery(tmp_path: Path) -> Venvery:
    return Venvery(tmp_path / "v")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "venvery.toml"
    file.write_text(VIEWS)
    return file


@pytest.fixture
def server(venvery: Venvery, config: Path) -> Iterator[ServerProcess]:
    with venvery.serve("--config", config) as server:
        yield server
    assert "Traceback" not in server.said, server.said


@pytest.fixture
def token(venvery: Venvery) -> Token:
    """Give a function that makes a token."""

    def make(*scopes: str, expires: str = "1d") -> str:
        words = [word for scope in scopes for word in ("--scope", scope)]
        return venvery("token", "create", *words, "--expires", expires).check().stdout.strip()

    return make


def test_an_upload_needs_the_right_to_that_source(server: ServerProcess, token: Token) -> None:
    wheel = make_wheel("acme", "1.0")
    nobody = post(server, wheel)
    assert nobody.status == 401
    assert nobody.headers["www-authenticate"].startswith("Basic")
    assert post(server, wheel, token=token("read")).status == 403
    assert post(server, wheel, path="/upload/open", token=token("upload:secret")).status == 403
    assert post(server, wheel, path="/upload/nowhere/", token=token("upload")).status == 404
    assert listed(server, "acme") == []
    for path, right in (("/upload", "upload:open"), ("/upload/open/", "upload"), ("/upload/", "admin")):
        answer = post(server, wheel, path=path, token=token(right))
        assert (answer.status, answer.json()["source"]) == (200, "open")


def test_a_token_ends_when_it_expires_or_is_revoked(server: ServerProcess, venvery: Venvery, token: Token) -> None:
    upload = token("upload")
    wheel = make_wheel("acme", "1.0")
    assert post(server, wheel, token=upload).status == 200
    number = venvery("token", "list", "--json").check().stdout
    assert upload not in number  # what is stored cannot be used
    assert upload.encode() not in (venvery.data / "venvery.sqlite").read_bytes()
    venvery("token", "revoke", upload).check()
    assert post(server, wheel, token=upload).status == 401
    assert ask(server, "GET", "/simple/", token=upload).status == 401
    assert "revoked" in venvery("token", "list").check().stdout
    venvery("token", "revoke", upload).check(1)
    venvery("token", "create", "--scope", "upload", "--expires", "2020-01-01").check(2)
    venvery("token", "create", "--scope", "everything").check(2)


def test_bearer_and_basic_are_the_same(server: ServerProcess, token: Token) -> None:
    admin = token("admin")
    for authorization in (f"Bearer {admin}", f"bearer {admin}"):
        assert ask(server, "GET", "/v1/journal", headers={"Authorization": authorization}).status == 200
    for wrong in ("Bearer x", "Basic !!!", "Basic eDp5", "Digest a", "Bearer", f"Bearer {admin}x"):
        answer = ask(server, "GET", "/simple/", headers={"Authorization": wrong})
        assert (answer.status, "www-authenticate" in answer.headers) == (401, True)


def everything_of(server: ServerProcess, **who: Any) -> dict[str, int]:
    """Ask for all that there is of the private view; give the statuses."""
    body = {"requirements": ["acme-secret"], "target": TARGET, "view": "inner"}
    query = "/v1/resolve?view=inner&python=3.11&platform=linux-x86_64"
    return {
        "page": ask(server, "GET", "/views/inner/simple/acme-secret/", **who).status,
        "root": ask(server, "GET", "/views/inner/simple/", **who).status,
        "resolve": ask(server, "POST", "/v1/resolve", body=body, **who).status,
        "resolve by query": ask(server, "POST", query, body=b"acme-secret", **who).status,
        "environment": ask(server, "POST", "/v1/environments", body=body, **who).status,
        "outdated": ask(
            server, "POST", "/v1/outdated", body=body | {"pins": "acme-secret==1.0", "requirements": []}, **who
        ).status,
    }


def test_a_private_view_is_for_those_with_a_token_for_it(server: ServerProcess, token: Token) -> None:
    admin, reader, stranger = token("admin"), token("read:inner", "resolve"), token("read", "resolve")
    wheel = make_wheel("acme-secret", "1.0")
    assert post(server, wheel, path="/upload/secret/", token=admin).status == 200
    assert set(everything_of(server, token=reader).values()) == {200}
    assert set(everything_of(server).values()) == {401}
    assert set(everything_of(server, token=stranger).values()) == {403}
    for who in ({}, {"token": stranger}):  # not by way of the open view either: the name is owned, and not there
        assert listed(server, "acme-secret", **who) == []
        body = {"requirements": ["acme-secret"], "target": TARGET}
        assert ask(server, "POST", "/v1/resolve", body=body, **who).status == 422


def test_a_digest_is_not_a_permission(server: ServerProcess, token: Token) -> None:
    admin, reader = token("admin"), token("read:inner", "resolve")
    wheel = make_wheel("acme-secret", "1.0")
    assert post(server, wheel, path="/upload/secret/", token=admin).status == 200
    page = ask(
        server,
        "GET",
        "/views/inner/simple/acme-secret/",
        token=reader,
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
    ).json()
    url = "/views/inner/simple/acme-secret/" + page["files"][0]["url"]
    path = normpath(url)
    assert ask(server, "GET", path, token=reader).body == wheel.data
    assert ask(server, "GET", path).status == 401
    assert ask(server, "GET", path.removeprefix("/views/inner")).status == 404
    body = {"requirements": ["acme-secret"], "target": TARGET, "view": "inner"}
    made = ask(server, "POST", "/v1/environments", body=body, token=reader)
    manifest = made.json()
    key = made.headers["venvery-environment"]
    lock = ask(server, "POST", "/v1/resolve", body=body, token=reader).json()
    places = [
        f"/v1/environments/{key}",
        f"/v1/environments/{key}.tar.gz?prefix=/x",
        f"/v1/environments/{key}/sbom",
        f"/v1/environments/{key}/provenance",
        *(f"/v1/layers/{layer['digest']}" for layer in manifest["layers"]),
        f"/environments/{key}",
    ]
    for place in places:
        assert ask(server, "GET", place, token=reader).status == 200, place
        assert ask(server, "GET", place).status in (401, 403, 404), place
        assert ask(server, "GET", place, token=token("read", "resolve")).status in (403, 404), place
    for who in ({}, {"token": token("read", "resolve")}):  # a lock is a list of digests
        assert ask(server, "POST", "/v1/environments", body={"lock": lock, "target": TARGET}, **who).status == 422
    assert "acme-secret" not in ask(server, "GET", "/").text


def test_the_fast_lane_gives_nobody_what_another_got(server: ServerProcess, token: Token) -> None:
    admin, reader = token("admin"), token("read:inner", "resolve")
    assert post(server, make_wheel("acme-secret", "1.0"), path="/upload/secret/", token=admin).status == 200
    body = {"requirements": ["acme-secret"], "target": TARGET, "view": "inner"}
    for _ in range(3):
        assert ask(server, "POST", "/v1/resolve", body=body, token=reader).status == 200
        assert ask(server, "POST", "/v1/resolve", body=body).status == 401


def test_on_another_address_nothing_is_open_unless_said(venvery: Venvery, token: Token) -> None:
    for words, statuses in (
        ((), {"GET /simple/": 401, "GET /healthz": 200, "GET /v1/keys": 200, "POST /v1/resolve": 401}),
        (("--anonymous", "read"), {"GET /simple/": 200, "POST /v1/resolve": 401, "POST /upload/": 401}),
    ):
        with venvery.serve("--no-index", *words, "--host", "0.0.0.0") as server:
            for what, status in statuses.items():
                method, path = what.split()
                assert ask(server, method, path, body={} if method == "POST" else None).status == status, what


def test_upload_without_a_token_when_that_is_switched_on(venvery: Venvery) -> None:
    with venvery.serve("--no-index", "--anonymous", "read,upload") as server:
        assert post(server, make_wheel("acme", "1.0")).status == 200
        body, kind = form_of(make_wheel("evil", "1.0"))
        for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            answer = ask(server, "POST", "/upload/", body=body, headers={"Content-Type": kind, **header})
            assert answer.status == 403, header  # a page of another site had a browser send it
        assert listed(server, "evil") == []
        assert ask(server, "POST", "/v1/releases/delete", body={"project": "acme", "version": "1.0"}).status == 401
    venvery("serve", "--anonymous", "admin").check(2)


def test_yank_promote_delete_and_the_journal(server: ServerProcess, venvery: Venvery, token: Token) -> None:
    admin, upload = token("admin"), token("upload")
    for version in ("1.0", "1.1"):
        assert post(server, make_wheel("acme", version), path="/upload/secret/", token=upload).status == 200
    release = {"project": "Acme", "version": "1.1", "source": "secret"}

    def change(action: str, who: str | None, **further: str) -> Any:
        return ask(server, "POST", f"/v1/releases/{action}", body=release | further, token=who)

    assert change("yank", None).status == 401
    assert change("yank", token("upload:open")).status == 403
    assert change("yank", upload, reason="broken").json()["changed"] is True
    assert change("yank", upload, reason="broken").json()["changed"] is False
    assert change("promote", token("upload:secret"), to="open").status == 403
    assert change("promote", upload, to="open").json()["promoted"] == ["acme-1.1-py3-none-any.whl"]
    assert change("promote", upload, to="open").json()["promoted"] == []
    assert listed(server, "acme") == ["acme-1.1-py3-none-any.whl"]
    assert change("unyank", upload).json()["yanked"] is None
    assert change("delete", upload).status == 403
    assert change("delete", admin).json()["deleted"] == ["acme-1.1-py3-none-any.whl"]
    assert change("delete", admin).status == 404
    assert listed(server, "acme", prefix="/views/inner", token=admin) == [
        "acme-1.0-py3-none-any.whl",
    ]
    again = post(server, make_wheel("acme", "1.1"), path="/upload/secret/", token=admin)
    assert (again.status, again.text.startswith("File already exists")) == (400, True)
    assert change("explode", admin).status == 404
    changes = ask(server, "GET", "/v1/journal?project=acme", token=admin).json()["changes"]
    assert [one["action"] for one in reversed(changes)] == [
        "upload", "upload", "yank", "promote", "unyank", "delete",
    ]  # fmt: skip
    assert ask(server, "GET", "/v1/journal", token=upload).status == 403
    assert "promote" in venvery("audit", "--project", "acme").check().stdout


def test_a_blocked_release_reaches_nobody(server: ServerProcess, venvery: Venvery, token: Token) -> None:
    admin = token("admin")
    for version in ("1.0", "1.1"):
        assert post(server, make_wheel("acme", version), token=admin).status == 200
    body = {"requirements": ["acme"], "target": TARGET}
    made = ask(server, "POST", "/v1/environments", body=body)
    lock = ask(server, "POST", "/v1/resolve", body=body).json()
    key = made.headers["venvery-environment"]
    page = ask(server, "GET", "/simple/acme/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}).json()
    file = normpath("/simple/acme/" + page["files"][1]["url"])
    assert ask(server, "GET", file).status == 200
    release = {"release": "acme==1.1", "reason": "it steals"}
    assert ask(server, "POST", "/v1/blocks", body=release).status == 401
    assert ask(server, "POST", "/v1/blocks", body=release, token=token("upload")).status == 403
    assert ask(server, "POST", "/v1/blocks", body=release, token=admin).status == 200
    assert "acme==1.0" in ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "text/plain"}).text
    assert ask(server, "POST", "/v1/environments", body={"lock": lock, "target": TARGET}).status == 422
    for gone in (file, f"/v1/environments/{key}", f"/v1/environments/{key}.tar.zst?prefix=/x"):
        answer = ask(server, "GET", gone)
        assert (answer.status, "it steals" in answer.text) == (403, True), gone
    assert "it steals" in venvery("block", "--list").check().stdout
    venvery("block", "acme==1.1", "--undo").check()  # by another process; the server takes notice at once
    assert ask(server, "GET", file).status == 200
    assert "acme==1.1" in ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "text/plain"}).text


def test_which_environments_have_a_release_and_who_had_them(
    server: ServerProcess, venvery: Venvery, token: Token
) -> None:
    admin, one, two = token("admin"), token("read:inner", "resolve"), token("read", "resolve")
    for name in ("acme", "acme-secret"):
        path = "/upload/secret/" if name == "acme-secret" else "/upload/open/"
        assert post(server, make_wheel(name, "1.2"), path=path, token=admin).status == 200
    made = ask(server, "POST", "/v1/environments", body={"requirements": ["acme"], "target": TARGET}, token=two)
    inner = {"requirements": ["acme", "acme-secret"], "target": TARGET, "view": "inner"}
    assert ask(server, "POST", "/v1/environments", body=inner, token=one).status == 200

    def having(what: str, who: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(server, "GET", f"/v1/environments?contains={what}", token=who).json()[
            "environments"
        ]
        return found

    assert len(having("acme==1.2", admin)) == 2
    assert [found["key"] for found in having("acme", two)] == [made.headers["venvery-environment"]]
    assert having("acme>1.2", admin) == []
    assert having("acme-secret", two) == []
    (found,) = having("acme-secret", admin)
    assert (found["fetched"][0]["view"], "fetched" in having("acme", two)[0]) == ("inner", False)
    assert found["fetched"][0]["who"] and found["contains"] == ["acme-secret 1.2"]
    assert "acme-secret 1.2" in venvery("environments", "--contains", "acme-secret").check().stdout
    assert ask(server, "GET", "/v1/environments", token=admin).status == 400


def test_building_needs_its_right(venvery: Venvery, tmp_path: Path) -> None:
    folder = tmp_path / "sdists"
    make_sdist("acme", "1.0").write_to(folder)
    words = ("--no-index", "--find-links", folder, "--anonymous", "read,resolve")
    body = {"requirements": ["acme"], "target": TARGET}
    with venvery.serve(*words) as server:
        answer = ask(server, "POST", "/v1/environments", body=body)
        assert (answer.status, "build" in answer.text) == (401, True), answer.text
        assert ask(server, "GET", "/v1/jobs").json() == {"jobs": []}
        assert ask(server, "POST", "/v1/builds", body={}).status == 401


def test_jobs_are_not_for_everyone_where_something_is_private(server: ServerProcess, token: Token) -> None:
    assert ask(server, "GET", "/v1/jobs").status == 401
    assert ask(server, "GET", "/v1/jobs", token=token("resolve")).status == 200


def test_a_view_can_be_named_on_the_command_line(server: ServerProcess, venvery: Venvery, token: Token) -> None:
    wheel = make_wheel("acme-secret", "1.0")
    assert post(server, wheel, path="/upload/secret/", token=token("admin")).status == 200
    words = ("resolve", "acme-secret", "--server", server.url)
    env = {"VENVERY_TOKEN": token("read:inner", "resolve")}
    assert "acme-secret==1.0" in venvery(*words, "--view", "inner", env=env).check().stdout
    assert venvery(*words, "--view", "inner").code == 3
    assert venvery(*words, env=env).code == 1
    environment = venvery.folder / "env"
    venvery("sync", "acme-secret", environment, "--view", "inner", "--server", server.url, env=env).check()
    assert list(environment.glob("lib/python3.*/site-packages/acme_secret/__init__.py"))
