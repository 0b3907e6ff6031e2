"""Syncing a folder with a server: what is there afterwards, and what was asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.client.archives import PYTHON, SITE, Environment, library, listing, small
from tests.client.conftest import Sync
from tests.client.serving import ArchiveServer
from venvery.client.errors import ClientError, UsageError
from venvery.client.store import Store
from venvery.client.sync import up_to_date


def files_of(folder: Path) -> dict[str, bytes | str]:
    """Give what is in a folder: contents of files, targets of links."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and name != ".venvery/sync.json":
            found[name] = path.read_bytes()
    return found


def strays(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("env", "cache"))


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "tar"])
@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_it_is_what_tar_would_have_made(
    run: Sync, server: ArchiveServer, tmp_path: Path, encoding: str, processes: bool, workers: int
) -> None:
    server.encoding = encoding
    done = run(processes=processes, workers=workers)
    assert (done.changed, done.layers, done.linked) == (True, 3, 0)
    data = server.environment.tar(str(tmp_path / "env"))
    (tmp_path / "reference").mkdir()
    subprocess.run(["tar", "-x", "-C", str(tmp_path / "reference")], input=data, check=True)
    assert files_of(tmp_path / "env") == files_of(tmp_path / "reference")
    assert set(listing(data)) <= set(files_of(tmp_path / "env"))
    assert os.access(tmp_path / "env/bin/hello", os.X_OK)
    assert not os.access(tmp_path / f"env/{SITE}/big/__init__.py", os.X_OK)
    assert strays(tmp_path) == ["reference"]


