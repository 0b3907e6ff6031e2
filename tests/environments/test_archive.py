"""Archives: every tool unpacks the same tree, any range is right, and the numbers are exact."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.environments.test_layers import full_wheel
from tests.environments.workshop import UNPACKERS, Workshop, members, tree, unpack
from tests.support.wheels import make_wheel
from venvery.environments import Archive, Encoding, HeadOptions, layer_archive, make_head
from venvery.environments.encodings import zstd

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
PREFIX = "/srv/env"


def wheels() -> list:  # type: ignore[type-arg]
    long = "/".join(["deep_" + "x" * 30] * 5)
    return [
        full_wheel(),
        make_wheel("tiny", "1.0"),
        make_wheel(
            "names", "1", files={"names/Größe.txt": "ü", f"names/{long}.py": "1\n", "names/" + "e" * 120: "e"}
        ),
    ]


@pytest.mark.parametrize(
    ("tool", "encoding"),
    [(tool, encoding) for tool in UNPACKERS for encoding in ENCODINGS if (tool, encoding) != ("busybox", "zstd")],
)
def test_every_tool_unpacks_the_same_tree(
    workshop: Workshop, tmp_path: Path, tool: str, encoding: Encoding
) -> None:
    manifest, layers = workshop.environment(wheels())
    archive = workshop.archive(manifest, layers, PREFIX, encoding, python="/usr/bin/python3.11")
    data = b"".join(archive.chunks())
    unpack(data, tmp_path / "env", encoding, tool)
    expected = {}
    for fragment in (make_head(manifest, layers, HeadOptions(PREFIX, "/usr/bin/python3.11", encoding=encoding)),
                     *(workshop.fragment(layer) for layer in layers)):  # fmt: skip
        for path, (mode, content) in members(fragment).items():
            kind = "link" if mode == 0o777 else "executable" if mode & 0o100 else "plain"
            expected[path] = (kind, content)
    assert tree(tmp_path / "env") == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_length_and_tag_are_exact(workshop: Workshop, encoding: Encoding) -> None:
    manifest, layers = workshop.environment(wheels())
    archive = workshop.archive(manifest, layers, PREFIX, encoding)
    data = b"".join(archive.chunks())
    assert len(data) == archive.length
    again = workshop.archive(manifest, layers, PREFIX, encoding)
    assert again.etag == archive.etag
    assert archive.etag[0] == archive.etag[-1] == '"'
    assert b"".join(again.chunks()) == data
    others = [
        workshop.archive(manifest, layers, "/srv/other", encoding),
        workshop.archive(manifest, layers, PREFIX, encoding, skipped=frozenset([layers[0].digest])),
        workshop.archive(manifest, layers, PREFIX, "gzip" if encoding == "zstd" else "zstd"),
    ]
    assert len({archive.etag, *(other.etag for other in others)}) == 4


def test_gzip_is_one_member_and_zstd_is_frames_with_their_sizes(workshop: Workshop) -> None:
    manifest, layers = workshop.environment(wheels())
    zipped = b"".join(workshop.archive(manifest, layers, PREFIX, "gzip").chunks())
    assert zipped[:10] == bytes.fromhex("1f8b08000000000000ff")
    stream = io.BytesIO(zipped)
    whole = gzip.GzipFile(fileobj=stream).read()  # checks CRC-32 and size
    assert stream.read() == b""
    assert int.from_bytes(zipped[-4:], "little") == len(whole)
    framed = b"".join(workshop.archive(manifest, layers, PREFIX, "zstd").chunks())
    sizes = []
    while framed:
        size = zstd.get_frame_size(framed)
        sizes.append((size, zstd.get_frame_info(framed).decompressed_size))
        framed = framed[size:]
    assert sizes[1:-1] == [frame for layer in manifest.layers for frame in layer.zstd.frames]
    assert sizes[-1][1] == 1024


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_range_is_that_part_of_the_whole(workshop: Workshop, encoding: Encoding, data: st.DataObject) -> None:
    manifest, layers = workshop.environment([make_wheel("tiny", "1.0")])
    archive = workshop.archive(manifest, layers, PREFIX, encoding)
    whole = b"".join(archive.chunks())
    start = data.draw(st.integers(0, archive.length + 3))
    stop = data.draw(st.none() | st.integers(0, archive.length + 3))
    assert b"".join(archive.chunks(start, stop)) == whole[start:stop]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_skipped_layers_are_left_out_and_said_to_be(
    workshop: Workshop, tmp_path: Path, encoding: Encoding
) -> None:
    manifest, layers = workshop.environment(wheels())
    have = frozenset([layers[0].digest, "sha256:" + "0" * 64])
    data = b"".join(workshop.archive(manifest, layers, PREFIX, encoding, skipped=have).chunks())
    unpack(data, tmp_path / "env", encoding, "tarfile")
    head = json.loads((tmp_path / "env/.venvery/head.json").read_text())
    assert head["skipped"] == [layers[0].digest]
    site = tmp_path / "env/lib/python3.11/site-packages"
    assert not (site / "full_project").exists()
    assert (site / "tiny").exists()
    assert (tmp_path / "env/bin/full").exists()


def test_a_single_layer_is_its_fragment(workshop: Workshop) -> None:
    layer = workshop.layer(full_wheel())
    fragment = workshop.fragment(layer)
    for encoding, decode in (("gzip", gzip.decompress), ("zstd", zstd.decompress)):
        alone = layer_archive(layer, workshop.blobs, encoding)  # type: ignore[arg-type]
        data = b"".join(alone.chunks())
        assert len(data) == alone.length
        assert decode(data) == fragment
        assert "sha256:" + hashlib.sha256(decode(data)).hexdigest() == layer.digest


def test_the_later_of_two_layers_wins_everywhere(workshop: Workshop, tmp_path: Path) -> None:
    pair = [
        make_wheel("one", "1", files={"shared/__init__.py": "one\n", "one.py": "1\n"}),
        make_wheel("two", "1", files={"shared/__init__.py": "two\n"}),
    ]
    manifest, layers = workshop.environment(pair)
    assert [layer.project for layer in manifest.layers] == ["one", "two"]
    for tool in (*UNPACKERS[:1], "tarfile"):
        data = b"".join(workshop.archive(manifest, layers, PREFIX, "gzip").chunks())
        unpack(data, tmp_path / tool, "gzip", tool)
        site = tmp_path / tool / "lib/python3.11/site-packages"
        assert (site / "shared/__init__.py").read_text() == "two\n"


def test_a_hundred_layers_are_joined_without_reading_them(workshop: Workshop) -> None:
    """Length, validator and first byte cost no look into a layer, however many there are."""
    wheels = [
        make_wheel(f"project-{n}", "1.0", entry_points={"console_scripts": {f"run{n}": "m:f"}}) for n in range(100)
    ]
    manifest, layers = workshop.environment(wheels)

    class Unread:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"a layer was touched: {name}")

    for encoding in ENCODINGS:
        fresh = make_manifest_again(manifest, layers)
        head = make_head(fresh, layers, HeadOptions("/srv/env", encoding=encoding))
        archive = Archive(fresh, head, Unread(), encoding)  # type: ignore[arg-type]
        assert archive.length > sum(
            (layer.zstd if encoding == "zstd" else layer.deflate).size for layer in fresh.layers
        )
        assert archive.etag
        assert next(archive.chunks())


def make_manifest_again(manifest, layers):  # type: ignore[no-untyped-def]
    """A manifest that has remembered nothing, as one read from the database."""
    from venvery.environments import Manifest

    return Manifest.from_json(manifest.to_json())
