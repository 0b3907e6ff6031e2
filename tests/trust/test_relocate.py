"""Environments that were moved, and what mends them."""

from __future__ import annotations

import json
import shutil
import stat
from functools import lru_cache
from pathlib import Path

import pytest

from tests.environments.workshop import WINDOWS, Workshop, run, tree, unpack
from tests.support.machine import find_python
from tests.support.wheels import make_wheel
from tests.trust.test_kernels import PLACE
from venvery.client.state import write_state
from venvery.errors import AnswerIsNo, BadInput, VerificationFailed
from venvery.services import relocating
from venvery.services.relocating import relocate


def python(version: str = "3.11") -> str:
    found = find_python(version)
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return str(found)


def wheel():  # type: ignore[no-untyped-def]
    return make_wheel(
        "program",
        "1.0",
        files={"program.py": "def main():\n    import sys\n    print('hello', sys.prefix)\n"},
        entry_points={"console_scripts": {"hello": "program:main"}},
        scripts={"old": "#!python\nimport program\nprogram.main()\n", "plain": "#!/bin/sh\necho plain\n"},
        data={f"data/{PLACE}": json.dumps({"argv": ["python", "-m", "x"]})},
    )


@pytest.fixture
def made(workshop: Workshop, tmp_path: Path) -> Path:
    """Give an environment in `made`, with what sync remembers of it."""
    place = tmp_path / "made"
    workshop.install([wheel()], place, python=python(), python_version="3.11.0")
    write_state(
        str(place),
        {
            "request": "sha256:1", "directory": str(place), "python": "bin/python", "interpreter": None,
            "packages": {}, "head": {"python": python(), "prefix": str(place)},
        },
    )  # fmt: skip
    return place


@pytest.mark.parametrize("name", ["moved", "it's $HOME", "m" * 130])
def test_after_it_all_is_as_if_it_had_been_made_there(
    workshop: Workshop, made: Path, tmp_path: Path, name: str
) -> None:
    place = tmp_path / name
    shutil.move(made, place)
    with pytest.raises(FileNotFoundError):
        run([place / "bin/hello"])
    done = relocate(place)
    assert "bin/hello" in done.changed and ".venvery/head.json" in done.changed
    for script in ("hello", "old"):
        assert run([place / "bin" / script]).stdout == f"hello {place}\n"
    assert run([place / "bin/plain"]).stdout == "plain\n"
    assert run(["sh", "-c", '. "$1/bin/activate"; echo $VIRTUAL_ENV', "sh", place]).stdout == f"{place}\n"
    assert json.loads((place / PLACE).read_bytes())["argv"][0] == f"{place}/bin/python"
    assert json.loads((place / ".venvery/sync.json").read_bytes())["directory"] == str(place)
    after = tree(place)
    shutil.rmtree(place)
    version = run([python(), "-c", "import platform; print(platform.python_version())"]).stdout.strip()
    workshop.install([wheel()], place, python=done.python, python_version=version)
    there = tree(place)
    for documents in (after, there):
        documents.pop(".venvery/sync.json", None)
        about = json.loads(documents.pop(".venvery/head.json")[1])
        assert (about["prefix"], about["python"]) == (str(place), done.python)
    assert after == there


def test_twice_is_once(made: Path, tmp_path: Path) -> None:
    shutil.move(made, tmp_path / "moved")
    assert relocate(tmp_path / "moved").changed
    before = {path: path.lstat().st_ino for path in (tmp_path / "moved").rglob("*")}
    assert relocate(tmp_path / "moved").changed == ()
    assert before == {path: path.lstat().st_ino for path in (tmp_path / "moved").rglob("*")}