def test_it_works(run: Sync, tmp_path: Path) -> None:
    run()
    said = subprocess.run(
        [str(tmp_path / "env/bin/python"), "-c", "import alpha, big, sys; print(big.VERSION, sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["1.0", str(tmp_path / "env")]


def test_unchanged_asks_nobody(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    assert run().changed
    before = {path: path.lstat().st_ino for path in (tmp_path / "env").rglob("*")}
    assert not run().changed
    assert len(server.asked) == 1
    assert {path: path.lstat().st_ino for path in (tmp_path / "env").rglob("*")} == before
    assert run(force=True).changed
    assert run("another request").changed
    assert len(server.asked) == 3


def test_what_makes_it_not_up_to_date(run: Sync, tmp_path: Path) -> None:
    env = tmp_path / "env"

    def spoil_state() -> None:
        (env / ".venvery/sync.json").write_text("{")

    def visit_by_an_installer() -> None:
        (env / SITE / "intruder-1.0.dist-info").mkdir()

    def lose_interpreter() -> None:
        (env / "bin/python").unlink()
        (env / "bin/python").symlink_to("/nonexistent/python")

    def lose_settings() -> None:
        (env / "pyvenv.cfg").unlink()

    for spoil in (spoil_state, visit_by_an_installer, lose_interpreter, lambda: env.rename(tmp_path / "moved")):
        run()
        assert up_to_date(str(env), "one")
        spoil()
        assert not up_to_date(str(env), "one")
    assert not up_to_date(str(tmp_path / "moved"), "one")
    run()
    lose_settings()
    assert not up_to_date(str(env), "one")


def test_changed_requirements_replace_it_exactly(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    run()
    (tmp_path / "env/left-behind").write_text("x")
    server.environment = Environment([library("alpha", version="2.0")])
    assert run("two").changed
    assert not (tmp_path / "env/left-behind").exists()
    assert not (tmp_path / f"env/{SITE}/big").exists()
    assert (tmp_path / f"env/{SITE}/alpha-2.0.dist-info").is_dir()
    assert strays(tmp_path) == []


def test_the_store_links_and_only_what_is_missing_travels(
    run: Sync, server: ArchiveServer, store: Store, tmp_path: Path
) -> None:
    first = run(store=store)
    assert sorted(store.digests()) == sorted(layer.digest for layer in server.environment.layers)
    server.environment = Environment([*small().layers, library("new")])
    second = run(directory=tmp_path / "other", store=store, processes=True)
    assert (second.layers, second.linked) == (4, 3)
    assert second.received < first.received / 2
    assert sorted(server.asked[1]["have"]) == sorted(layer.digest for layer in small().layers)
    for name in ("big/__init__.py", "alpha/deep1/module1.py"):
        one, other = (tmp_path / folder / SITE / name for folder in ("env", "other"))
        assert one.stat().st_ino == other.stat().st_ino
        assert one.stat().st_nlink == 3
    assert files_of(tmp_path / "other").keys() > files_of(tmp_path / "env").keys()


def test_copies_where_links_are_not_wanted(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    from venvery.client.store import open_store

    store = open_store(str(tmp_path / "cache"), mode="copy")
    run(store=store)
    assert run(directory=tmp_path / "other", store=store).linked == 3
    path = f"{SITE}/big/__init__.py"
    assert (tmp_path / "env" / path).stat().st_nlink == (tmp_path / "other" / path).stat().st_nlink == 1
    theirs = {name: data for name, data in files_of(tmp_path / "other").items() if name.startswith("lib/")}
    assert theirs == {name: data for name, data in files_of(tmp_path / "env").items() if name.startswith("lib/")}


@pytest.mark.parametrize("able", [True, False])
def test_clones_where_the_file_system_can(
    run: Sync, server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    """Cloning is the system's work; here it is done by a copy, or it is refused as most file systems do."""
    from venvery.client import store as store_module

    asked = []

    def clone(reading: int, writing: int) -> bool:
        asked.append(1)
        if able:
            os.write(writing, os.read(reading, 1 << 24))
        return able

    monkeypatch.setattr(store_module, "_clone", clone)
    store = store_module.open_store(str(tmp_path / "cache"), mode="reflink")
    run(store=store, workers=1)
    assert run(directory=tmp_path / "other", store=store, workers=1).linked == 3
    assert (len(asked) > 20) if able else (len(asked) == 1)
    one, other = (files_of(tmp_path / name) for name in ("env", "other"))
    assert {name: data for name, data in one.items() if name.startswith("lib/")} == {
        name: data for name, data in other.items() if name.startswith("lib/")
    }
    assert (tmp_path / f"other/{SITE}/big/__init__.py").stat().st_nlink == 1


def test_a_huge_layer_is_hashed_aside(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    """Its digest is that of all its bytes in order, and a wrong one is found as in any other."""
    from tests.client.archives import Layer, fragment
    from venvery.client.errors import ArchiveError
    from venvery.client.unpack import LARGE

    big = {f"{SITE}/huge/{name}.bin": os.urandom(1 << 20) * (LARGE // 3 >> 20) for name in "abcd"}
    layer = Layer("huge", fragment(big))
    assert layer.named()["size"] > LARGE
    server.environment = Environment([layer, library("alpha")])
    run()
    assert {name: (tmp_path / "env" / name).read_bytes() for name in big} == big
    spoilt = Layer("huge", layer.data[:-600] + b"x" + layer.data[-599:])
    server.environment = Environment([layer], frames={0: spoilt.frames})
    with pytest.raises(ArchiveError, match=r"its digest is another|damaged|not as long"):
        run("two")
    assert {name: (tmp_path / "env" / name).read_bytes() for name in big} == big


def test_later_layers_win(run: Sync, server: ArchiveServer, store: Store, tmp_path: Path) -> None:
    """Two wheels that both ship `tests/` are common; the outcome is that of `tar -x`, in every order."""
    from tests.client.archives import Layer, fragment

    def shipping(project: str) -> Layer:
        files = {f"{SITE}/tests/{n}.py": f"{project} {n}".encode() for n in range(20)}
        files["bin/hello"] = project.encode()
        return Layer(project, fragment(files))

    names = ["one", "two", "three", "four"]
    server.environment = Environment([shipping(name) for name in names])
    for directory in ("env", "again"):
        run(directory=tmp_path / directory, store=store, workers=4)
        for n in range(20):
            assert (tmp_path / directory / SITE / f"tests/{n}.py").read_text() == f"four {n}"
        assert (tmp_path / directory / "bin/hello").read_text() == "four"
        assert not (tmp_path / directory / ".venvery/conflicts").exists()
    server.environment = Environment([shipping(name) for name in reversed(names)])
    assert run(directory=tmp_path / "third", store=store, processes=True).linked == 4
    assert {p.read_text().split()[0] for p in (tmp_path / "third" / SITE / "tests").iterdir()} == {"one"}


def test_folders_that_cannot_be_used(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("ten years of work")
    file = tmp_path / "file"
    file.write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for directory, said in (
        (precious, "is not empty and is no virtualenv"),
        (file, "is a file"),
        (file / "below", "is a file"),
        (tmp_path / "loop", "leads back to itself"),
        (tmp_path / "line\nbreak", "control character"),
        (Path("/"), "cannot be an environment"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            run(directory=directory)
        assert caught.value.exit_code == 2
    assert server.asked == []
    assert [path.name for path in precious.iterdir()] == ["chapter1.tex"]


def test_folders_that_can(run: Sync, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run(directory=tmp_path / "empty")
    run(directory=tmp_path / "a/b/c")
    real = tmp_path / "elsewhere/env"
    (tmp_path / "link").symlink_to(real)
    run(directory=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    for folder in ("empty", "a/b/c", "link", "elsewhere/env"):
        assert (tmp_path / folder / "pyvenv.cfg").is_file()
    assert not run(directory=tmp_path / "link").changed


def test_the_state_names_what_was_made(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    run()
    state = json.loads((tmp_path / "env/.venvery/sync.json").read_text())
    assert state["key"] == server.environment.key
    assert state["server"] == server.url
    assert state["interpreter"]["path"] == os.path.realpath(PYTHON)


def test_a_damaged_store_mends_itself(run: Sync, server: ArchiveServer, store: Store, tmp_path: Path) -> None:
    run(store=store)
    edited = tmp_path / f"env/{SITE}/alpha/__init__.py"
    os.utime(edited)
    with edited.open("a") as file:
        file.write("# edited in place\n")
    kept = {path.stat().st_ino: path for path in Path(store.root).glob("layers/*/files/*")}
    kept[(tmp_path / f"env/{SITE}/big/__init__.py").stat().st_ino].unlink()
    done = run(directory=tmp_path / "other", store=store)
    assert (done.layers, done.linked) == (3, 1)
    assert "edited" not in (tmp_path / f"other/{SITE}/alpha/__init__.py").read_text()
    assert (tmp_path / f"other/{SITE}/big/__init__.py").exists()
    assert run(directory=tmp_path / "third", store=store).linked == 3
    assert "edited" not in (tmp_path / f"third/{SITE}/alpha/__init__.py").read_text()


def test_a_store_that_cannot_be_written(run: Sync, tmp_path: Path) -> None:
    from venvery.client.store import open_store

    (tmp_path / "cache").write_text("not a folder")
    assert open_store(str(tmp_path / "cache")) is None
    assert run(store=None).changed


def test_it_stays_when_the_server_refuses(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    run()
    before = files_of(tmp_path / "env")
    problem = {
        "type": "urn:venvery:problem:unsatisfiable",
        "title": "No",
        "status": 422,
        "detail": "a wants b",
        "hint": "drop a",
    }
    server.answers = [(422, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())]
    with pytest.raises(ClientError, match="a wants b") as caught:
        run("two")
    error = caught.value
    assert (error.exit_code, error.status, error.hint, error.type) == (1, 422, "drop a", problem["type"])
    assert files_of(tmp_path / "env") == before
    assert strays(tmp_path) == []


@pytest.mark.parametrize("processes", [False, True])
def test_a_large_layer_of_the_store_is_shared_out(
    run: Sync,
    server: ArchiveServer,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: bool,
) -> None:
    """Several workers put it in place, each some of its folders; when one finds damage, all of it comes anew."""
    from venvery.client import lanes

    monkeypatch.setattr(lanes, "LINKS", 2)
    server.environment = Environment([library("many", files=40), library("other", files=9)])
    assert run(store=store, workers=3, processes=processes).linked == 0
    whole = {name: data for name, data in files_of(tmp_path / "env").items() if name.startswith("lib/")}
    linked = run("two", directory=tmp_path / "two", store=store, workers=3, processes=processes)
    assert (linked.linked, linked.received < 4000) == (2, True)
    (tmp_path / "env" / SITE / "many/deep2/module2.py").write_text("edited in place\n")
    mended = run("three", directory=tmp_path / "three", store=store, workers=3, processes=processes)
    assert mended.linked == 1
    for folder in ("two", "three"):
        found = {name: data for name, data in files_of(tmp_path / folder).items() if name.startswith("lib/")}
        assert found.keys() == whole.keys()
    assert found == whole
