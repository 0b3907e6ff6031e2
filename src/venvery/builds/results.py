"""Reads what comes out of the sandbox, as the hostile input that it is.

Frames: a line of JSON of limited length, then as many bytes as its `size` says (`inside.py` writes them). Bytes
of a wheel go to a file of ours; nothing that is said inside names a path here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from venvery.errors import BuildFailed

__all__ = ["Results"]

_LONGEST_LINE = 1 << 20
_MOST_METADATA = 16 << 20
_MOST_FRAMES = 1000


@dataclass
class Results:
    """What was handed out so far."""

    wheel_file: BinaryIO
    """Takes the bytes of the wheel."""
    on_phase: Callable[[str], None]
    wheel_name: str | None = None
    wheel_whole: bool = False
    metadata: bytes | None = None
    requires: tuple[str, ...] | None = None
    failed: str | None = None
    _line: bytearray = field(default_factory=bytearray)
    _left: int = 0
    _kind: str = ""
    _frames: int = 0
    _collected: bytearray = field(default_factory=bytearray)

    def feed(self, piece: bytes) -> None:
        """Take further bytes. Raises `BuildFailed` for what is no frame."""
        rest = memoryview(piece)
        while rest:
            rest = self._body(rest) if self._left else self._head(rest)

    def _head(self, rest: memoryview) -> memoryview:
        end = bytes(rest).find(b"\n")
        self._line += rest if end < 0 else rest[:end]
        if len(self._line) > _LONGEST_LINE:
            raise _garbage("a line is too long")
        if end < 0:
            return rest[len(rest) :]
        line, self._line = bytes(self._line), bytearray()
        self._begin(line)
        return rest[end + 1 :]

    def _begin(self, line: bytes) -> None:
        self._frames += 1
        if self._frames > _MOST_FRAMES:
            raise _garbage("there are too many frames")
        try:
            frame = json.loads(line)
            kind, size = str(frame["kind"]), frame["size"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _garbage("a line is no frame") from None
        if not isinstance(size, int) or size < 0:
            raise _garbage("a frame has no size")
        self._kind, self._left, self._collected = kind, size, bytearray()
        self._note(kind, frame, size)
        if not size:
            self._end()

    def _note(self, kind: str, frame: dict[str, Any], size: int) -> None:
        if kind == "phase":
            phase = frame.get("phase")
            if isinstance(phase, str) and phase.isalpha() and len(phase) < 20:
                self.on_phase(phase)
        elif kind == "wheel":
            if self.wheel_name is not None:
                raise _garbage("there are two wheels")
            self.wheel_name = str(frame.get("name"))[:300]
        elif kind == "requires":
            requires = frame.get("requires")
            if not isinstance(requires, list) or len(requires) > 1000:
                raise _garbage("its requirements are no list")
            self.requires = tuple(str(item)[:1000] for item in requires)
        elif kind == "failed":
            self.failed = " ".join(str(frame.get("why"))[:500].split())
        elif kind == "metadata" and size > _MOST_METADATA:
            raise _garbage("its metadata is absurdly large")

    def _body(self, rest: memoryview) -> memoryview:
        part, rest = rest[: self._left], rest[self._left :]
        self._left -= len(part)
        if self._kind == "wheel":
            self.wheel_file.write(part)
        elif self._kind == "metadata":
            self._collected += part
        if not self._left:
            self._end()
        return rest

    def _end(self) -> None:
        if self._kind == "wheel":
            self.wheel_whole = True
        elif self._kind == "metadata":
            self.metadata = bytes(self._collected)


def _garbage(why: str) -> BuildFailed:
    return BuildFailed(f"the build handed out something that is no result: {why}")
