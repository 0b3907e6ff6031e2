"""Manifests and keys: what they depend on and what not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.environments.workshop import LINUX, WINDOWS, Workshop, make_lock
from tests.support.wheels import make_wheel
from venvery.environments import Manifest, environment_key, make_manifest
from venvery.environments.parts import gather_parts
from venvery.errors import StorageFailed
from venvery.model.targets import short_target


def two() -> list:  # type: ignore[type-arg]
    return [make_wheel("small", "1.0"), make_wheel("large", "2.0", files={"large.py": "x = 1\n" * 9000})]


def test_a_manifest_says_what_the_contract_says(workshop: Workshop) -> None:
    manifest, layers = workshop.environment(two())
    small, large = layers
    document = json.loads(manifest.encoded)
    assert document == manifest.to_json()
    assert document["venvery_manifest"] == 1
    assert document["recipe"] == 2
    assert document["parts"] == gather_parts(layers).digest
    assert document["target"] == {
        "python": "3.11", "implementation": "cpython", "os": "posix", "platform": "linux-x86_64", "threads": "",
    }  # fmt: skip
    assert [pin["project"] for pin in document["pins"]] == ["large", "small"]
    assert document["pins"][1] == {
        "project": "small",
        "version": "1.0",
        "requested": False,
        "requires": [],
        "wheel": {
            "filename": "small-1.0-py3-none-any.whl",
            "sha256": two()[0].sha256,
            "size": len(two()[0].data),
            "source": "tiny",
        },
    }
    assert [layer["digest"] for layer in document["layers"]] == [large.digest, small.digest]
    assert document["layers"][1] == {
        "digest": small.digest,
        "kind": "wheel",
        "project": "small",
        "version": "1.0",
        "record": small.record,
        "size": small.size,
        "files": small.files,
        "zstd": {"digest": small.zstd.digest, "size": small.zstd.size, "frames": [[small.zstd.size, small.size]]},
        "deflate": {"digest": small.deflate.digest, "size": small.deflate.size, "crc32": small.deflate.crc32},
    }
    assert Manifest.from_json(document) == manifest
    assert Manifest.from_json(document).encoded == manifest.encoded


def test_the_key_depends_on_the_wheels_and_the_target_alone(workshop: Workshop) -> None:
    first, layers = workshop.environment(two())
    again, _ = workshop.environment(reversed(two()))
    assert again.encoded == first.encoded
    assert first.key == environment_key(LINUX, layers)
    compiled = replace(layers[0], kind="bytecode", of=layers[0].digest, digest="sha256:" + "1" * 64)
    with_bytecode = make_manifest(make_lock(two(), LINUX), 0, layers, [compiled])
    assert with_bytecode.key == first.key
    other_micro = short_target("3.11.9", "manylinux_2_17_x86_64")
    assert environment_key(other_micro, layers) == first.key
    others = {
        environment_key(WINDOWS, layers),
        environment_key(short_target("3.12", "linux-x86_64"), layers),
        environment_key(short_target("3.11", "linux-aarch64"), layers),
        environment_key(LINUX, layers[:1]),
        environment_key(LINUX, [replace(layers[0], direct_url="https://x/"), layers[1]]),
    }
    assert len(others | {first.key}) == 6


def test_bytecode_comes_behind_all_wheels_in_their_order(workshop: Workshop) -> None:
    _, layers = workshop.environment(two())
    small, large = layers

    def compiled(layer, digit, **changes):  # type: ignore[no-untyped-def]
        digest = "sha256:" + digit * 64
        return replace(
            layer, kind="bytecode", of=layer.digest, digest=digest, interpreter="cpython-311", **changes
        )

    bytecode = [compiled(small, "1", size=10**9), compiled(large, "2")]
    manifest = make_manifest(make_lock(two(), LINUX), 0, layers, bytecode)
    assert [(layer.kind, layer.project) for layer in manifest.layers] == [
        ("wheel", "large"), ("wheel", "small"), ("bytecode", "large"), ("bytecode", "small"),
    ]  # fmt: skip
    assert manifest.to_json()["layers"][2]["of"] == large.digest
    assert manifest.to_json()["layers"][2]["interpreter"] == "cpython-311"
    empty = make_manifest(make_lock(two(), LINUX), 0, layers, [compiled(small, "1", files=0)])
    assert [layer.kind for layer in empty.layers] == ["wheel", "wheel"]
    same = make_manifest(make_lock(two(), LINUX), 0, layers, [compiled(small, "1"), compiled(large, "1")])
    assert [(layer.kind, layer.project) for layer in same.layers[2:]] == [("bytecode", "small")]


def test_layers_that_are_not_those_of_the_lock_are_a_mistake(workshop: Workshop) -> None:
    _, layers = workshop.environment(two())
    for wrong in (layers[:1], [*layers, layers[0]], []):
        with pytest.raises(ValueError, match="not those of the lock"):
            make_manifest(make_lock(two(), LINUX), 0, wrong)


@pytest.mark.parametrize("value", [{}, {"venvery_manifest": 2}, {"venvery_manifest": 1, "target": []}])
def test_a_stored_manifest_that_cannot_be_read_is_the_stores_fault(value: dict[str, object]) -> None:
    with pytest.raises(StorageFailed):
        Manifest.from_json(value)
