"""The archive of an environment as it arrives: head, layers, tail (one pass, nothing is read twice).

The first member of the head is the manifest. It says how many bytes each layer has, so that the stream can
be cut into layers without decoding them here: a zstd stream (RFC 8878) at the frames that the manifest
lists, any other at the uncompressed sizes. Layers are handed on as they are, for `unpack` to decode.
"""

from __future__ import annotations

import json
import re

from venvery.client.errors import ArchiveError, CutOff
from venvery.client.stream import GZIP, TAR, ZSTD, Stream
from venvery.client.tarball import Window, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

    from venvery.client.tarball import Member

__all__ = [
    "GZIP",
    "TAR",
    "ZSTD",
    "Archive",
    "Head",
    "Layer",
    "Manifest",
    "Stream",
    "accepted_media_types",
    "decode_zstd_frames",
]

PIECE = 1 << 18
"""Bytes asked of the stream at once."""
CHUNK = 1 << 18
"""Bytes that are decoded at a time: what is hashed and written next is still in the processor's cache."""
MAX_HEAD = 64 << 20
MAX_LAYERS = 50_000
END = b"\0" * 1024

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")

try:
    from compression import zstd as _zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from backports import zstd as _zstd
    except ImportError:
        _zstd = None


class Layer:
    """One layer as the manifest names it."""

    __slots__ = ("digest", "files", "frames", "kind", "project", "size", "version")

    def __init__(
        self,
        digest: str,
        kind: str,
        size: int,
        files: int,
        frames: Tuple[Tuple[int, int], ...],
        project: str,
        version: str,
    ) -> None:
        self.digest = digest
        self.kind = kind
        self.size = size
        """Uncompressed bytes of its tar fragment."""
        self.files = files
        self.frames = frames
        """(compressed, uncompressed) bytes of its zstd frames."""
        self.project = project
        self.version = version

    @property
    def name(self) -> str:
        """What to call it when talking to a person."""
        what = f"{self.project} {self.version}".strip() or self.digest[:19]
        return f"the bytecode of {what}" if self.kind == "bytecode" else what


class Manifest:
    """What the environment is made of."""

    __slots__ = ("document", "key", "layers")

    def __init__(self, key: str, layers: Tuple[Layer, ...], document: Dict[str, Any]) -> None:
        self.key = key
        self.layers = layers
        self.document = document


class Head:
    """What was made for this request alone."""

    __slots__ = ("prefix", "python", "size", "skipped")

    def __init__(self, prefix: str, python: str, size: int, skipped: Tuple[str, ...]) -> None:
        self.prefix = prefix
        self.python = python
        self.size = size
        self.skipped = skipped
        """Digests of layers that are not in the stream because we said that we have them."""


def accepted_media_types() -> List[str]:
    """List what we can decode here, best first."""
    if _zstd is None:
        from shutil import which

        if not which("zstd"):
            return [GZIP]
    return [ZSTD, GZIP]


class Archive:
    """An archive whose manifest has been read; the rest is taken in order, once."""

    def __init__(self, stream: Stream) -> None:
        self._source = _open_source(stream)
        self._members = members(self._source.window, checked=True)
        self.documents: List[Tuple[bytes, bytes]] = []
        """The two documents as they came: (name, content)."""
        self.manifest = read_manifest(self._json_member(b".venvery/manifest.json"))
        self.head = read_head(self._json_member(b".venvery/head.json"))
        unknown = set(self.head.skipped) - {layer.digest for layer in self.manifest.layers}
        if unknown:
            raise ArchiveError(f"the archive leaves out {min(unknown)}, which its manifest does not name")

    @property
    def encoding(self) -> str:
        """How the pieces of a layer come: `zstd` (whole frames) or `plain`."""
        return self._source.encoding

    @property
    def received(self) -> int:
        """Bytes taken from the connection so far."""
        return self._source.received

    def head_members(self) -> Iterator[Tuple[Member, bytes]]:
        """Give the members of the head after the two documents, each with its content."""
        window = self._source.window
        while window.consumed < self.head.size:
            member = next(self._members, None)
            if member is None:
                break
            yield member, self._content(member[3])
        if window.consumed != self.head.size:
            raise ArchiveError("the head of the archive is not as long as it says")
        self._source.leave_head()

    def length(self, layer: Layer) -> int:
        """Tell how many bytes the layer has in the stream, in `encoding`."""
        if self.encoding == "zstd":
            return sum(compressed for compressed, _ in layer.frames)
        return layer.size

    def fill(self, view: memoryview) -> None:
        """Put the next bytes of the stream into `view`, in `encoding`, until it is full. Raises `CutOff`."""
        while view:
            count = self._source.readinto(view)
            if not count:
                raise CutOff("the archive ended before its end")
            view = view[count:]

    def skip(self, length: int) -> None:
        """Pass over the next bytes of the stream. Raises `CutOff`."""
        room = memoryview(bytearray(min(length, PIECE)))
        while length:
            part = room[:length]
            self.fill(part)
            length -= len(part)

    def finish(self) -> None:
        """Check that the end of the archive is here and that nothing follows."""
        self._source.finish()

    def close(self) -> None:
        """Drop the connection."""
        self._source.close()

    def _content(self, size: int) -> bytes:
        window = self._source.window
        if window.consumed + size > MAX_HEAD:
            raise ArchiveError(f"the head of the archive has more than {MAX_HEAD >> 20} MiB")
        content = b"".join(bytes(piece) for piece in window.take(size))
        window.pad(size)
        return content

    def _json_member(self, name: bytes) -> Any:
        member = next(self._members, None)
        if member is None:
            raise CutOff("the archive ended before its end")
        if member[:2] != (b"0", name):
            raise ArchiveError(f"the archive has no {name.decode()} where it must be")
        content = self._content(member[3])
        self.documents.append((name, content))
        try:
            return json.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{name.decode()} in the archive is not readable JSON") from error


