"""Full disks, killed processes, several at once, stores that cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.client.archives import PYTHON, SITE, Environment, library, small
from tests.client.conftest import Sync
from tests.client.serving import ArchiveServer
from tests.client.test_client_sync import files_of, strays
from venvery.client import store as store_module
from venvery.client import switch
from venvery.client.errors import LocalError
from venvery.client.store import Store, open_store
from venvery.client.sync import up_to_date

ROOT = Path(__file__).resolve().parents[2]

CHILD = f"""
import sys, resource
from venvery.client.sync import SyncRequest, sync
from venvery.client.store import open_store
from venvery.client.errors import ClientError
from venvery.client.transport import HttpTransport
url, directory, digest, cache, processes, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
request = SyncRequest({{"requirements": [], "python": {PYTHON!r}}}, digest, {PYTHON!r}, url)
try:
    done = sync(directory, request, HttpTransport(url, environ={{}}), store=open_store(cache) if cache else None,
                processes=processes == "1", workers=2)
except ClientError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
print("changed" if done.changed else "same")
"""


def child(
    server: ArchiveServer,
    directory: Path,
    digest: str,
    *,
    cache: str = "",
    processes: bool = False,
    limit: int = 0,
) -> subprocess.Popen[str]:
    words = [server.url, str(directory), digest, cache, str(int(processes)), str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *words],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def code_of(process: subprocess.Popen[str]) -> int:
    """Wait for a child and give its exit code."""
    process.communicate(timeout=30)
    return process.returncode


def works(env: Path) -> set[str]:
    """Run the environment's interpreter and import what is installed; give the names."""
    names = sorted(path.name for path in (env / SITE).iterdir() if not path.name.endswith(".dist-info"))
    code = "import " + ", ".join(names) + "; print('fine')"
    done = subprocess.run([str(env / "bin/python"), "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
    return set(names)


@pytest.mark.parametrize("processes", [False, True])
def test_kill_at_any_moment(server: ArchiveServer, tmp_path: Path, processes: bool) -> None:
    """After every kill the folder is the old or the new environment, whole; at the end nothing is left over."""
    env, cache = tmp_path / "env", tmp_path / "cache"
    worlds = [Environment([library(name, files=40, size=3000) for name in names]) for names in ("ab", "bc")]
    wanted = [set("ab"), set("bc")]
    server.environment = worlds[0]
    process = child(server, env, "0", cache=str(cache), processes=processes)
    assert code_of(process) == 0
    began = time.monotonic()
    process = child(server, env, "undisturbed", processes=processes)
    assert code_of(process) == 0
    length = time.monotonic() - began
    holds, survived = wanted[0], 0
    for number in range(20):
        server.environment = worlds[number % 2]
        process = child(server, env, f"{number}", cache=str(cache), processes=processes)
        time.sleep(length * (0.3 + 0.8 * number / 20))
        process.send_signal(signal.SIGKILL)
        survived += code_of(process) == 0
        holds_now = works(env)
        assert holds_now in (holds, wanted[number % 2])
        if up_to_date(str(env), f"{number}"):
            assert holds_now == wanted[number % 2]
        holds = holds_now
    assert survived < 20
    last = child(server, env, "last", cache=str(cache), processes=processes)
    assert code_of(last) == 0
    assert works(env) == wanted[1]
    assert strays(tmp_path) == []
    fresh = child(server, tmp_path / "fresh", "x", cache=str(cache))
    assert code_of(fresh) == 0
    reference = child(server, tmp_path / "reference", "x")
    assert code_of(reference) == 0
    site = f"{SITE}/"
    found, expected = (
        {name: data for name, data in files_of(tmp_path / which).items() if name.startswith(site)}
        for which in ("fresh", "reference")
    )
    assert found == expected  # the store holds nothing half


def test_several_at_once(server: ArchiveServer, tmp_path: Path) -> None:
    same = [child(server, tmp_path / "env", "same", cache=str(tmp_path / "cache")) for _ in range(4)]
    said = sorted(process.communicate(timeout=30)[0].strip() for process in same)
    assert said == ["changed", "same", "same", "same"]
    assert len(server.asked) == 1
    others = [child(server, tmp_path / "env", f"{n}", cache=str(tmp_path / "cache")) for n in range(3)]
    assert [process.communicate(timeout=30)[0].strip() for process in others] == ["changed"] * 3
    apart = [child(server, tmp_path / f"e{n}", "x", cache=str(tmp_path / "c2"), processes=True) for n in range(3)]
    assert [process.communicate(timeout=30)[0].strip() for process in apart] == ["changed"] * 3
    for folder in ("env", "e0", "e1", "e2"):
        assert works(tmp_path / folder) == {"alpha", "big", "gamma"}
    assert strays(tmp_path) == ["c2", "e0", "e1", "e2"]
    assert len(list((tmp_path / "c2/store-2/layers").iterdir())) == 3
    assert list((tmp_path / "c2/store-2/tmp").iterdir()) == []


def test_threads_of_one_process(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run("same").changed)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]


@pytest.mark.parametrize("processes", [False, True])
def test_files_that_cannot_grow(server: ArchiveServer, tmp_path: Path, processes: bool) -> None:
    """A limit on file sizes fails writes as a full disk does."""
    assert code_of(child(server, tmp_path / "env", "old")) == 0
    before = files_of(tmp_path / "env")
    server.environment = Environment([library("alpha", files=3, size=200_000)])
    process = child(server, tmp_path / "env", "new", processes=processes, limit=20_000)
    said, error = process.communicate(timeout=30)
    assert process.returncode == 3, error
    assert said.startswith("LocalError ")
    assert "alpha 1.0 cannot be written" in said or "disk is full" in said
    assert files_of(tmp_path / "env") == before
    assert strays(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=400", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here; the limit on file sizes is tested instead")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("processes", [False, True])
def test_a_full_disk(run: Sync, server: ArchiveServer, small_disk: Path, processes: bool) -> None:
    env = small_disk / "env"
    run("old", directory=env)
    before = files_of(env)
    for layers in ([library("bulky", files=30, size=200_000)], [library("many", files=500, size=10)]):
        server.environment = Environment(layers)
        with pytest.raises(LocalError, match=r"No space left|disk is full"):
            run("new", directory=env, processes=processes)
        assert files_of(env) == before
        assert strays(small_disk) == []


def test_a_full_store_is_done_without(run: Sync, server: ArchiveServer, small_disk: Path, tmp_path: Path) -> None:
    server.environment = Environment([library("bulky", files=30, size=200_000), library("alpha")])
    store = open_store(str(small_disk / "cache"))
    assert store is not None
    assert run(store=store).changed
    assert works(tmp_path / "env") == {"bulky", "alpha"}
    assert list((small_disk / "cache/store-2/tmp").iterdir()) == []
    assert store.digests() in ([], [server.environment.layers[1].digest])


def test_a_store_on_another_device_is_copied_from(run: Sync, small_disk: Path, tmp_path: Path) -> None:
    store = open_store(str(small_disk / "cache"))
    run(store=store)
    assert run(directory=tmp_path / "other", store=open_store(str(small_disk / "cache"))).linked == 3
    assert (tmp_path / f"other/{SITE}/big/__init__.py").stat().st_nlink == 1
    theirs, ours = files_of(tmp_path / "env"), files_of(tmp_path / "other")
    assert {n: d for n, d in theirs.items() if n.startswith("lib/")} == {
        n: d for n, d in ours.items() if n.startswith("lib/")
    }


def test_a_read_only_store_is_read(run: Sync, small_disk: Path, tmp_path: Path) -> None:
    first = open_store(str(small_disk / "cache"))
    run(store=first)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        store = open_store(str(small_disk / "cache"))
        assert store is not None
        assert not store.writable
        assert run(directory=tmp_path / "other", store=store).linked == 3
        assert works(tmp_path / "other") == {"alpha", "big", "gamma"}
        assert store.tidy() == 0
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_the_store_keeps_within_its_limit(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "cache"), limit=300_000)
    assert store is not None
    for number, name in enumerate(("one", "two", "three", "four", "five")):
        server.environment = Environment([library(name, files=20)])
        run(name, directory=tmp_path / "env", store=store)
        for path in Path(store.root, "layers").iterdir():
            used = path.stat().st_mtime
            os.utime(path, (used - 100, used - 100))
        assert store.tidy() <= 300_000, number
    assert server.environment.layers[0].digest in store.digests()
    assert 1 <= len(store.digests()) < 5


