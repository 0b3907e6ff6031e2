"""Text as a lock: pylock.toml (PEP 751), and our own document."""

from __future__ import annotations

from venvery.resolve.readers.document import lock_from_document, read_json
from venvery.resolve.readers.pylock import read_pylock

__all__ = ["lock_from_document", "read_json", "read_pylock"]