def read_manifest(document: Any) -> Manifest:
    """Check a manifest document and read it. Raises `ArchiveError`."""
    if not isinstance(document, dict) or document.get("venvery_manifest") != 1:
        raise ArchiveError(
            "the archive's manifest is of a form that this client does not know",
            hint="take the client from the server: GET /venvery.pyz",
        )
    key: Any = document.get("key")
    layers: Any = document.get("layers")
    if not _is_digest(key) or not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise ArchiveError("the archive's manifest has no usable key or list of layers")
    read = tuple(_read_layer(layer) for layer in layers)
    if len({layer.digest for layer in read}) != len(read):
        raise ArchiveError("the archive's manifest names a layer twice")
    return Manifest(key, read, document)


def _read_layer(document: Any) -> Layer:
    if not isinstance(document, dict):
        raise ArchiveError("a layer in the archive's manifest is not an object")
    digest: Any = document.get("digest")
    size: Any = document.get("size")
    zstd = document.get("zstd")
    frames = zstd.get("frames") if isinstance(zstd, dict) else None
    if not _is_digest(digest) or not _is_count(size) or size % 512:
        raise ArchiveError("a layer in the archive's manifest has no usable digest or size")
    if frames is None:
        frames = []
    if not isinstance(frames, list) or not all(
        isinstance(frame, list) and len(frame) == 2 and all(map(_is_count, frame)) for frame in frames
    ):
        raise ArchiveError(f"the frames of layer {digest} in the archive's manifest are not readable")
    return Layer(
        digest,
        str(document.get("kind") or "wheel"),
        size,
        document["files"] if _is_count(document.get("files")) else 0,
        tuple((frame[0], frame[1]) for frame in frames),
        str(document.get("project") or ""),
        str(document.get("version") or ""),
    )


