"""Whatever an archive tries, it is refused in one sentence, nothing is left, and the old environment works."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client.archives import (
    END,
    PYTHON,
    SITE,
    Environment,
    Layer,
    checked_frame,
    fragment,
    library,
    member,
    small,
    zstd,
)  # fmt: skip
from tests.client.conftest import Sync
from tests.client.serving import ArchiveServer
from tests.client.test_client_sync import files_of, strays
from venvery.client import tree
from venvery.client.archive import TAR, ZSTD, Archive, Stream
from venvery.client.errors import ArchiveError, ClientError, CutOff
from venvery.client.sync import SyncRequest, sync

FILE = fragment({f"{SITE}/x/__init__.py": b"x = 1\n"})


def with_layer(data: bytes, **more: Any) -> Environment:
    return Environment([library("alpha"), Layer("evil", data), library("omega")], **more)


def changing(change: Callable[[dict[str, Any]], None]) -> Environment:
    return small().but(change_manifest=change)


def head(*members: bytes, **more: Any) -> Environment:
    return Environment([library("alpha")], head_extra=b"".join(members), **more)


def bomb() -> Environment:
    environment = with_layer(FILE)
    environment.frames = {1: [zstd.compress(FILE + bytes(50 << 20))]}

    def hide(manifest: dict[str, Any]) -> None:
        manifest["layers"][1]["zstd"]["frames"] = [[len(environment.frames[1][0]), len(FILE)]]

    return environment.but(change_manifest=hide, frames=environment.frames)


def raw_pax(path: bytes) -> bytes:
    record = b" path=%s\n" % path
    record = b"%d%s" % (len(record) + len(str(len(record) + 2)), record)
    header = bytearray(member("pax", record))
    header[156:157] = b"x"
    return bytes(header) + member("harmless", b"x")


LAYERS = {
    "absolute path": (with_layer(member("/tmp/evil", b"x")), "outside of its folder"),
    "absolute path by pax": (with_layer(raw_pax(b"/tmp/evil")), "outside of its folder"),
    "parent": (with_layer(member("lib/../../evil", b"x")), "outside of its folder"),
    "parent as folder": (with_layer(member("..", kind=b"5")), "outside of its folder"),
    "parent alone": (with_layer(member("lib/..", b"x")), "outside of its folder"),
    "dot": (with_layer(member("./lib/x", b"x")), "outside of its folder"),
    "empty part": (with_layer(member("lib//x", b"x")), "outside of its folder"),
    "nul by pax": (with_layer(raw_pax(b"lib/a\0b")), "outside of its folder"),
    "link": (with_layer(member("lib/link", kind=b"2", link="/etc")), "no plain file"),
    "link in the tree": (with_layer(member("lib/link", kind=b"2", link="x")), "no plain file"),
    "hard link": (with_layer(member("lib/hard", kind=b"1", link="pyvenv.cfg")), "a hard link"),
    "character device": (with_layer(member("lib/null", kind=b"3")), "a character device"),
    "block device": (with_layer(member("lib/disk", kind=b"4")), "a block device"),
    "pipe": (with_layer(member("lib/pipe", kind=b"6")), "a named pipe"),
    "sparse": (with_layer(member("lib/sparse", kind=b"S")), "a member of type"),
    "gnu long name": (with_layer(member("long", kind=b"L")), "a GNU long name"),
    "global header": (with_layer(member("global", kind=b"g")), "a global extended header"),
    "setuid": (with_layer(member("bin/su", b"x", mode=0o4755)), "no plain file"),
    "world-writable": (with_layer(member("bin/all", b"x", mode=0o666)), "no plain file"),
    "through lib64": (with_layer(member("lib64/x.py", b"x")), "lib64"),
    "over bin/python": (with_layer(member("bin/python", b"x")), "no plain file"),
    "over lib64": (with_layer(member("lib64", b"x")), "no plain file"),
    "over pyvenv.cfg": (with_layer(member("pyvenv.cfg", b"x")), "not its to write"),
    "our records": (with_layer(member(".venvery/sync.json", b"{}")), "not its to write"),
    "below a file": (with_layer(member("lib/f", b"x") + member("lib/f/g", b"x")), "which is no folder"),
    "twice": (with_layer(FILE + FILE), "twice"),
    "end block in a layer": (with_layer(FILE + END), "end block"),
    "not a tar": (with_layer(b"\xff" * 1024), "archive has"),
    "negative size": (with_layer(FILE[:124] + b"-0000000001" + FILE[135:]), "no readable size"),
    "cut member": (with_layer(FILE[:512]), "ended before"),
    "bomb": (bomb(), "not as long as its manifest says"),
}

HEADS = {
    "absolute": (head(member("/tmp/evil", b"x")), "outside of its folder"),
    "parent": (head(member("../evil", b"x")), "outside of its folder"),
    "link out": (head(member("etc", kind=b"2", link="/etc")), "a link that may not be"),
    "link up": (head(member("bin/python3", kind=b"2", link="../../x"), head_links={}), "a link that may not be"),
    "other interpreter": (head(head_links={"bin/python": "/tmp/evil"}), "a link that may not be"),
    "lib64 out": (head(head_links={"lib64": "/usr/lib"}), "a link that may not be"),
    "link to itself": (head(head_links={"bin/python": "python"}), "a link that may not be"),
    "through a link": (head(member("lib64/evil.py", b"x")), "lib64"),
    "hard link": (head(member("bin/x", kind=b"1", link="/etc/passwd")), "a hard link"),
    "device": (head(member("bin/x", kind=b"4")), "a block device"),
    "setuid": (head(member("bin/x", b"x", mode=0o4755)), "odd mode"),
    "twice": (head(member("pyvenv.cfg", b"x")), "twice"),
    "our records": (head(member(".venvery/sync.json", b"{}")), "own records"),
    "damaged header": (head(b"bin/x" + member("bin/x", b"x")[5:500] + b"junk" + bytes(520)), "damaged|long"),
    "too long": (
        small().but(change_head=lambda d: d.update(head_size=d["head_size"] + 512)),
        "as long as it says",
    ),
    "too short": (small().but(change_head=lambda d: d.update(head_size=512)), "as long as it says"),
    "no length": (small().but(change_head=lambda d: d.pop("head_size")), "how long"),
    "skips the unknown": (
        small().but(change_head=lambda d: d.update(skipped=["sha256:" + "0" * 64])),
        "leaves out",
    ),
    "skips what we lack": (
        small().but(change_head=lambda d: d.update(skipped=[small().layers[0].digest])),
        "does not have",
    ),
}

MANIFESTS = {
    "other form": (changing(lambda m: m.update(venvery_manifest=2)), "does not know"),
    "no key": (changing(lambda m: m.pop("key")), "no usable key"),
    "no layers": (changing(lambda m: m.update(layers=None)), "no usable key"),
    "layer twice": (changing(lambda m: m["layers"].append(m["layers"][0])), "names a layer twice"),
    "bad digest": (changing(lambda m: m["layers"][0].update(digest="../../x")), "no usable digest"),
    "wrong digest": (
        changing(lambda m: m["layers"][0].update(digest="sha256:" + "0" * 64)),
        "its digest is another",
    ),
    "negative size": (changing(lambda m: m["layers"][0].update(size=-512)), "no usable digest or size"),
    "size as text": (changing(lambda m: m["layers"][0].update(size="512")), "no usable digest or size"),
    "size too large": (changing(lambda m: m["layers"][0].update(size=m["layers"][0]["size"] + 512)), "digest|end"),
    "frame too long": (changing(lambda m: m["layers"][0]["zstd"]["frames"][0].__setitem__(1, 5)), "as long as"),
    "frame odd": (changing(lambda m: m["layers"][0]["zstd"].update(frames=[[1]])), "not readable"),
    "layer missing": (changing(lambda m: m["layers"].pop()), "damaged|end|follows"),
    "no target": (changing(lambda m: m.pop("target")), "no target"),
    "odd target": (changing(lambda m: m["target"].update(python="3.11/../..")), "no Python version"),
}

TAILS = {
    "no end": (small().but(tail=b""), "end"),
    "half an end": (small().but(tail=bytes(512)), "end"),
    "more after the end": (small().but(tail=END + FILE), "end"),
    "zeros after the end": (small().but(tail=END + END), "end"),
}

CASES = {
    f"{place}: {name}": case
    for place, cases in (("layer", LAYERS), ("head", HEADS), ("manifest", MANIFESTS), ("tail", TAILS))
    for name, case in cases.items()
}


@pytest.fixture
def quick(server: ArchiveServer, run: Sync, tmp_path: Path) -> Sync:
    """An old environment is there; what follows must leave it as it is."""
    run("old")
    return run


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment that every refusal must leave as it is."""
    folder = tmp_path_factory.mktemp("old")
    sync_bytes(folder, small().zstd(str(folder / "env")), digest="old")
    return folder


