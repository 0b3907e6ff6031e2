"""`/simple/`: what the standards of the simple API promise, seen from outside."""

from __future__ import annotations

import gzip
import re
import time
from datetime import UTC, datetime
from urllib.parse import urljoin

import pytest

from tests.index.asking import JSON, ask
from tests.support.index_server import IndexServer, Settings
from tests.support.running import ServerProcess, Venvery
from tests.support.tiny import tiny_world
from tests.support.wheels import make_wheel

HTML = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/simple", "/simple/"),
        ("/simple/django", "/simple/django/"),
        ("/simple/Django/", "/simple/django/"),
        ("/simple/Charset_Normalizer", "/simple/charset-normalizer/"),
        ("/simple/charset.normalizer/", "/simple/charset-normalizer/"),
        ("/views/default/simple", "/views/default/simple/"),
        ("/views/default/simple/Django", "/views/default/simple/django/"),
    ],
)
def test_redirects_go_to_the_normalised_name_and_stay_behind_a_proxy(
    mirror: ServerProcess, path: str, place: str
) -> None:
    reply = ask(mirror.url + path)
    assert reply.status == 301
    assert "://" not in reply.headers["location"]
    assert not reply.headers["location"].startswith("/")
    assert urljoin(f"https://proxy.example/pkg{path}", reply.headers["location"]) == (
        f"https://proxy.example/pkg{place}"
    )


def test_a_redirect_keeps_the_query(mirror: ServerProcess) -> None:
    assert ask(f"{mirror.url}/simple/Django?format={JSON}").headers["location"].startswith("django/?format=")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PIP, JSON),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/html", "text/html"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "text/html"),
        (HTML, HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        (f"{JSON};q=0.2, {HTML};q=0.3", HTML),
        (f"{JSON};q=0, */*", "text/html"),
        ("application/*", JSON),
        ("application/json", None),
        ("application/vnd.pypi.simple.v2+json", None),
        ("image/png", None),
    ],
)
def test_the_form_is_negotiated(mirror: ServerProcess, accept: str, expected: str | None) -> None:
    reply = ask(f"{mirror.url}/simple/idna/", **({"accept": accept} if accept else {}))
    if expected is None:
        assert reply.status == 406
        assert reply.headers["content-type"] == "application/problem+json"
        return
    assert reply.status == 200
    assert reply.headers["content-type"].partition(";")[0] == expected
    assert "Accept" in reply.headers["vary"]


def test_the_query_names_the_form_too(mirror: ServerProcess) -> None:
    reply = ask(f"{mirror.url}/simple/idna/?format=application/vnd.pypi.simple.v1%2Bjson", accept="text/html")
    assert reply.headers["content-type"] == JSON
    assert ask(f"{mirror.url}/simple/idna/?format=application/pdf").status == 406


def test_a_page_says_what_upstream_says(mirror: ServerProcess, upstream: IndexServer) -> None:
    page = ask(f"{mirror.url}/simple/urllib3/", accept=JSON).json()
    assert page["meta"]["api-version"] == "1.4"
    assert page["name"] == "urllib3"
    assert page["versions"] == ["1.26.20", "2.2.0", "2.9.0", "2.10.0rc1", "3.0.0"]
    assert len(page["files"]) == 5
    for entry in page["files"]:
        listed = upstream.world.file(entry["filename"])
        assert listed is not None
        assert entry["hashes"] == {"sha256": listed.file.sha256}
        assert entry["size"] == len(listed.file.data)
        assert entry["upload-time"].endswith("Z")
        assert datetime.fromisoformat(entry["upload-time"]) == listed.upload_time.astimezone(UTC)
        assert entry["yanked"] == ("breaks everything" if "2.9.0" in entry["filename"] else False)
        assert "://" not in entry["url"]
        assert "sha256" in entry["core-metadata"]
    django = ask(f"{mirror.url}/simple/django/", accept=JSON).json()
    pythons = {entry["filename"]: entry.get("requires-python") for entry in django["files"]}
    assert pythons == {
        "django-1.8.19-py3-none-any.whl": None,
        "django-4.2.16-py3-none-any.whl": ">=3.8",
        "django-5.2-py3-none-any.whl": ">=3.10",
        "django-5.99-py3-none-any.whl": ">=3.99",
    }


