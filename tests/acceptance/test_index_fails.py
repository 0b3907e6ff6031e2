"""Indexes that are down, slow, or answer nonsense: clear words, exit code 3, and the next run is right."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.helpers import TINY, Answer, asks, check_environment, curl, refuses
from tests.support.index_server import FaultKind, IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import BrokenWheel, make_wheel

MAIN_JOB = ("django>=1.8", "requests>=2.7")
WHEEL = "django-5.2-py3-none-any.whl"


def recovers(venvery: Venvery, environment: Path) -> None:
    """Insist that nothing was half-written and that the next run is right."""
    assert not environment.exists()
    venvery("sync", *MAIN_JOB, environment).check()
    check_environment(environment, TINY)


def test_an_index_that_is_down(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.close()
    result = venvery("sync", *MAIN_JOB, tmp_path / "env")
    refuses(result, 3, rf"127\.0\.0\.1:{index.port}")
    assert result.seconds < 30
    index.start()
    recovers(venvery, tmp_path / "env")


def test_a_name_that_does_not_resolve(venvery: Venvery) -> None:
    refuses(venvery("resolve", "idna", "--index-url", "http://index.invalid/simple/"), 3, r"index\.invalid")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_index_that_refuses_or_breaks(
    venvery: Venvery, index: IndexServer, tmp_path: Path, status: int
) -> None:
    fault = index.fault("/simple/requests/", "status", status=status)
    refuses(venvery("sync", *MAIN_JOB, tmp_path / "env"), 3, "requests", str(status))
    fault.left = 0
    recovers(venvery, tmp_path / "env")


NONSENSE = [
    ("garbage", "/simple/{project}/"),
    ("empty", "/simple/{project}/"),
    ("truncate", "/simple/{project}/"),
    ("corrupt", "/files/{wheel}"),
    ("truncate", "/files/{wheel}"),
    ("garbage", "/files/{wheel}"),
    ("empty", "/files/{wheel}"),
    ("corrupt", "/files/{wheel}.metadata"),
    ("garbage", "/files/{wheel}.metadata"),
    ("empty", "/files/{wheel}.metadata"),
    ("truncate", "/files/{wheel}.metadata"),
]


@pytest.mark.parametrize("case", range(len(NONSENSE)), ids=[f"{kind} {where}" for kind, where in NONSENSE])
def test_nonsense_is_never_believed(
    shared_server: ServerProcess, shared_index: IndexServer, tmp_path: Path, case: int
) -> None:
    """Whatever comes for it, the project is refused; as soon as the index is well, it is there."""
    kind: FaultKind = NONSENSE[case][0]  # type: ignore[assignment]
    project = f"frail{case}"
    wheel = shared_index.add(make_wheel(project, "1.0")).filename
    fault = shared_index.fault(NONSENSE[case][1].format(project=project, wheel=wheel), kind, after=50)
    problem = environment_of(shared_server, tmp_path, project).problem(502, project)
    assert problem["detail"].count("\n") == 0
    fault.left = 0
    assert environment_of(shared_server, tmp_path, project).status == 200


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("garbage", "/simple/requests/"), ("corrupt", f"/files/{WHEEL}"), ("truncate", "/files/*")],
)
def test_the_command_does_not_believe_it_either(
    venvery: Venvery, index: IndexServer, tmp_path: Path, kind: FaultKind, pattern: str
) -> None:
    fault = index.fault(pattern, kind, after=50)
    refuses(venvery("sync", *MAIN_JOB, tmp_path / "env"), 3, index.origin)
    fault.left = 0
    recovers(venvery, tmp_path / "env")


def environment_of(server: ServerProcess, folder: Path, *requirements: str) -> Answer:
    """Ask a server for an environment."""
    return curl(
        folder,
        f"{server.url}/v1/environments?prefix=/srv/e",
        *("--data-binary", f"@{asks(folder, *requirements)}", "-H", "Accept: application/x-tar+gzip"),
    )


def test_a_listing_with_wrong_hashes(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    listed = index.world.file(WHEEL)
    assert listed is not None
    index.add(listed.file, claimed_sha256=hashlib.sha256(b"something else").hexdigest())
    refuses(venvery("sync", *MAIN_JOB, tmp_path / "env"), 3, WHEEL, "hash|sha256|promised")
    assert not (tmp_path / "env").exists()


def test_metadata_with_a_wrong_hash(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.settings.pep658 = "wrong-hash"
    result = venvery("sync", *MAIN_JOB, tmp_path / "env")
    if result.code == 0:
        check_environment(tmp_path / "env", TINY)
    else:
        refuses(result, 3, r"\.whl", "sha-?256")


def test_short_troubles_are_got_over(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.fault("/simple/requests/", "status", status=503, times=1)
    index.fault("/simple/django/", "status", status=429, times=1, retry_after="1")
    index.fault("/simple/idna/", "reset", times=1)
    index.fault("/files/*", "reset", times=1)
    index.fault(f"/files/{WHEEL}", "truncate", after=50, times=1)
    result = venvery("sync", *MAIN_JOB, tmp_path / "env").check()
    assert result.seconds < 20
    check_environment(tmp_path / "env", TINY)


def test_retry_after_is_obeyed(venvery: Venvery, index: IndexServer) -> None:
    index.fault("/simple/idna/", "status", status=429, times=1, retry_after="2")
    result = venvery("resolve", "idna").check()
    assert result.seconds > 1.9


def test_a_slow_index_is_waited_for(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.fault("/simple/*", "stall", seconds=0.5)
    index.fault(f"/files/{WHEEL}", "drip", seconds=2)
    venvery("sync", *MAIN_JOB, tmp_path / "env").check()
    check_environment(tmp_path / "env", TINY)


def test_a_file_that_vanished(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    fault = index.fault(f"/files/{WHEEL}", "status", status=404)
    refuses(venvery("sync", *MAIN_JOB, tmp_path / "env"), 3, WHEEL)
    fault.left = 0
    recovers(venvery, tmp_path / "env")


def test_endless_redirects(venvery: Venvery, index: IndexServer) -> None:
    index.fault("/simple/idna/", "redirect", location="/simple/idna/")
    refuses(venvery("resolve", "idna"), 3, "idna")


def test_redirects_to_files_of_the_machine(venvery: Venvery, index: IndexServer) -> None:
    index.fault("/simple/idna/", "redirect", location="file:///etc/passwd")
    refuses(venvery("resolve", "idna"), 3, "idna")


@pytest.mark.parametrize(
    "defect",
    [
        *("parent-member", "absolute-member", "symlink-member", "symlinked-folder", "truncated", "not-a-zip"),
        *("corrupt-member", "wrong-record", "no-record", "no-wheel-file", "escaping-entry-point"),
        *("wrong-name", "wrong-version", "future-wheel-version", "duplicate-member", "missing-member"),
        *("backslash-member", "case-clash", "no-dist-info"),
    ],
)
def test_broken_wheels_are_refused(
    shared_server: ServerProcess, shared_index: IndexServer, tmp_path: Path, defect: BrokenWheel
) -> None:
    project = f"broken-{defect}"
    shared_index.add(make_wheel(project, "1.0", broken=[defect]))
    answer = environment_of(shared_server, tmp_path, project)
    if defect in ("case-clash", "missing-member") and answer.status == 200:
        # two names on this machine's file system; a line too many in RECORD, which was set right
        (tmp_path / "e").mkdir()
        subprocess.run(["tar", "-xz", "-C", str(tmp_path / "e")], input=answer.body, check=True)
        record = next((tmp_path / "e").glob("lib/*/site-packages/*.dist-info/RECORD"))
        assert all((record.parent.parent / line.split(",")[0]).exists() for line in record.read_text().split())
        return
    assert answer.status in (422, 502), answer.body
    answer.problem(answer.status, project.replace("-", "[-_]"))
    assert not Path("/tmp/venvery-escaped.txt").exists()


def test_metadata_that_does_not_parse_passes_over_to_an_older_release(
    venvery: Venvery, index: IndexServer
) -> None:
    """As pip does: a release that cannot be read is no candidate, and that is said."""
    index.add(make_wheel("idna", "3.9", broken=["bad-metadata"]))
    result = venvery("resolve", "idna").check()
    assert "idna==3.7" in result.stdout


def test_huge_metadata_and_bombs_are_survived(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.add(make_wheel("huge", "1.0", broken=["huge-metadata"]))
    result = venvery("sync", "huge", tmp_path / "env")
    assert result.code in (0, 1, 3), str(result)
    assert "Traceback" not in result.stderr


def test_the_server_says_502_and_recovers(
    server: ServerProcess, venvery: Venvery, index: IndexServer, tmp_path: Path
) -> None:
    fault = index.fault("/simple/requests/", "status", status=500)
    body = json.dumps({"requirements": list(MAIN_JOB)})
    arguments = ("-H", "Content-Type: application/json", "-d", body)
    problem = curl(tmp_path, f"{server.url}/v1/resolve", *arguments).problem(502, "requests", "500")
    assert "http" in problem["type"] or ":" in problem["type"] or problem["type"].startswith("/")
    refuses(venvery("sync", "--server", server.url, *MAIN_JOB, tmp_path / "env"), 3, "requests")
    fault.left = 0
    venvery("sync", "--server", server.url, "-r", asks(tmp_path), tmp_path / "env").check()
    check_environment(tmp_path / "env", TINY)
    assert "Traceback" not in server.said


def test_a_wrong_hash_ends_a_stream_visibly(server: ServerProcess, index: IndexServer, tmp_path: Path) -> None:
    """The archive is not begun before every layer is there, so curl sees a problem and not half a tar."""
    index.fault(f"/files/{WHEEL}", "corrupt")
    answer = curl(
        tmp_path,
        f"{server.url}/v1/environments?prefix=/srv/e",
        *("--data-binary", f"@{asks(tmp_path)}", "-H", "Accept: application/x-tar+gzip"),
    )
    answer.problem(502, WHEEL)
