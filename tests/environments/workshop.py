"""Makes environments out of tiny wheels, and unpacks them with whatever this machine has."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.wheels import BuiltFile
from venvery.environments import (
    Archive,
    Encoding,
    HeadOptions,
    LayerInfo,
    Manifest,
    build_layer,
    make_head,
    make_manifest,
)
from venvery.environments.encodings import zstd
from venvery.model.files import DistFile, parse_filename
from venvery.model.lock import Lock, Pin
from venvery.model.targets import Family, Target, short_target
from venvery.storage.blobs import Blobs

LINUX = short_target("3.11", "linux-x86_64")
WINDOWS = short_target("3.11", "windows-x86_64")
POSIX = Family("posix", "3.11")

UNPACKERS = ("gnu-tar", "bsdtar", "busybox", "tarfile")


class Workshop:
    """A blob store, and short ways to make things in it."""

    def __init__(self, folder: Path) -> None:
        self.blobs = Blobs.open_folder(folder)

    def layer(self, wheel: BuiltFile, family: Family = POSIX, **options: Any) -> LayerInfo:
        """Build one layer."""
        return build_layer(io.BytesIO(wheel.data), wheel.filename, family, self.blobs, **options)

    def fragment(self, layer: LayerInfo) -> bytes:
        """Give a layer's uncompressed bytes, checked against its digest."""
        data = zstd.decompress(self.blobs.read(layer.zstd.digest))
        assert "sha256:" + hashlib.sha256(data).hexdigest() == layer.digest
        assert len(data) == layer.size
        return data

    def files(self, layer: LayerInfo) -> dict[str, bytes]:
        """Give a layer's files by path."""
        return {name: content for name, (_mode, content) in members(self.fragment(layer)).items()}

    def environment(
        self, wheels: Iterable[BuiltFile], target: Target = LINUX, bytecode: Sequence[LayerInfo] = ()
    ) -> tuple[Manifest, list[LayerInfo]]:
        """Make the environment of some wheels."""
        wheels = list(wheels)
        layers = [self.layer(wheel, target.family) for wheel in wheels]
        return make_manifest(make_lock(wheels, target), 0, layers, bytecode), layers

    def archive(
        self,
        manifest: Manifest,
        layers: Sequence[LayerInfo],
        prefix: str | Path,
        encoding: Encoding = "zstd",
        **options: Any,
    ) -> Archive:
        """Make the archive of an environment."""
        head = make_head(manifest, layers, HeadOptions(str(prefix), encoding=encoding, **options))
        return Archive(manifest, head, self.blobs, encoding, options.get("skipped", frozenset()))

    def install(self, wheels: Iterable[BuiltFile], prefix: Path, **options: Any) -> None:
        """Make the environment of some wheels and unpack it where it is to live."""
        manifest, layers = self.environment(wheels)
        data = b"".join(self.archive(manifest, layers, prefix, "gzip", **options).chunks())
        unpack(data, prefix, "gzip", "gnu-tar")


def make_lock(wheels: Iterable[BuiltFile], target: Target) -> Lock:
    """Write the lock that has just these wheels."""
    pins = []
    for wheel in wheels:
        name = parse_filename(wheel.filename)
        assert name is not None
        file = DistFile(
            wheel.filename, "file:///nowhere", name.project, name.version, "wheel", name.tag, source="tiny"
        )
        pins.append(Pin(name.project, name.version, (file,), (0,)))
    return Lock((target,), tuple(sorted(pins, key=lambda pin: pin.project)), ())


def members(fragment: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a fragment with the standard library: mode and content by path, in order."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(fragment + bytes(1024))) as archive:
        for member in archive:
            assert member.name not in found
            content = archive.extractfile(member).read() if member.isreg() else member.linkname.encode()  # type: ignore[union-attr]
            found[member.name] = (member.mode, content)
    return found


def unpack(data: bytes, folder: Path, encoding: Encoding, tool: str) -> None:
    """Unpack a whole archive as a stream, as from `curl`."""
    folder.mkdir(parents=True, exist_ok=True)
    if tool == "tarfile":
        stream = io.BytesIO(zstd.decompress(data)) if encoding == "zstd" else io.BytesIO(data)
        mode = "r|" if encoding == "zstd" else "r|gz"
        with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
            archive.extractall(folder, filter="tar")
        return
    commands: dict[tuple[str, Encoding], list[str]] = {
        ("gnu-tar", "gzip"): ["tar", "-xz"],
        ("gnu-tar", "zstd"): ["tar", "--zstd", "-x"],
        ("bsdtar", "gzip"): ["bsdtar", "-x"],
        ("bsdtar", "zstd"): ["bsdtar", "-x"],
        ("busybox", "gzip"): ["busybox", "tar", "-xz"],
    }
    command = commands.get((tool, encoding))
    if command is None:
        pytest.skip(f"{tool} knows no {encoding}")
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    if tool == "gnu-tar" and encoding == "zstd" and shutil.which("zstd") is None:
        pytest.skip("GNU tar needs the zstd command, which is not on this machine")
    done = subprocess.run([*command, "-f", "-", "-C", str(folder)], input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def tree(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Read a folder: the kind, the executable bit and the content of everything but the folders in it."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if (Path(parent) / name).is_symlink())]:
            path = Path(parent) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                entry = ("link", str(path.readlink()).encode())
            else:
                entry = ("executable" if mode & 0o100 else "plain", path.read_bytes())
            found[str(path.relative_to(folder))] = entry
    return found


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of ours in its surroundings."""
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        env={**clean, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done
