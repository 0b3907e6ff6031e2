"""Telling how far a sync is: an object that hears of it, and one that shows it to a person."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Progress", "TerminalProgress"]


class Progress:
    """Hears how far a sync is. The methods do nothing; override what is wanted. They must be quick."""

    def asking(self, server: str) -> None:
        """The request goes out."""

    def waiting(self, why: str) -> None:
        """Something else has to happen first: another run, a build on the server, a retry."""

    def manifest(self, layers: int, missing: int, total: int) -> None:
        """The manifest is here: so many layers, so many of them to come, with `total` bytes unpacked."""

    def received(self, count: int) -> None:
        """So many bytes have come over the connection so far."""

    def switched(self, directory: str) -> None:
        """The environment is in place."""


class TerminalProgress(Progress):
    """Writes to a terminal: one line that is overwritten. Elsewhere: plain lines, once it takes long."""

    def __init__(self, out: TextIO = sys.stderr, quiet_for: float = 1.0) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._quiet_for = quiet_for
        self._began = self._last = time.monotonic()
        self._line = ""
        self._missing = ""

    def asking(self, server: str) -> None:
        self._show(f"asking {server}")

    def waiting(self, why: str) -> None:
        self._show(why, force=True)

    def manifest(self, layers: int, missing: int, total: int) -> None:
        self._missing = f"{missing} of {layers} layers, {total / 1e6:.0f} MB unpacked"
        self._show(self._missing)

    def received(self, count: int) -> None:
        now = time.monotonic()
        if now - self._last > (0.1 if self._terminal else 5.0):
            self._last = now
            self._show(f"{self._missing}: {count / 1e6:.1f} MB received")

    def switched(self, directory: str) -> None:
        self._clear()

    def close(self) -> None:
        """Leave a clean line behind."""
        self._clear()

    def _show(self, text: str, force: bool = False) -> None:
        if not force and time.monotonic() - self._began < self._quiet_for:
            return
        if self._terminal:
            self._clear()
            self._line = text[:78]
            self._out.write(self._line)
        elif text != self._line:
            self._line = text
            self._out.write(text + "\n")
        self._out.flush()

    def _clear(self) -> None:
        if self._terminal and self._line:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._line = ""
