"""What a build says, on its way into the events: bounded, and without anything that a terminal would obey."""

from __future__ import annotations

import codecs
import re
import threading
from collections import deque

__all__ = ["BuildLog", "plain"]

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movement
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like: titles, links, clipboards
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TAIL_SHARE = 4
"""The end gets one part in so many of what is kept."""
_PIECE = 32 * 1024
"""Characters of one event at most."""


def plain(text: str) -> str:
    """Leave of a text what a terminal only prints (ECMA-48); a lone carriage return ends a line."""
    text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class BuildLog:
    """Takes bytes from a build, gives text in pieces. Keeps the beginning and the end. Safe between threads."""

    def __init__(self, most: int) -> None:
        self._head_left = most - most // _TAIL_SHARE
        self._tail_most = most // _TAIL_SHARE
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._held = ""

    def write(self, data: bytes) -> None:
        """Take what was said."""
        with self._lock:
            text = self._held + self._decoder.decode(data)
            # an escape that is not whole yet waits for its rest
            cut = text.rfind("\x1b", max(0, len(text) - 200))
            if text.endswith("\r"):
                cut = len(text) - 1 if cut < 0 else cut
            text, self._held = (text, "") if cut < 0 else (text[:cut], text[cut:])
            if len(self._held) > 200:
                text, self._held = text + self._held, ""
            self._add(plain(text))

    def _add(self, text: str) -> None:
        if self._head_left > 0:
            head, text = text[: self._head_left], text[self._head_left :]
            self._head_left -= len(head)
            if head:
                self._waiting.append(head)
        if text:
            self._tail.append(text)
            self._tail_size += len(text)
            while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_most:
                gone = self._tail.popleft()
                self._tail_size -= len(gone)
                self._dropped += len(gone)

    def take(self) -> list[str]:
        """Give what can be written down now."""
        with self._lock:
            text, self._waiting = "".join(self._waiting), []
        return _pieces(text)

    def end(self) -> list[str]:
        """Give the rest, with a word on what was left out. Afterwards it can be written to again."""
        with self._lock:
            rest = self._held + self._decoder.decode(b"", final=True)
            self._held = ""
            self._add(plain(rest))
            text = "".join(self._waiting)
            if self._dropped:
                text += f"\n-- {self._dropped} characters are left out here --\n"
            text += "".join(self._tail)
            self._waiting, self._dropped, self._tail_size = [], 0, 0
            self._tail.clear()
            self._decoder.reset()
        return _pieces(text)


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
