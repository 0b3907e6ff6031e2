"""Layers: what a wheel becomes, that it always becomes the same, and which wheels are refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.environments.workshop import POSIX, Workshop, members
from tests.support.wheels import BrokenWheel, BuiltFile, make_wheel
from venvery.environments import LayerInfo, build_layer, layer_key
from venvery.environments.encodings import zstd
from venvery.environments.layers import EntryPoint
from venvery.environments.wheel import Limits
from venvery.errors import LimitExceeded, SourceGarbage
from venvery.model.targets import Family

NT = Family("nt", "3.11")
SITE = "lib/python3.11/site-packages/"


def full_wheel() -> BuiltFile:
    """A wheel with something in every place that there is."""
    return make_wheel(
        "Full.Project",
        "1.0",
        files={
            "full_project/__init__.py": "x = 1\n",
            "full_project/tool.sh": "#!/bin/sh\n",
            "a b,c.py": "y = 2\n",
        },
        scripts={"plain": "#!/bin/sh\n", "old": "#!python\nprint('old')\n", "win": b"#!pythonw -x\r\nprint(2)\n"},
        data={
            "purelib/pure.py": "z = 3\n",
            "platlib/plat.py": "z = 4\n",
            "headers/full.h": "int x;\n",
            "data/share/full/x.txt": "data\n",
            "data/lib64/full/y.txt": "data\n",
        },
        executable=["full_project/tool.sh"],
        entry_points={
            "console_scripts": {"full": "full_project:main", "full-b": "full_project.sub:Cls.main [extra]"},
            "gui_scripts": {"full-gui": "full_project:gui"},
            "other.group": {"x": "not even an object"},
        },
        dist_info={"INSTALLER": "somebody\n", "REQUESTED": "", "direct_url.json": "{}", "RECORD.jws": "{}"},
    )


def record_of(
    files: dict[str, bytes], site: str = SITE, stem: str = "full_project-1.0"
) -> dict[str, tuple[str, str]]:
    text = files[f"{site}{stem}.dist-info/RECORD"].decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert len({row[0] for row in rows}) == len(rows)
    return {path: (digest, size) for path, digest, size in rows}


def test_every_file_lies_where_it_belongs(workshop: Workshop) -> None:
    layer = workshop.layer(full_wheel())
    found = members(workshop.fragment(layer))
    info = SITE + "full_project-1.0.dist-info/"
    assert {path: mode for path, (mode, _) in found.items()} == {
        "bin/plain": 0o755,
        "include/site/python3.11/full-project/full.h": 0o644,
        "lib/full/y.txt": 0o644,
        info + "INSTALLER": 0o644,
        info + "METADATA": 0o644,
        info + "RECORD": 0o644,
        info + "WHEEL": 0o644,
        info + "entry_points.txt": 0o644,
        SITE + "a b,c.py": 0o644,
        SITE + "full_project/__init__.py": 0o644,
        SITE + "full_project/tool.sh": 0o755,
        SITE + "plat.py": 0o644,
        SITE + "pure.py": 0o644,
        "share/full/x.txt": 0o644,
    }
    assert list(found) == sorted(found)
    assert found[info + "INSTALLER"][1] == b"venvery\n"
    assert (layer.files, layer.kind, layer.project, layer.version) == (14, "wheel", "full-project", "1.0")
    assert layer.wheel.sha256 == full_wheel().sha256
    assert layer.wheel.size == len(full_wheel().data)


def test_windows_has_its_own_places(workshop: Workshop) -> None:
    files = workshop.files(workshop.layer(full_wheel(), NT))
    site = "Lib/site-packages/"
    assert {path for path in files if ".dist-info" not in path} == {
        "Include/full-project/full.h",
        site + "a b,c.py",
        site + "full_project/__init__.py",
        site + "full_project/tool.sh",
        site + "plat.py",
        site + "pure.py",
        "Scripts/plain",
        "lib64/full/y.txt",
        "share/full/x.txt",
    }
    record = record_of(files, site)
    assert "../../Scripts/plain" in record
    assert {path for path, row in record.items() if row == ("", "")} == {
        "../../Scripts/old.exe",
        "../../Scripts/win.exe",
        "../../Scripts/full.exe",
        "../../Scripts/full-b.exe",
        "../../Scripts/full-gui.exe",
        "full_project-1.0.dist-info/RECORD",
    }


def test_record_is_complete_and_right(workshop: Workshop) -> None:
    files = workshop.files(workshop.layer(full_wheel()))
    record = record_of(files)
    listed = {}
    for path, (digest, size) in record.items():
        if digest:
            parts = (SITE + path).split("/")
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            listed["/".join(parts)] = (digest, size)
    for path, content in files.items():
        if not path.endswith("/RECORD"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert listed.pop(path) == (f"sha256={digest}", str(len(content)))
    assert listed == {}
    assert {path for path, row in record.items() if row == ("", "")} == {
        *(f"../../../bin/{name}" for name in ("old", "win", "full", "full-b", "full-gui")),
        "full_project-1.0.dist-info/RECORD",
    }


def test_the_head_is_told_what_it_has_to_write(workshop: Workshop) -> None:
    layer = workshop.layer(full_wheel())
    assert layer.entry_points == (
        EntryPoint("console", "full", "full_project", "main"),
        EntryPoint("console", "full-b", "full_project.sub", "Cls.main"),
        EntryPoint("gui", "full-gui", "full_project", "gui"),
    )
    assert [(script.name, script.kind, script.body) for script in layer.scripts] == [
        ("old", "console", b"print('old')\n"),
        ("win", "gui", b"print(2)\n"),
    ]
    assert LayerInfo.from_json(json.loads(json.dumps(layer.to_json()))) == layer


def test_scripts_that_a_builder_made_for_entry_points_give_way(workshop: Workshop) -> None:
    wheel = make_wheel(
        "old-builder",
        "1",
        scripts={"tool": "#!python\nx", "tool-script.py": "x", "tool.exe": b"MZ", "toolbox": "kept"},
        entry_points={"console_scripts": {"tool": "old_builder:main"}},
    )
    layer = workshop.layer(wheel)
    assert layer.scripts == ()
    assert [path for path in workshop.files(layer) if path.startswith("bin/")] == ["bin/toolbox"]


def test_a_direct_url_is_written_down_and_names_another_layer(workshop: Workshop) -> None:
    wheel = make_wheel("tiny", "1.0")
    url = {"url": "https://example.org/tiny-1.0-py3-none-any.whl", "archive_info": {}}
    plain, direct = workshop.layer(wheel), workshop.layer(wheel, direct_url=url)
    path = SITE + "tiny-1.0.dist-info/direct_url.json"
    assert path not in workshop.files(plain)
    assert json.loads(workshop.files(direct)[path]) == url
    assert direct.direct_url == url["url"]
    assert direct.digest != plain.digest
    assert layer_key(wheel.sha256, POSIX) != layer_key(wheel.sha256, POSIX, url["url"])
    assert LayerInfo.from_json(direct.to_json()) == direct


def test_both_encodings_hold_the_fragment(workshop: Workshop) -> None:
    layer = workshop.layer(full_wheel())
    fragment = workshop.fragment(layer)
    compressed = workshop.blobs.read(layer.zstd.digest)
    assert [size for size, _ in layer.zstd.frames] == [len(compressed)]
    assert zstd.get_frame_info(compressed).decompressed_size == layer.zstd.frames[0][1] == layer.size
    segment = workshop.blobs.read(layer.deflate.digest)
    decompressor = zlib.decompressobj(-15)
    assert decompressor.decompress(segment) == fragment
    assert not decompressor.eof
    assert segment.endswith(b"\x00\x00\xff\xff")
    assert layer.deflate.crc32 == zlib.crc32(fragment)
    assert (layer.deflate.size, layer.zstd.size) == (len(segment), len(compressed))


def test_a_large_layer_is_several_frames_cut_between_members(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("venvery.environments.fragments.FRAME_SIZE", 1 << 20)
    import random

    noise = random.Random(5).randbytes(400 << 10)
    layer = workshop.layer(
        make_wheel("large", "1", files={f"large/{n}.bin": noise for n in range(7)}, compress=False)
    )
    compressed = workshop.blobs.read(layer.zstd.digest)
    assert len(layer.zstd.frames) == 3
    at, found = 0, {}
    for packed, size in layer.zstd.frames:
        frame = compressed[at : at + packed]
        assert zstd.get_frame_info(frame).decompressed_size == size
        found |= members(zstd.decompress(frame))
        at += packed
    assert at == len(compressed)
    assert found == members(workshop.fragment(layer))
    assert sum(size for _, size in layer.zstd.frames) == layer.size


def test_the_order_in_the_wheel_and_its_compression_do_not_matter(workshop: Workshop) -> None:
    files = {"order/__init__.py": "", "order/b.py": "b = 1\n", "order/a.py": "a = 1\n"}
    first = workshop.layer(make_wheel("order", "1", files=files))
    second = workshop.layer(make_wheel("order", "1", files=dict(reversed(files.items())), compress=False))
    assert first.wheel.sha256 != second.wheel.sha256
    assert workshop.files(first) == workshop.files(second)
    assert first.digest == second.digest


_BUILD = """
import io, os, sys
sys.path[:0] = {path!r}
os.umask({umask})
from pathlib import Path
from tests.environments.workshop import Workshop
from tests.environments.test_layers import full_wheel
layer = Workshop(Path({folder!r})).layer(full_wheel())
print(layer.digest, layer.zstd.digest, layer.deflate.digest)
"""


def test_it_is_the_same_anywhere(tmp_path: Path, workshop: Workshop) -> None:
    layer = workshop.layer(full_wheel())
    for number, (umask, seed, zone) in enumerate(((0o077, "1", "Asia/Tokyo"), (0, "2", "America/Lima"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        code = _BUILD.format(path=sys.path, umask=umask, folder=str(folder / "blobs"))
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env={"PYTHONHASHSEED": seed, "TZ": zone, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [layer.digest, layer.zstd.digest, layer.deflate.digest]


def test_the_digest_of_a_known_wheel_does_not_change(workshop: Workshop) -> None:
    # Whoever changes what a layer holds must raise RECIPE, and then this digest.
    assert workshop.layer(make_wheel("tiny", "1.0")).digest == (
        "sha256:0043629e56d37a081f42f3ddee6488704a29b9da3aa3631a946a2ed95face91b"
    )


_REFUSED: dict[BrokenWheel, str] = {
    "wrong-record": "is not the file that RECORD lists",
    "unrecorded-member": "RECORD does not list",
    "no-record": "it has no RECORD",
    "no-metadata": "it has no METADATA",
    "no-wheel-file": "it has no WHEEL",
    "no-dist-info": "it has no metadata folder",
    "two-dist-infos": "2 metadata folders",
    "wrong-name": "its METADATA is that of 'other-project'",
    "wrong-version": "its METADATA is that of 'tiny' '999.0'",
    "parent-member": "leads out of its folder",
    "absolute-member": "is not a relative path",
    "backslash-member": "is not a relative path",
    "symlink-member": "is a link",
    "symlinked-folder": "is a link",
    "duplicate-member": "is in it twice",
    "corrupt-member": "cannot be unpacked|is not the file",
    "truncated": "it is not a zip file",
    "not-a-zip": "it is not a zip file",
    "future-wheel-version": "its Wheel-Version is '9.0'",
    "escaping-entry-point": "cannot be the name of a script",
}


@pytest.mark.parametrize("defect", _REFUSED)
def test_a_broken_wheel_is_refused_and_leaves_nothing(workshop: Workshop, defect: BrokenWheel) -> None:
    with pytest.raises(SourceGarbage, match=_REFUSED[defect]) as caught:
        workshop.layer(make_wheel("tiny", "1.0", broken=[defect]))
    assert str(caught.value).startswith("tiny-1.0-py3-none-any.whl is not a wheel that can be used: ")
    assert "\n" not in str(caught.value)
    assert list(workshop.blobs.digests()) == []
    assert not list((workshop.blobs.root / "incoming").iterdir())


def test_a_bomb_is_refused_before_it_is_unpacked(workshop: Workshop) -> None:
    with pytest.raises(LimitExceeded, match="would unpack to"):
        workshop.layer(make_wheel("tiny", "1.0", files={"zeros": bytes(8 << 20)}), limits=Limits(free=1 << 20))
    with pytest.raises(LimitExceeded, match="files"):
        workshop.layer(make_wheel("tiny", "1.0"), limits=Limits(files=3))
    with pytest.raises(LimitExceeded, match="METADATA"):
        workshop.layer(make_wheel("tiny", "1.0", broken=["huge-metadata"]))
    assert list(workshop.blobs.digests()) == []


def test_names_that_differ_in_case_are_one_name_on_windows(workshop: Workshop) -> None:
    wheel = make_wheel("tiny", "1.0", broken=["case-clash"])
    workshop.layer(wheel)
    with pytest.raises(SourceGarbage, match="are the same place"):
        workshop.layer(wheel, NT)


def test_a_line_in_record_without_its_file_is_passed_over(workshop: Workshop) -> None:
    files = workshop.files(workshop.layer(make_wheel("tiny", "1.0", broken=["missing-member"])))
    assert "not_there.py" not in record_of(files, stem="tiny-1.0")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("data/pyvenv.cfg", "part of the environment itself"),
        ("data/.venvery/manifest.json", "part of the environment itself"),
        ("data/lib64", "part of the environment itself"),
        ("data/bin/python", "part of the environment itself"),
        ("scripts/python3.11", "part of the environment itself"),
        ("scripts/activate", "part of the environment itself"),
        ("data/bin", "both a file and a folder"),
        ("purelib/tiny", "both a file and a folder"),
        ("purelib/tiny/__init__.py", "two of its files belong at"),
        ("data/bin/hello", "are the same place"),
        ("elsewhere/x.txt", "belongs to no known place"),
        ("scripts", "belongs to no known place"),
        ("data/a/./b", "leads out of its folder"),
        ("data/a//b", "leads out of its folder"),
        ("data/C:/b\x01", "control character"),
        ("data/" + "x" * 256, "is too long"),
    ],
)
def test_files_in_bad_places_are_refused(workshop: Workshop, path: str, complaint: str) -> None:
    wheel = make_wheel(
        "tiny",
        "1.0",
        data={path: "x"},
        scripts={"good": ""},
        entry_points={"console_scripts": {"hello": "tiny:main"}},
    )
    with pytest.raises(SourceGarbage, match=complaint):
        workshop.layer(wheel)


@pytest.mark.parametrize("path", ["tiny/con.txt", "tiny/nul", "tiny/a:b", "tiny/x.", "tiny/q?.py", "tiny/ends "])
def test_names_that_windows_does_not_allow(workshop: Workshop, path: str) -> None:
    wheel = make_wheel("tiny", "1.0", files={path: "", "tiny/falcon.py": "", "tiny/console": ""})
    workshop.layer(wheel)
    with pytest.raises(SourceGarbage, match="a name that Windows does not allow"):
        workshop.layer(wheel, NT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a/b", "m:f"), ("..", "m:f"), ("a\\b", "m:f"), ("ok", "m"), ("ok", "m:f()"), ("ok", "m;import os:f"),
        ("ok", "m:f; evil"), ("ok", "m.:f"), ("ok", "1m:f"), ("python3", "m:f"), ("activate", "m:f"),
    ],
)  # fmt: skip
def test_entry_points_that_name_no_object_or_no_file_are_refused(
    workshop: Workshop, name: str, value: str
) -> None:
    with pytest.raises(SourceGarbage):
        workshop.layer(make_wheel("tiny", "1.0", entry_points={"console_scripts": {name: value}}))


def test_an_encrypted_or_oddly_compressed_member_is_refused(workshop: Workshop) -> None:
    wheel = make_wheel("tiny", "1.0")
    encrypted = bytearray(wheel.data)
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        encrypted[encrypted.index(signature) + offset] |= 1
    with pytest.raises(SourceGarbage, match="is encrypted"):
        build_layer(io.BytesIO(bytes(encrypted)), wheel.filename, POSIX, workshop.blobs)
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(wheel.data)) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as target,
    ):
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    with pytest.raises(SourceGarbage, match="wheels do not know"):
        build_layer(packed, wheel.filename, POSIX, workshop.blobs)


@pytest.mark.parametrize(
    "filename", ["tiny.whl", "tiny-1.0.tar.gz", "other-1.0-py3-none-any.whl", "tiny-2-py3-none-any.whl"]
)
def test_a_wheel_under_another_name_is_refused(workshop: Workshop, filename: str) -> None:
    with pytest.raises(SourceGarbage):
        build_layer(io.BytesIO(make_wheel("tiny", "1.0").data), filename, POSIX, workshop.blobs)


def test_any_byte_of_a_wheel_turned_over_gives_the_same_layer_or_one_clear_error(workshop: Workshop) -> None:
    import random

    wheel = make_wheel("tiny", "1.0", entry_points={"console_scripts": {"hello": "tiny:main"}})
    good = workshop.layer(wheel)
    chance = random.Random(7)
    for _ in range(150):
        damaged = bytearray(wheel.data)
        damaged[chance.randrange(len(damaged))] ^= chance.choice((1, 0x80, 0xFF))
        try:
            layer = build_layer(io.BytesIO(bytes(damaged)), wheel.filename, POSIX, workshop.blobs)
        except (SourceGarbage, LimitExceeded):
            continue
        names = set(workshop.files(good)) ^ set(workshop.files(layer))
        # Only what no checksum covers may differ: modes, and times, which are not used.
        assert not names
        assert workshop.files(layer) == workshop.files(good)
