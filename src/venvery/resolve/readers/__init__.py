"""Text as a lock: pylock.toml (PEP 751), and our own document."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from venvery.resolve.readers.document import lock_from_document, read_json
    from venvery.resolve.readers.pylock import read_pylock

__all__ = ["lock_from_document", "read_json", "read_pylock"]

_HOMES = {
    "lock_from_document": "document",
    "read_json": "document",
    "read_pylock": "pylock",
}


def __getattr__(name: str) -> Any:
    """Import a reader when it is first asked for (PEP 562): each form needs libraries of its own."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