def test_a_layer_in_use_is_not_evicted(run: Sync, store: Store, tmp_path: Path) -> None:
    run(store=store)
    held = store.digests()[0]
    lock = store_module._hold(store._at(held), exclusive=False)
    store.limit = 0
    store.tidy()
    assert store.digests() == [held]
    os.close(lock)
    store.tidy()
    assert store.digests() == []


def test_what_dead_runs_left_is_cleared(run: Sync, store: Store, tmp_path: Path) -> None:
    dead = Path(store.root, "tmp/dead")
    (dead / "files").mkdir(parents=True)
    alive = Path(store.root, "tmp/alive")
    alive.mkdir()
    lock = store_module._hold(str(alive))
    store.tidy(now=time.time() + 30)
    assert dead.exists()  # a run that has not locked it yet has a moment for it
    store.tidy(now=time.time() + 100)
    assert not dead.exists()
    assert alive.exists()
    os.close(lock)
    beside = tmp_path / ".venvery-env.new-0123456789abcdef"
    (beside / "lib").mkdir(parents=True)
    (beside / "lib").chmod(0o500)
    others = tmp_path / ".venvery-env2.new-0123456789abcdef"
    others.mkdir()
    run()
    assert not beside.exists()
    assert others.exists()


def test_without_an_exchange_two_renames_and_a_note(
    run: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "exchange", lambda one, other: False)
    run()
    run("two")
    assert up_to_date(str(tmp_path / "env"), "two")
    assert strays(tmp_path) == []