def test_html_says_the_same_with_both_spellings_of_metadata(mirror: ServerProcess) -> None:
    text = ask(f"{mirror.url}/simple/urllib3/", accept=HTML).body.decode()
    assert '<meta name="pypi:repository-version" content="1.4">' in text
    assert re.search(r'data-yanked="breaks everything"', text)
    for attribute in ("data-core-metadata", "data-dist-info-metadata"):
        assert len(re.findall(rf'{attribute}="sha256=[0-9a-f]{{64}}"', text)) == 5
    assert len(re.findall(r'href="\.\./\.\./files/[^"]+#sha256=[0-9a-f]{64}"', text)) == 5
    assert "upload" not in text, "HTML is frozen (PEP 833)"


@pytest.mark.parametrize("accept", [PIP, "text/html"])
def test_a_page_that_a_client_has_is_not_sent_again(mirror: ServerProcess, accept: str) -> None:
    plain = ask(f"{mirror.url}/simple/asgiref/", accept=accept)
    zipped = ask(f"{mirror.url}/simple/asgiref/", accept=accept, accept_encoding="gzip, deflate")
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert "Accept-Encoding" in plain.headers["vary"]
    assert not plain.headers["etag"].startswith("W/")
    assert plain.headers["etag"] != zipped.headers["etag"]
    for reply, encoding in ((plain, "identity"), (zipped, "gzip")):
        again = ask(
            f"{mirror.url}/simple/asgiref/",
            accept=accept,
            accept_encoding=encoding,
            if_none_match=reply.headers["etag"],
        )
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == reply.headers["etag"]
        assert again.headers["cache-control"]
    head = ask(f"{mirror.url}/simple/asgiref/", method="HEAD", accept=accept)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(plain.body)))


def test_clients_may_keep_a_mirrored_page_for_a_moment(mirror: ServerProcess) -> None:
    said = ask(f"{mirror.url}/simple/sqlparse/").headers["cache-control"]
    assert 0 < int(said.removeprefix("max-age=")) <= 60


def test_a_name_that_nobody_has_is_not_found_in_plain_words(mirror: ServerProcess) -> None:
    reply = ask(f"{mirror.url}/simple/no-such-project/")
    assert reply.status == 404
    assert "no-such-project" in reply.json()["detail"]
    for path in ("/simple/-bad-/", "/simple/%2e%2e/", "/simple/a%20b/", "/views/nowhere/simple/idna/"):
        assert ask(mirror.url + path).status == 404


@pytest.mark.parametrize("path", ["/simple/", "/simple/idna/", "/files/idna/x/y.whl"])
def test_nothing_is_posted_to_a_page(mirror: ServerProcess, path: str) -> None:
    reply = ask(mirror.url + path, method="POST")
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_upstream_that_fails_is_never_a_missing_project(
    mirror: ServerProcess, upstream: IndexServer, status: int
) -> None:
    project = f"frail{status}"
    upstream.add(make_wheel(project, "1.0"))
    fault = upstream.fault(f"/simple/{project}/", "status", status=status)
    reply = ask(f"{mirror.url}/simple/{project}/")
    assert reply.status == 502
    assert reply.headers["content-type"] == "application/problem+json"
    assert project in reply.json()["detail"]
    fault.left = 0
    assert ask(f"{mirror.url}/simple/{project}/").status == 200


def test_the_list_of_projects_has_those_that_were_asked_for(mirror: ServerProcess) -> None:
    ask(f"{mirror.url}/simple/pysocks/")
    deadline = 100
    names: set[str] = set()
    while "pysocks" not in names and deadline:  # it is put together anew every few seconds
        page = ask(f"{mirror.url}/simple/", accept=JSON, cache_control="no-cache").json()
        names = {entry["name"] for entry in page["projects"]}
        deadline -= 1
        if "pysocks" not in names:
            time.sleep(0.2)
    assert "pysocks" in names
    assert "no-such-project" not in names
    assert all(entry["_last-serial"] > 0 for entry in page["projects"])
    assert page["meta"]["_last-serial"] == max(entry["_last-serial"] for entry in page["projects"])


def test_without_sizes_from_upstream_no_version_is_claimed_that_promises_them(
    tmp_path: object, venvery: Venvery, index: IndexServer
) -> None:
    """Sizes are a must from version 1.1 on (PEP 700), and an index in HTML does not tell them."""
    index.settings = Settings(formats="html")
    with venvery.serve() as server:
        page = ask(f"{server.url}/simple/idna/", accept=JSON).json()
        assert page["meta"]["api-version"] == "1.0"
        assert "size" not in page["files"][0]
        first = page["files"][0]["upload-time"]
        assert datetime.fromisoformat(first) > datetime(2025, 1, 1, tzinfo=UTC), "first seen just now"
    with venvery.serve("--config", _short_freshness(venvery)) as server:
        index.add(make_wheel("idna", "9.9"))
        page = ask(f"{server.url}/simple/idna/", accept=JSON).json()
        times = {entry["filename"]: entry["upload-time"] for entry in page["files"]}
        assert times["idna-3.7-py3-none-any.whl"] == first, "it does not become younger"
        assert times["idna-9.9-py3-none-any.whl"] > first


