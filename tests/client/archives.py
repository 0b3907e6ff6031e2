"""Small archives in the form of the contract, and every way to spoil one."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PYTHON = sys.executable
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
SITE = f"lib/python{MINOR}/site-packages"
END = bytes(1024)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def checked_frame(data: bytes) -> bytes:
    """Compress what no digest covers, with a checksum of its content."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def member(name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = b"0", link: str = "") -> bytes:
    """Give one member as the standard library writes it; nothing is checked."""
    info = tarfile.TarInfo(name)
    info.size = len(content) if kind == b"0" else 0
    info.mode = mode
    info.type = kind
    info.linkname = link
    info.mtime = 946684800
    if kind in (b"3", b"4"):
        info.devmajor, info.devminor = 1, 3
    header = info.tobuf(tarfile.PAX_FORMAT)
    return header + content + bytes(-len(content) % 512 if kind == b"0" else 0)


def fragment(files: Mapping[str, bytes], executable: Iterable[str] = ()) -> bytes:
    chosen = set(executable)
    return b"".join(member(name, data, mode=0o755 if name in chosen else 0o644) for name, data in files.items())


@dataclass
class Layer:
    """A layer as it is made and as the manifest names it."""

    project: str
    data: bytes
    kind: str = "wheel"
    version: str = "1.0"
    cuts: Sequence[int] = ()
    """Where its zstd frames are cut (uncompressed offsets)."""

    @property
    def digest(self) -> str:
        return sha256(self.data)

    @cached_property
    def frames(self) -> list[bytes]:
        edges = [0, *self.cuts, len(self.data)]
        return [zstd.compress(self.data[a:b], 3) for a, b in itertools.pairwise(edges)]

    @property
    def sizes(self) -> list[list[int]]:
        edges = [0, *self.cuts, len(self.data)]
        return [[len(frame), b - a] for frame, a, b in zip(self.frames, edges, edges[1:], strict=False)]

    def named(self) -> dict[str, Any]:
        compressed = b"".join(self.frames)
        return {
            "digest": self.digest,
            "kind": self.kind,
            "project": self.project,
            "version": self.version,
            "size": len(self.data),
            "files": len(self.data) // 1024,
            "zstd": {"digest": sha256(compressed), "size": len(compressed), "frames": self.sizes},
            "deflate": {"digest": sha256(b""), "size": 0},
        }


@dataclass
class Environment:
    """An environment that can be sent, in one piece or spoiled."""

    layers: list[Layer]
    python: str = PYTHON
    minor: str = MINOR
    head_extra: bytes = b""
    head_links: Mapping[str, str] | None = None
    change_manifest: Callable[[dict[str, Any]], None] | None = None
    change_head: Callable[[dict[str, Any]], None] | None = None
    tail: bytes = END
    frames: dict[int, list[bytes]] = field(default_factory=dict)
    """Zstd frames to send in place of a layer's own."""

    @property
    def key(self) -> str:
        return sha256("".join(sorted(layer.digest for layer in self.layers)).encode())

    def manifest(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "venvery_manifest": 1,
            "key": self.key,
            "recipe": 1,
            "target": {
                "python": self.minor,
                "implementation": "cpython",
                "os": "posix",
                "platform": "linux-x86_64",
                "threads": "",
            },
            "pins": [],
            "layers": [layer.named() for layer in self.layers],
        }
        if self.change_manifest is not None:
            self.change_manifest(document)
        return document

    def head(self, prefix: str, skipped: Sequence[str] = ()) -> bytes:
        links = {"bin/python": self.python, "bin/python3": "python", "lib64": "lib"}
        rest = member("pyvenv.cfg", f"home = {self.python.rpartition('/')[0]}\n".encode())
        rest += member("bin/hello", f"#!{prefix}/bin/python\nprint('hello')\n".encode(), mode=0o755)
        for name, target in (links if self.head_links is None else self.head_links).items():
            rest += member(name, kind=b"2", link=target, mode=0o777)
        rest += self.head_extra
        first = member(".venvery/manifest.json", json.dumps(self.manifest()).encode())
        size = 0
        for _ in range(3):
            document: dict[str, Any] = {
                "prefix": prefix,
                "python": self.python,
                "head_size": size,
                "skipped": list(skipped),
            }
            if self.change_head is not None:
                self.change_head(document)
            second = member(".venvery/head.json", json.dumps(document).encode())
            size = len(first) + len(second) + len(rest)
        return first + second + rest

    def skipped(self, have: Iterable[str]) -> list[str]:
        held = set(have)
        return [layer.digest for layer in self.layers if layer.digest in held]

    def zstd(self, prefix: str, have: Iterable[str] = ()) -> bytes:
        skipped = self.skipped(have)
        parts = [checked_frame(self.head(prefix, skipped))]
        for number, layer in enumerate(self.layers):
            if layer.digest not in skipped:
                parts += self.frames.get(number, layer.frames)
        return b"".join([*parts, checked_frame(self.tail)])

    def gzip(self, prefix: str, have: Iterable[str] = ()) -> bytes:
        data = self.tar(prefix, have)
        squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
        return squeeze.compress(data) + squeeze.flush()

    def tar(self, prefix: str, have: Iterable[str] = ()) -> bytes:
        skipped = self.skipped(have)
        layers = [layer.data for layer in self.layers if layer.digest not in skipped]
        return b"".join([self.head(prefix, skipped), *layers, self.tail])

    def but(self, **changes: Any) -> Environment:
        return replace(self, **changes)


def library(project: str, files: int = 4, seed: int = 0, size: int = 400, version: str = "1.0") -> Layer:
    """Make the layer of a small importable package, the same for the same arguments."""
    chance = random.Random(f"{project}{seed}")
    inside = {f"{SITE}/{project}/__init__.py": f"VERSION = {version!r}\n".encode()}
    for number in range(files):
        text = "".join(chance.choices("abcdefgh \n", k=chance.randrange(size)))
        inside[f"{SITE}/{project}/deep{number % 3}/module{number}.py"] = f'"""{text}"""\n'.encode()
    inside[f"{SITE}/{project}-{version}.dist-info/METADATA"] = f"Name: {project}\nVersion: {version}\n".encode()
    return Layer(project, fragment(inside), version=version)


def small() -> Environment:
    """Three packages, one of them with files beyond one decoding step, in several frames."""
    big = library("big", files=30, size=2000)
    half = big.data[: len(big.data) // 1024 * 512]
    return Environment([library("alpha"), replace(big, cuts=[len(half)]), library("gamma", files=9)])


def listing(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()
