"""An archive of this process, read as the client reads an answer."""

from __future__ import annotations

from collections.abc import Iterator

from venvery.client.archive import Stream
from venvery.services.house import Sendable

__all__ = ["ArchiveStream"]


class ArchiveStream(Stream):
    """An archive as the client reads an answer."""

    def __init__(self, sendable: Sendable, media_type: str) -> None:
        self.media_type = media_type
        self.etag = sendable.archive.etag
        self._sendable = sendable
        self._chunks: Iterator[bytes] = sendable.archive.chunks()
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)

    def close(self) -> None:
        self._rest = memoryview(b"")
        self._chunks = iter(())
        self._sendable.close()