def _short_freshness(venvery: Venvery, *more: str) -> str:
    path = venvery.folder / "short.toml"
    path.write_text("\n".join(["freshness-seconds = 0.05", *more]), encoding="utf-8")
    return str(path)


def test_pages_outlive_the_server_and_the_index(venvery: Venvery, index: IndexServer) -> None:
    with venvery.serve() as server:
        before = ask(f"{server.url}/simple/django/", accept=JSON)
        ask(f"{server.url}/simple/")
    index.forget()
    with venvery.serve() as server:
        assert ask(f"{server.url}/simple/django/", accept=JSON).headers["etag"] == before.headers["etag"]
        assert index.requests == (), "within the freshness window nobody is asked"
    index.close()
    with venvery.serve("--config", _short_freshness(venvery)) as server:
        stale = ask(f"{server.url}/simple/django/", accept=JSON)
        assert (stale.status, stale.body) == (200, before.body)
        assert stale.headers["warning"].startswith("110 ")
        assert stale.headers["cache-control"] == "no-cache"
        assert int(stale.headers["venvery-listings-age"]) >= 0
        assert ask(f"{server.url}/simple/idna/").status == 502, "nobody knows whether there is such a project"
        index.start()
        index.add(make_wheel("django", "6.0"))
        while (fresh := ask(f"{server.url}/simple/django/", accept=JSON)).headers.get("warning"):
            pass
        assert "6.0" in fresh.json()["versions"]


def test_a_folder_is_an_index_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("folder")
    tiny_world().write_flat(folder / "wheels")
    venvery = Venvery(folder)
    with venvery.serve("--no-index", "--find-links", folder / "wheels") as server:
        reply = ask(f"{server.url}/simple/requests/", accept=JSON)
        page = reply.json()
        assert page["versions"] == ["2.7.0", "2.32.3"]
        assert page["meta"]["api-version"] == "1.4"
        assert all(entry["upload-time"] for entry in page["files"])
        assert reply.headers["cache-control"] == "no-cache", "what is put there is seen at once"
        names = {entry["name"] for entry in ask(f"{server.url}/simple/", accept=JSON).json()["projects"]}
        assert {"django", "requests", "charset-normalizer"} <= names
        for entry in page["files"]:
            data = ask(urljoin(f"{server.url}/simple/requests/", entry["url"])).body
            assert len(data) == entry["size"]


def test_the_policy_on_releases_holds_for_every_client(venvery: Venvery, index: IndexServer) -> None:
    config = venvery.folder / "policy.toml"
    rules = [
        "[policy]",
        'blocked = ["urllib3<2", "sqlparse"]',
        'cool-down = "2 days"',
        'cool-down-exempt = ["idna"]',
    ]
    with venvery.serve() as server:
        before = ask(f"{server.url}/simple/urllib3/", accept=JSON)
        old = urljoin(f"{server.url}/simple/urllib3/", before.json()["files"][0]["url"])
        assert "1.26.20" in old
        assert ask(old).status == 200
    new = datetime.now(UTC)
    index.add(make_wheel("urllib3", "2.11"), upload_time=new)
    index.add(make_wheel("idna", "9.9"), upload_time=new)
    config.write_text("\n".join(["freshness-seconds = 0", *rules]) + "\n", encoding="utf-8")
    with venvery.serve("--config", config) as server:
        page = ask(f"{server.url}/simple/urllib3/", accept=JSON)
        assert page.json()["versions"] == ["2.2.0", "2.9.0", "2.10.0rc1", "3.0.0"], (
            "1.26.20 blocked, 2.11 too young"
        )
        assert page.headers["etag"] != before.headers["etag"]
        assert "9.9" in ask(f"{server.url}/simple/idna/", accept=JSON).json()["versions"]
        assert ask(f"{server.url}/simple/sqlparse/", accept=JSON).json()["files"] == []
        assert ask(old.replace(old[: old.index("/files/")], server.url)).status == 403
        assert ask(f"{server.url}/pypi/urllib3/1.26.20/json").status == 404
    with venvery.serve() as server:
        assert "1.26.20" in ask(f"{server.url}/simple/urllib3/", accept=JSON).json()["versions"]