@pytest.mark.parametrize("encoding", ["zstd", "tar"])
@pytest.mark.parametrize("case", CASES)
def test_refused(old: Path, case: str, encoding: str) -> None:
    environment, said = CASES[case]
    if encoding == "tar" and case in ("layer: bomb", "manifest: frame too long"):
        encoding = "zstd"  # only zstd has frames
    before = files_of(old / "env")
    make = environment.zstd if encoding == "zstd" else environment.tar
    with pytest.raises(ClientError, match=said) as caught:
        sync_bytes(old, make(str(old / "env")), ZSTD if encoding == "zstd" else TAR)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert files_of(old / "env") == before
    assert strays(old) == []
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("case", ["layer: through lib64", "layer: parent", "layer: below a file", "layer: link"])
def test_refused_without_folder_descriptors(
    quick: Sync, server: ArchiveServer, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where everything goes by path."""
    monkeypatch.setattr(tree, "HAS_FOLDER_DESCRIPTORS", False)
    server.environment, said = CASES[case]
    with pytest.raises(ArchiveError, match=said):
        quick("new")
    server.environment = small()
    assert quick("newer").changed
    assert files_of(tmp_path / "env")[f"{SITE}/big/__init__.py"] == b"VERSION = '1.0'\n"


def test_names_that_windows_cannot_have() -> None:
    for name in (b"C:/x", b"a\\b", b"nul", b"lib/CON.txt", b"lib/a.", b"lib/a ", b"lib/a:stream", b"lib/\x01"):
        with pytest.raises(ArchiveError, match="Windows"):
            tree.check_path(name, windows=True)
    tree.check_path(b"Lib/site-packages/console.py", windows=True)


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_something_after_the_archive(quick: Sync, server: ArchiveServer, tmp_path: Path, encoding: str) -> None:
    make = server.environment.zstd if encoding == "zstd" else server.environment.gzip
    data = make(str(tmp_path / "env")) + b"garbage"
    server.answers = [(200, {"Content-Type": f"application/x-tar+{encoding}"}, data)]
    with pytest.raises(ArchiveError, match="follows the end"):
        quick("new")
    assert strays(tmp_path) == []


class Bytes(Stream):
    def __init__(self, data: bytes, media_type: str, step: int = 1 << 18) -> None:
        self.media_type, self._data, self._at, self._step = media_type, data, 0, step

    def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + min(size, self._step)]
        self._at += len(piece)
        return piece


class Spoilable:
    """An archive in both forms, with the compressed sizes of its head and its tail."""

    def __init__(self, folder: Path) -> None:
        prefix = str(folder / "env")
        self.folder = folder
        self.env = small()
        self.zstd = self.env.zstd(prefix)
        self.tar = self.env.tar(prefix)
        self.head = len(checked_frame(self.env.head(prefix)))
        self.tail = len(checked_frame(END))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Spoilable:
    return Spoilable(tmp_path_factory.mktemp("spoiled"))


def sync_bytes(folder: Path, data: bytes, media_type: str = ZSTD, step: int = 1 << 18, digest: str = "x") -> None:
    request = SyncRequest({"python": PYTHON}, digest, PYTHON, "")
    sync(str(folder / "env"), request, lambda body, accept: Bytes(data, media_type, step), processes=False)


NUMBERS = itertools.count()
EVERYWHERE = st.integers(0, 10_000)
"""Ten-thousandths of the way through."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=EVERYWHERE, bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_layer_does_no_harm(archives: Spoilable, place: int, bit: int) -> None:
    """It is found, but for the few bits of a compressed stream that may be either way: then nothing changed."""
    data = bytearray(archives.zstd)
    first, last = archives.head, len(data) - archives.tail - 1
    data[first + (last - first) * place // 10_000] ^= 1 << bit
    try:
        sync_bytes(archives.folder, bytes(data), digest=f"flip {next(NUMBERS)}")
    except ArchiveError:
        assert strays(archives.folder) == []
    else:
        found = files_of(archives.folder / "env")
        sync_bytes(archives.folder, archives.zstd, digest="whole")
        assert found == files_of(archives.folder / "env")


def all_of(data: bytes) -> tuple[object, ...]:
    """Read an archive to its end, with everything that is in it but the layers' own bytes decoded."""
    archive = Archive(Bytes(data, ZSTD))
    members = [*archive.head_members()]
    layers = [bytearray(archive.length(layer)) for layer in archive.manifest.layers]
    for layer in layers:
        archive.fill(memoryview(layer))
    archive.finish()
    return archive.documents, members, layers


def test_any_flipped_bit_of_head_and_tail_is_found(archives: Spoilable) -> None:
    """Of the few bits that say how to decode and not what, some may be flipped without any change."""
    whole = all_of(archives.zstd)
    size = len(archives.zstd)
    places = [*range(archives.head), *range(size - archives.tail, size)]
    unchanged = 0
    for at in places:
        for bit in range(8):
            data = bytearray(archives.zstd)
            data[at] ^= 1 << bit
            try:
                found = all_of(bytes(data))
            except ClientError:
                continue
            assert found == whole
            unchanged += 1
    assert unchanged < 8 * len(places) // 50
    data = bytearray(archives.zstd)
    data[archives.head // 2] ^= 1
    with pytest.raises(ClientError):
        sync_bytes(archives.folder, bytes(data), digest="flipped head")
    assert strays(archives.folder) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zstd=st.booleans(), place=EVERYWHERE, step=st.sampled_from([1 << 18, 511]))
def test_a_cut_is_found_wherever_it_is(archives: Spoilable, zstd: bool, place: int, step: int) -> None:
    whole = archives.zstd if zstd else archives.tar
    at = (len(whole) - 1) * place // 10_000
    with pytest.raises(CutOff):
        sync_bytes(archives.folder, whole[:at], ZSTD if zstd else TAR, step, f"cut{random.random()}")
    assert strays(archives.folder) == []


def test_any_chunking_is_the_same(tmp_path: Path, archives: Spoilable) -> None:
    env: Environment = archives.env
    trees = []
    for number, step in enumerate((1, 7, 512, 100_000)):
        folder = tmp_path / "same"
        data = env.tar(str(folder / "env")) if step > 1 else env.zstd(str(folder / "env"))
        sync_bytes(folder, data, TAR if step > 1 else ZSTD, step, f"step{number}")
        trees.append(files_of(folder / "env"))
    assert all(found == trees[0] for found in trees)


def test_a_cut_connection_goes_on_where_it_broke(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    whole = len(server.environment.zstd(str(tmp_path / "env")))
    server.cuts = [whole - 40, whole // 2]
    done = run(workers=1)
    assert done.changed
    assert done.layers == 3
    assert len(server.asked) >= 2
    assert server.asked[1]["have"] != []
    assert files_of(tmp_path / "env")[f"{SITE}/big/__init__.py"] == b"VERSION = '1.0'\n"
    assert strays(tmp_path) == []


def test_cut_at_many_places_it_still_ends_right(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    run("reference")
    reference = files_of(tmp_path / "env")
    whole = len(server.environment.zstd(str(tmp_path / "env")))
    for number in range(12):
        server.cuts = [whole * number // 12]
        assert run(f"try {number}", processes=number % 2 == 0).changed
        found = files_of(tmp_path / "env")
        found[".venvery/head.json"] = reference[".venvery/head.json"]
        assert found == reference
    assert strays(tmp_path) == []


def test_a_connection_that_always_breaks(quick: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    before = files_of(tmp_path / "env")
    server.cuts = [3000] * 10
    with pytest.raises(CutOff, match="broke"):
        quick("new")
    assert len(server.asked) == 5
    assert files_of(tmp_path / "env") == before
    assert strays(tmp_path) == []


def test_another_environment_after_the_cut(run: Sync, server: ArchiveServer, tmp_path: Path) -> None:
    """A package is released between two attempts: nothing of the first answer may stay."""
    whole = len(server.environment.zstd(str(tmp_path / "env")))
    server.cuts = [whole - 40]

    def release() -> None:
        server.environment = Environment([library("alpha", version="2.0"), small().layers[2]])

    server.pace = release
    run(workers=1)
    assert not (tmp_path / f"env/{SITE}/big").exists()
    assert (tmp_path / f"env/{SITE}/alpha-2.0.dist-info").is_dir()
    assert not (tmp_path / f"env/{SITE}/alpha-1.0.dist-info").exists()
    assert json.loads((tmp_path / "env/.venvery/manifest.json").read_text())["key"] == server.environment.key
