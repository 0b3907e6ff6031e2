"""`venvery export` and `import`: a view goes where no network leads, whole or not at all, and never believed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.index.asking import JSON, ask
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery, clean_environment
from tests.support.tiny import tiny_world
from tests.support.wheels import make_wheel


@pytest.fixture
def outside(venvery: Venvery, index: IndexServer) -> Venvery:
    """Give a data folder that has mirrored something."""
    venvery("mirror", "requests", "--python", "3.11", "--platform", "linux-x86_64").check()
    return venvery


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give a good export."""
    folder = tmp_path_factory.mktemp("exported")
    with IndexServer(tiny_world()) as index:
        outside = Venvery(folder, index_url=index.url)
        outside("mirror", "requests", "--python", "3.11", "--platform", "linux-x86_64").check()
    return export(outside, folder).read_bytes()


@pytest.fixture
def inside(tmp_path: Path) -> Venvery:
    """Give a data folder without any index."""
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "venvery.toml").write_text('[[sources]]\nname = "from-outside"\nkind = "hosted"\n', encoding="utf-8")
    return Venvery(folder)


def config(venvery: Venvery) -> tuple[str, str]:
    return "--config", str(venvery.folder / "venvery.toml")


def export(outside: Venvery, tmp_path: Path, *args: str) -> Path:
    """Export into a file."""
    outside("export", tmp_path / "view.tar", *args).check()
    return tmp_path / "view.tar"


def pages(server: ServerProcess) -> dict[str, Any]:
    """Give all pages, without what may differ on the other side."""
    names = [entry["name"] for entry in ask(f"{server.url}/simple/", accept=JSON).json()["projects"]]
    found = {name: ask(f"{server.url}/simple/{name}/", accept=JSON).json() for name in names}
    return {name: {entry["filename"]: entry for entry in page["files"]} for name, page in found.items()}