def test_one_that_died_is_completed_by_the_next(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "moved"
    shutil.move(made, place)
    expected = None
    real = Path.replace
    monkeypatch.setattr(relocating, "identify", lru_cache(relocating.identify))
    for most in range(40):
        copy = tmp_path / f"copy-{most}"
        shutil.copytree(place, copy, symlinks=True)
        left = [most]

        def replace(self: Path, target: Path, left: list[int] = left) -> Path:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        try:
            relocate(copy)
            finished = True
        except KeyboardInterrupt:
            finished = False
        monkeypatch.setattr(Path, "replace", real)
        relocate(copy)
        content = {name: entry for name, entry in tree(copy).items() if not name.endswith("head.json")}
        content = {name: (kind, data.replace(str(copy).encode(), b"@")) for name, (kind, data) in content.items()}
        content = {name: (kind, data.replace(copy.name.encode(), b"@")) for name, (kind, data) in content.items()}
        expected = expected or content
        assert content == expected
        if finished:
            assert most > 8
            return
    raise AssertionError("it never finished")


def test_another_interpreter(made: Path) -> None:
    link = made.parent / "elsewhere" / "python3.11"
    link.parent.mkdir()
    link.symlink_to(python())
    done = relocate(made, str(link))
    assert str((made / "bin/python").readlink()) == done.python
    assert run([made / "bin/hello"]).stdout == f"hello {made}\n"


def test_a_missing_interpreter_is_said_plainly(made: Path) -> None:
    (made / "bin/python").unlink()
    (made / "bin/python").symlink_to("/nowhere/python3.11")
    before = tree(made)
    with pytest.raises(AnswerIsNo, match=r"is gone: /nowhere/python3\.11") as caught:
        relocate(made)
    assert "--python" in str(caught.value.hint)
    assert tree(made) == before
    relocate(made, python())
    assert run([made / "bin/hello"]).stdout == f"hello {made}\n"


def test_an_interpreter_of_another_build_is_refused(made: Path) -> None:
    before = tree(made)
    with pytest.raises(AnswerIsNo, match=r"the environment is for CPython 3\.11"):
        relocate(made, python("3.12"))
    assert tree(made) == before


def test_what_people_did_stays(made: Path, tmp_path: Path) -> None:
    (made / "bin/old").unlink()
    (made / "bin/hello").write_text(f"#!{made}/bin/python3\nprint('mine')\n")
    (made / "bin/added").write_text(
        f"#!/bin/sh\n'''exec' \"{made}/bin/python\" \"$0\" \"$@\"\n' '''\nprint('added')\n"
    )
    (made / "bin/other").write_text("#!/usr/bin/env python3\n")
    for name in ("hello", "added"):
        (made / "bin" / name).chmod(0o755)
    config = made / "pyvenv.cfg"
    config.write_text(config.read_text().replace("false", "true") + "# mine\n")
    shutil.move(made, tmp_path / "moved")
    place = tmp_path / "moved"
    relocate(place)
    assert not (place / "bin/old").exists()
    assert run([place / "bin/hello"]).stdout == "mine\n"
    assert run([place / "bin/added"]).stdout == "added\n"
    assert (place / "bin/other").read_text() == "#!/usr/bin/env python3\n"
    assert "include-system-site-packages = true\n# mine\n" in (place / "pyvenv.cfg").read_text()


def test_one_that_may_be_moved_needs_little(workshop: Workshop, tmp_path: Path) -> None:
    workshop.install([wheel()], tmp_path / "made", python=python(), relocatable=True)
    shutil.move(tmp_path / "made", tmp_path / "moved")
    changed = set(relocate(tmp_path / "moved").changed)
    assert not {path for path in changed if path.startswith("bin/")} - {
        "bin/activate", "bin/activate.csh", "bin/activate.fish", "bin/Activate.ps1",
    }  # fmt: skip
    assert run([tmp_path / "moved/bin/hello"]).stdout == f"hello {tmp_path}/moved\n"


def test_one_that_was_not_used_yet_still_finds_its_interpreter(workshop: Workshop, tmp_path: Path) -> None:
    workshop.install([wheel()], tmp_path / "made")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    done = relocate(tmp_path / "moved")
    assert done.python is None
    path = f"{Path(python()).parent}:/usr/bin:/bin"
    assert run([tmp_path / "moved/bin/hello"], env={"PATH": path}).stdout == f"hello {tmp_path}/moved\n"
    assert relocate(tmp_path / "moved").python is not None
    assert stat.S_ISLNK((tmp_path / "moved/bin/python").lstat().st_mode)


def test_folders_that_cannot_be_mended(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "empty"):
        with pytest.raises(BadInput):
            relocate(tmp_path / name)
    manifest, layers = workshop.environment([wheel()], WINDOWS)
    data = b"".join(workshop.archive(manifest, layers, "C:\\env", "gzip").chunks())
    unpack(data, tmp_path / "windows", "gzip", "gnu-tar")
    with pytest.raises(BadInput, match="another system"):
        relocate(tmp_path / "windows")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"venvery_head": 1}', b'{"venvery_head": 1, "prefix": 1}', b"[" * 100_000]
)
@pytest.mark.parametrize("name", ["head.json", "parts.json", "manifest.json"])
def test_damaged_documents_change_nothing(made: Path, name: str, content: bytes) -> None:
    (made / ".venvery" / name).write_bytes(content)
    before = tree(made)
    with pytest.raises(VerificationFailed):
        relocate(made)
    assert tree(made) == before