def test_a_note_of_a_dead_run_brings_the_old_environment_back(
    run: Sync, server: ArchiveServer, tmp_path: Path
) -> None:
    """As after a kill between the two renames: the next run repairs, even if it then fails itself."""
    run()
    before = files_of(tmp_path / "env")
    (tmp_path / "env").rename(tmp_path / ".venvery-env.new-00112233445566ff")
    (tmp_path / ".venvery-env.swap").write_text("new-00112233445566ff")
    server.answers = [(400, {}, b"")]
    with pytest.raises(Exception, match="400"):
        run("two")
    assert files_of(tmp_path / "env") == before
    assert strays(tmp_path) == []


def test_a_failing_rename_puts_the_old_one_back(
    run: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    before = files_of(tmp_path / "env")

    def broken(one: str, other: str) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(switch, "exchange", broken)
    with pytest.raises(LocalError, match="Input/output error"):
        run("two")
    assert files_of(tmp_path / "env") == before
    assert strays(tmp_path) == []


def test_a_parent_that_cannot_be_written(run: Sync, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="cannot be written"):
        run(directory=Path("/proc/nowhere/env"))


def test_a_lock_file_is_never_left(run: Sync, tmp_path: Path) -> None:
    run()
    shutil.rmtree(tmp_path / "env")
    run()
    assert strays(tmp_path) == []
    assert small().key


@pytest.mark.pythons("3.8", "3.9", "3.13")
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.13"])
def test_other_pythons_run_it(server: ArchiveServer, tmp_path: Path, version: str) -> None:
    """The oldest that is promised, without zstd of its own, and the newest there is."""
    from tests.support.machine import find_python

    python = find_python(version)
    assert python is not None
    script = textwrap.dedent(CHILD)
    for number in range(2):
        done = subprocess.run(
            [
                str(python),
                "-W",
                "error",
                "-c",
                script,
                server.url,
                str(tmp_path / "env"),
                "x",
                str(tmp_path / "c"),
                "1",
                "0",
            ],
            env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, ("changed", "same")[number]), done.stderr
    assert works(tmp_path / "env") == {"alpha", "big", "gamma"}
