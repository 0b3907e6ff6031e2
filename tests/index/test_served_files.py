"""`/files/`: right bytes or none, as HTTP has them, and each fetched once."""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import zipfile
from io import BytesIO
from urllib.parse import urljoin, urlsplit

import pytest

from tests.index.asking import JSON, Reply, ask
from tests.support.index_server import IndexServer, Settings
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import BuiltFile, make_wheel


def url_of(server: ServerProcess, project: str, filename: str = "") -> str:
    """Give the URL that the project's page has for a file; the first one without a name."""
    base = f"{server.url}/simple/{project}/"
    entries = ask(base, accept=JSON).json()["files"]
    return urljoin(base, next(entry["url"] for entry in entries if entry["filename"] == filename or not filename))


def big_wheel(project: str, size: int = 1_500_000) -> BuiltFile:
    """Make a wheel that does not compress."""
    return make_wheel(project, "1.0", files={f"{project}/noise.bin": os.urandom(size)})


def metadata_of(wheel: bytes) -> bytes:
    """Read METADATA out of a wheel, by another way than the server does."""
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")))


def test_a_file_comes_whole_and_may_be_kept_for_ever(mirror: ServerProcess, upstream: IndexServer) -> None:
    wheel = upstream.add(big_wheel("whole"))
    url = url_of(mirror, "whole")
    assert wheel.sha256 in url
    for _ in ("while it comes in", "from here"):
        reply = ask(url)
        assert (reply.status, reply.body) == (200, wheel.data)
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert reply.headers["etag"] == f'"{wheel.sha256}"'
        assert reply.headers["content-length"] == str(len(wheel.data))
        assert reply.headers["x-content-type-options"] == "nosniff"
    assert len(upstream.asked("/files/whole-*.whl")) == 1
    assert ask(url, if_none_match=reply.headers["etag"]).status == 304


def test_what_a_client_has_is_not_even_fetched(mirror: ServerProcess, upstream: IndexServer) -> None:
    wheel = upstream.add(make_wheel("had", "1.0"))
    url = url_of(mirror, "had")
    assert ask(url, if_none_match=f'"{wheel.sha256}"').status == 304
    head = ask(url, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(wheel.data))
    assert upstream.asked("/files/had-*") == ()


@pytest.mark.parametrize("first", [True, False], ids=["not here yet", "here"])
def test_parts_of_a_file(mirror: ServerProcess, upstream: IndexServer, first: bool) -> None:
    project = f"parts{int(first)}"
    data = upstream.add(big_wheel(project, 5000)).data
    url = url_of(mirror, project)
    if not first:
        ask(url)

    def part(wanted: str, **more: str) -> Reply:
        return ask(url, range=f"bytes={wanted}", **more)

    total = len(data)
    for wanted, start, stop in (("0-99", 0, 100), ("4000-", 4000, total), ("-100", total - 100, total)):
        reply = part(wanted)
        assert (reply.status, reply.body) == (206, data[start:stop])
        assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{total}"
    assert part(f"10-{total * 2}").body == data[10:]
    for unsatisfiable in (f"{total}-", "-0"):
        reply = part(unsatisfiable)
        assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{total}")
    assert (part("0-1,5-6").status, part("0-1,5-6").body) == (200, data), "several parts: the whole is allowed"
    assert part("5-1").status == 200
    etag = ask(url).headers["etag"]
    assert part("0-9", if_range=etag).status == 206
    assert part("0-9", if_range='"another"').body == data
    assert ask(url, method="HEAD").headers["accept-ranges"] == "bytes"