def test_what_was_mirrored_installs_on_the_other_side(outside: Venvery, inside: Venvery, tmp_path: Path) -> None:
    file = export(outside, tmp_path)
    done = json.loads(inside("import", file, *config(inside), "--json").check().stdout)
    assert (done["projects"], done["files"], done["carried"], done["new"]) == (5, 5, 5, 5)
    with outside.serve() as one, inside.serve(*config(inside)) as two:
        there, here = pages(one), pages(two)
        for project, files in here.items():
            for name, entry in files.items():
                for field in (
                    "hashes",
                    "size",
                    "upload-time",
                    "yanked",
                    "requires-python",
                    "core-metadata",
                    "url",
                ):
                    assert entry.get(field) == there[project][name].get(field), (name, field)
        got = tmp_path / "got"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-cache-dir",
            "-i",
            f"{two.url}/simple/",
            "requests",
        ]
        subprocess.run(
            [*command, "-d", str(got)],
            env=clean_environment(tmp_path / "home"),
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert len(list(got.iterdir())) == 5
    again = json.loads(inside("import", file, *config(inside), "--json").check().stdout)
    assert again["new"] == 0, "twice is no harm"
    assert inside("fsck", "--deep", *config(inside)).check()


def test_the_same_view_gives_the_same_bytes(outside: Venvery, tmp_path: Path) -> None:
    first = export(outside, tmp_path).read_bytes()
    assert export(outside, tmp_path).read_bytes() == first


def test_only_what_the_other_side_lacks_is_carried(
    outside: Venvery, inside: Venvery, index: IndexServer, tmp_path: Path
) -> None:
    inside("import", export(outside, tmp_path), *config(inside)).check()
    have = tmp_path / "have.json"
    have.write_text(inside("import", "--inventory", *config(inside)).check().stdout, encoding="utf-8")
    index.add(make_wheel("novel", "1.0"))
    outside("mirror", "novel").check()
    done = json.loads(outside("export", tmp_path / "view.tar", "--have", have, "--json").check().stdout)
    assert (done["files"], done["carried"]) == (6, 1)
    taken = json.loads(inside("import", tmp_path / "view.tar", *config(inside), "--json").check().stdout)
    assert (taken["files"], taken["new"]) == (6, 1)
    empty = Venvery(tmp_path / "empty")
    (empty.folder / "venvery.toml").write_text('[[sources]]\nname = "x"\nkind = "hosted"\n', encoding="utf-8")
    assert "neither in it nor here" in empty("import", tmp_path / "view.tar", *config(empty)).check(2).stderr


def test_imported_files_outlive_pruning(outside: Venvery, inside: Venvery, tmp_path: Path) -> None:
    """They exist nowhere else on this side."""
    inside("import", export(outside, tmp_path), *config(inside)).check()
    inside("prune", "--max-size", "0", *config(inside)).check()
    with inside.serve(*config(inside)) as server:
        for files in pages(server).values():
            for name, entry in files.items():
                url = f"{server.url}/{entry['url'].removeprefix('../../')}"
                assert len(ask(url).body) == entry["size"], name
                assert ask(url + ".metadata").status == 200


Spoil = Callable[[dict[str, bytes]], None]


def _list(members: dict[str, bytes]) -> Any:
    return json.loads(members["venvery-export.json"])


def _relist(members: dict[str, bytes], values: Any) -> None:
    members["venvery-export.json"] = json.dumps(values).encode()


def _first(members: dict[str, bytes]) -> str:
    return sorted(name for name in members if name.startswith("blobs/"))[0]


def _other_bytes(members: dict[str, bytes]) -> None:
    members[_first(members)] = b"x" * len(members[_first(members)])


def _longer(members: dict[str, bytes]) -> None:
    members[_first(members)] += b"x"


def _missing(members: dict[str, bytes]) -> None:
    del members[_first(members)]


def _stranger(members: dict[str, bytes]) -> None:
    members["../../etc/cron.d/evil"] = b"* * * * * root true\n"


def _unlisted(members: dict[str, bytes]) -> None:
    members["blobs/" + "0" * 64] = b"unlisted"


def _no_list(members: dict[str, bytes]) -> None:
    del members["venvery-export.json"]


def _garbled(members: dict[str, bytes]) -> None:
    members["venvery-export.json"] = b'{"venvery-export": 1, "projects": [{}]}'


def _field(name: str, value: object) -> Spoil:
    def spoil(members: dict[str, bytes]) -> None:
        values = _list(members)
        values["projects"][0]["files"][0][name] = value
        _relist(members, values)

    return spoil


def _project(name: object) -> Spoil:
    def spoil(members: dict[str, bytes]) -> None:
        values = _list(members)
        values["projects"][0]["project"] = name
        _relist(members, values)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        *(_other_bytes, _longer, _missing, _stranger, _unlisted, _no_list, _garbled),
        *(_field("filename", "../../evil-1.0-py3-none-any.whl"), _field("filename", "other-1.0.tar.gz")),
        *(_field("sha256", "../../../etc/passwd"), _field("size", -1), _field("size", "big")),
        *(_field("upload_time", 1e300), _field("yanked", 7), _field("requires_python", [])),
        *(_project("../evil"), _project("Requests"), _project(None)),
    ],
)
def test_a_hostile_export_is_refused_as_a_whole(
    exported: bytes, inside: Venvery, tmp_path: Path, spoil: Spoil
) -> None:
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        for member in archive:
            data = archive.extractfile(member)
            assert data is not None
            members[member.name] = data.read()
    spoil(members)
    spoilt = tmp_path / "spoilt.tar"
    with tarfile.open(spoilt, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    result = inside("import", spoilt, *config(inside))
    assert result.code in (2, 3), result
    assert "Traceback" not in result.stderr
    assert json.loads(inside("import", "--inventory", *config(inside)).check().stdout)["files"] == []


def test_links_and_broken_files_are_refused(exported: bytes, inside: Venvery, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(exported[: len(exported) // 2])
    assert inside("import", cut, *config(inside)).check(2)
    cut.write_bytes(b"not a tar at all" * 100)
    assert inside("import", cut, *config(inside)).check(2)
    with tarfile.open(cut, "w") as archive:
        link = tarfile.TarInfo("venvery-export.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert inside("import", cut, *config(inside)).check(2)
    assert inside("import", tmp_path / "nowhere.tar", *config(inside)).check(2)


def test_other_bytes_under_a_taken_name_refuse_everything(
    outside: Venvery, inside: Venvery, index: IndexServer, tmp_path: Path
) -> None:
    inside("import", export(outside, tmp_path), *config(inside)).check()
    before = inside("import", "--inventory", *config(inside)).check().stdout
    with IndexServer([make_wheel("idna", "3.7", files={"idna/evil.py": ""}), make_wheel("aaa", "1.0")]) as other:
        second = Venvery(tmp_path / "second", index_url=other.url)
        second("mirror", "idna", "aaa").check()
        file = export(second, tmp_path / "second")
    assert "already exists" in inside("import", file, *config(inside)).stderr
    assert inside("import", "--inventory", *config(inside)).check().stdout == before, "not even the other project"