def read_head(document: Any) -> Head:
    """Check a head document and read it. Raises `ArchiveError`."""
    if not isinstance(document, dict) or not _is_count(document.get("head_size")):
        raise ArchiveError("the archive's head does not say how long it is")
    skipped = document.get("skipped") or []
    if not isinstance(skipped, list) or not all(map(_is_digest, skipped)):
        raise ArchiveError("the archive's head has no readable list of skipped layers")
    if document["head_size"] > MAX_HEAD:
        raise ArchiveError(f"the head of the archive has more than {MAX_HEAD >> 20} MiB")
    prefix, python = document.get("prefix"), document.get("python")
    return Head(str(prefix or ""), str(python or ""), document["head_size"], tuple(skipped))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.match(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 50


# Sources: one stream, cut where the head ends and then by byte counts


class _Source:
    """A stream with its head as a window, and what follows the head by counts of bytes."""

    encoding = "plain"

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.received = 0
        self.window = Window(self._head_chunks())

    def _head_chunks(self) -> Iterator[bytes]:
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        """Give what comes, decoded."""
        while True:
            data = self._read()
            if not data:
                return
            yield data

    def _read(self) -> bytes:
        data = self._stream.read(PIECE)
        self.received += len(data)
        return data

    def leave_head(self) -> None:
        """Stand at the first byte after the head."""

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes after the head into `view`; say how many, 0 at the end. Raises `CutOff`."""
        window = self.window
        if not window.need(1):
            return 0
        count = min(len(view), len(window.data) - window.at)
        view[:count] = window.view[window.at : window.at + count]
        window.at += count
        return count

    def finish(self) -> None:
        """Take the tail and the end of the stream."""
        if b"".join(bytes(piece) for piece in self.window.take(len(END))) != END:
            raise ArchiveError("the archive does not end where its manifest says")
        if self.window.need(1):
            raise ArchiveError("something follows the end of the archive")

    def close(self) -> None:
        self._stream.close()


class _GzipSource(_Source):
    """One gzip member (RFC 1952)."""

    def _chunks(self) -> Iterator[bytes]:
        import zlib

        decoder = zlib.decompressobj(31)
        try:
            while not decoder.eof:
                data = self._read()
                if not data:
                    raise CutOff("the archive ended before its end")
                while data and not decoder.eof:
                    chunk = decoder.decompress(data, 1 << 20)
                    data = decoder.unconsumed_tail
                    if chunk:
                        yield chunk
        except zlib.error as error:
            raise ArchiveError(f"the archive is damaged ({error})") from error
        if decoder.unused_data or self._read():
            raise ArchiveError("something follows the end of the archive")


class _ZstdSource(_Source):
    """Zstd frames: the head is the first, layers and tail are handed on as they are."""

    encoding = "zstd"

    def __init__(self, stream: Stream) -> None:
        self._rest = b""
        super().__init__(stream)

    def _head_chunks(self) -> Iterator[bytes]:
        produced = False
        while not produced:  # a skippable frame before the head is passed over
            decoder = _zstd.ZstdDecompressor()
            for chunk in self._frame(decoder):
                produced = True
                yield chunk
            self._rest = decoder.unused_data

    def _frame(self, decoder: Any) -> Iterator[bytes]:
        data, self._rest = self._rest, b""
        try:
            while not decoder.eof:
                if decoder.needs_input and not data:
                    data = self._read()
                    if not data:
                        raise CutOff("the archive ended before its end")
                chunk = decoder.decompress(data, 1 << 20)
                data = b""
                if chunk:
                    yield chunk
        except _zstd.ZstdError as error:
            raise ArchiveError(f"the archive is damaged ({error})") from error

    def leave_head(self) -> None:
        if self.window.need(1):
            raise ArchiveError("the head of the archive is not as long as it says")

    def readinto(self, view: memoryview) -> int:
        if self._rest:
            count = min(len(view), len(self._rest))
            view[:count] = self._rest[:count]
            self._rest = self._rest[count:]
            return count
        count = self._stream.readinto(view)
        self.received += count
        return count

    def finish(self) -> None:
        decoder = _zstd.ZstdDecompressor()
        tail = b""
        for chunk in self._frame(decoder):
            tail += chunk
            if len(tail) > len(END):
                break
        if tail != END:
            raise ArchiveError("the archive does not end where its manifest says")
        if decoder.unused_data or self._read():
            raise ArchiveError("something follows the end of the archive")


class _ProgramStream(Stream):
    """A zstd stream decoded by the system's `zstd` program."""

    def __init__(self, inner: Stream) -> None:
        import subprocess
        import threading

        self._inner = inner
        self._failure: Optional[BaseException] = None
        self._program = subprocess.Popen(
            ["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        pipe = self._program.stdin
        assert pipe is not None
        try:
            while True:
                data = self._inner.read(PIECE)
                if not data:
                    break
                pipe.write(data)
            pipe.close()
        except BrokenPipeError:
            pass
        except BaseException as error:
            self._failure = error
            self._program.kill()

    def read(self, size: int) -> bytes:
        assert self._program.stdout is not None
        data: bytes = self._program.stdout.read1(size)  # type: ignore[attr-defined]
        if not data:
            self._feeder.join()
            code = self._program.wait()
            if self._failure is not None:
                raise self._failure
            if code:
                raise CutOff("the archive is damaged or ended before its end")
        return data

    def close(self) -> None:
        self._inner.close()
        self._program.kill()
        self._program.wait()
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what it still held goes nowhere, and that is meant


def _open_source(stream: Stream) -> _Source:
    if stream.media_type == ZSTD:
        return _ZstdSource(stream) if _zstd is not None else _Source(_ProgramStream(stream))
    if stream.media_type == GZIP:
        return _GzipSource(stream)
    if stream.media_type == TAR:
        return _Source(stream)
    raise ArchiveError(f"the server answered with {stream.media_type!r}, which is no archive")


def decode_zstd_frames(frames: Iterable[Tuple[int, int]], pieces: Iterator[memoryview]) -> Iterator[bytes]:
    """Decode the frames of one layer, each of which must be as long as the manifest says."""
    rest = nothing = memoryview(b"")
    for compressed, size in frames:
        decoder = _zstd.ZstdDecompressor()
        left, made = compressed, 0
        while not decoder.eof:
            data = nothing
            if decoder.needs_input:
                if not left:
                    raise ArchiveError(_LENGTH)
                data = rest or _next(pieces)
                data, rest = data[:left], data[left:]
                left -= len(data)
            chunk = _decode(decoder, data)
            made += len(chunk)
            if made > size:
                raise ArchiveError(_LENGTH)
            if chunk:
                yield chunk
        if left or decoder.unused_data or made != size:
            raise ArchiveError(_LENGTH)


_LENGTH = "a frame of the archive is not as long as its manifest says"


def _next(pieces: Iterator[memoryview]) -> memoryview:
    for piece in pieces:
        return piece
    raise CutOff("the archive ended before its end")


def _decode(decoder: Any, data: memoryview) -> bytes:
    try:
        chunk: bytes = decoder.decompress(data, CHUNK)
    except _zstd.ZstdError as error:
        raise ArchiveError(f"the archive is damaged ({error})") from error
    return chunk