def test_many_who_want_a_file_share_one_fetch(mirror: ServerProcess, upstream: IndexServer) -> None:
    wheel = upstream.add(big_wheel("wanted"))
    url = url_of(mirror, "wanted")
    upstream.fault("/files/wanted-*", "stall", seconds=1, times=1)
    got: list[bytes] = []
    threads = [threading.Thread(target=lambda: got.append(ask(url).body)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [wheel.data] * 12
    assert len(upstream.asked("/files/wanted-*")) == 1


def test_bytes_come_before_upstream_has_sent_all(mirror: ServerProcess, upstream: IndexServer) -> None:
    wheel = upstream.add(big_wheel("early"))
    url = url_of(mirror, "early")
    upstream.fault("/files/early-*", "truncate", after=1_000_000, times=1)
    stalled = upstream.fault("/files/early-*", "stall", seconds=3600, times=1)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET", parts.path)
    reply = connection.getresponse()
    assert reply.read(500_000) == wheel.data[:500_000], "while upstream has sent but a part, and now stalls"
    assert stalled.left in (0, 1)
    connection.close()


def test_a_broken_fetch_goes_on_where_it_ended(mirror: ServerProcess, upstream: IndexServer) -> None:
    wheel = upstream.add(big_wheel("resumed"))
    url = url_of(mirror, "resumed")
    upstream.fault("/files/resumed-*", "truncate", after=1_000_000, times=1)
    assert ask(url).body == wheel.data
    first, second = upstream.asked("/files/resumed-*")
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=")
    assert second.sent < len(wheel.data)


@pytest.mark.parametrize("kind", ["corrupt", "truncate", "garbage", "empty"])
def test_upstream_lies_and_nobody_has_a_wrong_file(
    mirror: ServerProcess, upstream: IndexServer, kind: str
) -> None:
    project = f"liar-{kind}"
    wheel = upstream.add(big_wheel(project.replace("-", "_")))
    url = url_of(mirror, project)
    fault = upstream.fault(f"/files/{project.replace('-', '_')}-*", kind, after=1000)  # type: ignore[arg-type]
    for _ in range(2):
        try:
            reply = ask(url)
        except http.client.IncompleteRead as cut:
            assert len(cut.partial) < len(wheel.data)
        except (ConnectionError, http.client.HTTPException):
            pass
        else:
            assert reply.status == 502, "a whole answer to a file that is not there"
            assert reply.headers["content-type"] == "application/problem+json"
    fault.left = 0
    assert ask(url).body == wheel.data


def test_a_file_that_upstream_does_not_give_is_a_gateway_s_fault(
    mirror: ServerProcess, upstream: IndexServer
) -> None:
    upstream.add(make_wheel("gone", "1.0"))
    url = url_of(mirror, "gone")
    for status in (404, 403, 500):
        fault = upstream.fault("/files/gone-*", "status", status=status)
        assert ask(url).status == 502
        fault.left = 0


def test_a_digest_is_not_a_permission(mirror: ServerProcess, upstream: IndexServer) -> None:
    """Only what the view lists is given, under the name and hash that it lists."""
    one = upstream.add(make_wheel("lister", "1.0"))
    url = url_of(mirror, "lister")
    assert ask(url).status == 200
    for wrong in (
        url.replace(one.sha256, hashlib.sha256(b"other").hexdigest()),
        url.replace("lister-1.0", "lister-2.0"),
        url.replace("/files/lister/", "/files/idna/"),
        url.replace("/files/lister/", "/files/Lister/"),
        url.replace("/files/", "/views/nowhere/files/"),
        f"{mirror.url}/files/lister/{one.sha256}/..%2f..%2fvenvery.sqlite",
        f"{mirror.url}/files/lister/at-{one.sha256}/{one.filename}",
    ):
        assert ask(wrong).status == 404, wrong
    assert ask(url.replace("/files/", "/views/default/files/")).body == one.data


@pytest.mark.parametrize("offered", ["on", "unhashed", "off", "silent"])
def test_metadata_is_the_very_bytes_of_the_wheel(venvery: Venvery, index: IndexServer, offered: str) -> None:
    index.settings.pep658 = offered  # type: ignore[assignment]
    wheel = index.add(make_wheel("sidecar", "1.0", requires=["idna>=2"]))
    with venvery.serve() as server:
        page = ask(f"{server.url}/simple/sidecar/", accept=JSON).json()
        (entry,) = page["files"]
        assert entry["core-metadata"], "every wheel has metadata, whatever upstream offers"
        url = urljoin(f"{server.url}/simple/sidecar/", entry["url"]) + ".metadata"
        reply = ask(url)
        assert reply.body == metadata_of(wheel.data)
        if offered == "on":
            assert entry["core-metadata"] == {"sha256": hashlib.sha256(reply.body).hexdigest()}
        assert index.asked("*.whl") == () or all(request.status == 206 for request in index.asked("*.whl"))
        index.close()
        assert ask(url).body == reply.body


def test_metadata_that_is_not_what_was_promised_is_refused(venvery: Venvery, index: IndexServer) -> None:
    index.settings.pep658 = "wrong-hash"
    with venvery.serve() as server:
        assert ask(url_of(server, "idna") + ".metadata").status == 502


def test_an_index_without_hashes_is_mirrored_too(venvery: Venvery, index: IndexServer) -> None:
    index.settings = Settings(formats="html", hashes=False)
    with venvery.serve() as server:
        url = url_of(server, "sqlparse")
        assert "/at-" in url
        listed = index.world.file("sqlparse-0.5.3-py3-none-any.whl")
        assert listed is not None
        reply = ask(url)
        assert reply.body == listed.file.data
        assert reply.headers["cache-control"] == "no-cache", "nobody promised that it stays the same"
        (entry,) = ask(f"{server.url}/simple/sqlparse/", accept=JSON).json()["files"]
        assert entry["hashes"] == {"sha256": listed.file.sha256}, "known now"
        assert entry["size"] == len(listed.file.data)
        assert ask(urljoin(f"{server.url}/simple/sqlparse/", entry["url"])).body == listed.file.data
        assert ask(url).body == listed.file.data, "a lock may have the first URL"


def test_files_stay_when_upstream_is_gone(venvery: Venvery, index: IndexServer) -> None:
    (venvery.folder / "short.toml").write_text("freshness-seconds = 0.05\n", encoding="utf-8")
    with venvery.serve("--config", venvery.folder / "short.toml") as server:
        url = url_of(server, "idna", "idna-3.7-py3-none-any.whl")
        data = ask(url).body
        index.close()
        assert ask(url).body == data
        other = url_of(server, "idna", "idna-2.10-py3-none-any.whl")
        assert ask(other).status == 502, "it was never fetched"


def test_provenance_is_handed_on(venvery: Venvery, index: IndexServer) -> None:
    """Upstream names where a file's attestations are; clients find them here."""
    page = index.world.project_json("idna", base="../../files/")
    provenance = b'{"version": 1, "attestation_bundles": []}'
    for entry in page["files"]:
        entry["provenance"] = f"{index.origin}/files/{entry['filename']}.proof"
    real = index._answer  # the index server has no attestations of its own

    def answer(path: str, headers: dict[str, str]):  # type: ignore[no-untyped-def]
        found = real(path, headers)
        if path == "/simple/idna/":
            import json

            found.body, found.status = json.dumps(page).encode(), 200
            found.headers["Content-Type"] = JSON
        elif path.endswith(".proof"):
            found.body, found.status = provenance, 200
        return found

    index._answer = answer  # type: ignore[method-assign]
    with venvery.serve() as server:
        (entry, _other) = ask(f"{server.url}/simple/idna/", accept=JSON).json()["files"]
        assert entry["provenance"] == entry["url"] + ".provenance"
        reply = ask(urljoin(f"{server.url}/simple/idna/", entry["provenance"]))
        assert reply.body == provenance
        assert reply.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
        assert ask(url_of(server, "sqlparse") + ".provenance").status == 404
