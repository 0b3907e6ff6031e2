"""What an answer is to those who read it: its media type, and bytes until they end."""

from __future__ import annotations

__all__ = ["GZIP", "TAR", "ZSTD", "Stream"]

ZSTD = "application/x-tar+zstd"
GZIP = "application/x-tar+gzip"
TAR = "application/x-tar"


class Stream:
    """The body of an answer. `media_type` says which archive it is."""

    media_type = TAR

    def read(self, size: int) -> bytes:
        """Give the next bytes, at most `size`, as soon as there are some; `b""` at the end.

        Raises `CutOff` when the connection broke.
        """
        raise NotImplementedError

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes into `view`, as many as there are; say how many, 0 at the end. Raises `CutOff`."""
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Drop the connection; safe to call twice."""
