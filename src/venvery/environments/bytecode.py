"""Bytecode layers: the `.pyc` files of a layer, compiled once by the very interpreter that they are for.

Standard: hash-based `.pyc` files that are not checked against their source (PEP 552), which is valid because
a layer never changes. The file name inside is relative; the import system puts the real one in its place.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Protocol, cast

from venvery.environments.activate import template
from venvery.environments.encodings import zstd
from venvery.environments.fragments import BlobReader, BlobWriter, FragmentWriter, Planned
from venvery.environments.layers import LayerInfo
from venvery.environments.tar import Readable, read_members
from venvery.errors import BadConfiguration
from venvery.model.targets import Family

__all__ = ["compile_layers", "compile_modules", "pyc_path"]

FILE_SECONDS = 120.0
"""How long one file may take before its compilation is given up."""
LARGEST = 64 << 20
"""Bytes of a source file from which on it is not compiled."""
_SPOOL = 16 << 20


class Blobs(BlobReader, BlobWriter, Protocol):
    """A store that is read and written."""


@dataclass(frozen=True, slots=True)
class _Source:
    path: str
    """In the layer."""
    name: str
    """What the code object says it comes from."""
    content: bytes


class _Broken(Exception):
    """The interpreter ended or hung while it compiled a file."""


def compile_layers(layers: Sequence[LayerInfo], family: Family, interpreter: str, blobs: Blobs) -> list[LayerInfo]:
    """Compile the modules of each layer. One answer for each, which has no files when there are no modules.

    `interpreter` is a path. It is started once for all the layers. A file that does not compile is left out,
    and so is one on which the interpreter dies or hangs. Raises `BadConfiguration` when it is not the
    interpreter of the family, or cannot be run.
    """
    with _Compiler(interpreter, family) as compiler:
        return [_compile_layer(layer, family, compiler, blobs) for layer in layers]


def compile_modules(modules: Iterable[tuple[str, bytes]], family: Family, interpreter: str) -> Iterator[bytes]:
    """Compile modules, each given as its path relative to site-packages and its source, as `compile_layers` does.

    Gives the content of each `.pyc`, nothing where there is none. Raises `BadConfiguration`.
    """
    with _Compiler(interpreter, family) as compiler:
        for name, content in modules:
            yield compiler.compile(_Source(name, name, content))


def _compile_layer(layer: LayerInfo, family: Family, compiler: _Compiler, blobs: Blobs) -> LayerInfo:
    plan: list[tuple[str, int, int]] = []
    """Path, and where its content is in the spool: start and size."""
    with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
        for source in _sources(layer, family, blobs):
            content = compiler.compile(source)
            if content:
                plan.append((pyc_path(source.path, compiler.tag), spool.tell(), len(content)))
                spool.write(content)
        plan.sort(key=lambda entry: entry[0].encode())
        with FragmentWriter([Planned(path, size) for path, _start, size in plan]) as writer:
            for path, start, size in plan:
                spool.seek(start)
                writer.add(path, [spool.read(size)])
            fragment = writer.finish(blobs)
    return LayerInfo(
        digest=fragment.digest,
        kind="bytecode",
        family=layer.family,
        project=layer.project,
        version=layer.version,
        wheel=layer.wheel,
        size=fragment.size,
        files=fragment.files,
        zstd=fragment.zstd,
        deflate=fragment.deflate,
        of=layer.digest,
        interpreter=compiler.tag,
    )


def _sources(layer: LayerInfo, family: Family, blobs: BlobReader) -> Iterator[_Source]:
    """Give the modules of a layer: what lies in site-packages and ends in `.py`."""
    folder = family.purelib + "/"
    with blobs.open(layer.zstd.digest) as blob, zstd.ZstdFile(blob) as fragment:
        for member, body in read_members(cast("Readable", fragment)):
            if member.path.startswith(folder) and member.path.endswith(".py") and member.size <= LARGEST:
                yield _Source(member.path, member.path[len(folder) :], body.read())


def pyc_path(path: str, tag: str) -> str:
    """Tell where the bytecode of a module lies, for an interpreter's cache tag (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name[: -len('.py')]}.{tag}.pyc"


class _Compiler:
    """The interpreter, started when it is needed and again when a file has brought it down."""

    def __init__(self, interpreter: str, family: Family) -> None:
        self._interpreter = interpreter
        self._family = family
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = math.inf
        self._done = threading.Event()
        self._start()

    def __enter__(self) -> _Compiler:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._stop()

    def compile(self, source: _Source) -> bytes:
        """Give the content of the `.pyc`; nothing when the source does not compile."""
        if self._process is None:
            self._start()
        self._deadline = time.monotonic() + FILE_SECONDS
        try:
            return self._exchange(source)
        except (_Broken, OSError):
            self._stop()
            return b""
        finally:
            self._deadline = math.inf

    def _watch(self) -> None:
        """Kill an interpreter that is over its time."""
        while not self._done.wait(min(1.0, FILE_SECONDS / 4)):
            process = self._process
            if time.monotonic() > self._deadline and process is not None:
                process.kill()

    def _exchange(self, source: _Source) -> bytes:
        # The interpreter reads a file whole before it answers, so that neither side waits for the other.
        name = source.name.encode()
        stdin, stdout = self._pipes()
        stdin.write(len(name).to_bytes(8, "big") + len(source.content).to_bytes(8, "big") + name)
        stdin.write(source.content)
        stdin.flush()
        size = int.from_bytes(_exactly(stdout, 8), "big")
        return _exactly(stdout, size)

    def _start(self) -> None:
        # A fixed hash seed: before 3.11 it decides the order in which sets of constants are written.
        environment = {"PYTHONHASHSEED": "0", "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
        if "SYSTEMROOT" in os.environ:
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        command = [self._interpreter, "-s", "-S", "-B", "-W", "ignore", "-c", template("compile.py.txt")]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=os.path.abspath(os.sep),  # noqa: PTH100
            )
            about = json.loads(self._pipes()[1].readline())
        except (OSError, ValueError) as error:
            self._stop()
            raise BadConfiguration(
                f"the interpreter {self._interpreter} cannot be run", hint="give the path of a Python"
            ) from error
        if about["implementation"] != self._family.implementation or about["python"] != self._family.python:
            self._stop()
            raise BadConfiguration(
                f"the interpreter {self._interpreter} is {about['implementation']} {about['python']}, "
                f"not {self._family.implementation} {self._family.python}"
            )
        self.tag = str(about["tag"])

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise _Broken
        return self._process.stdin, self._process.stdout

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not yet sent is not to be sent
                    pipe.close()
        process.wait()


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise _Broken
    return data
