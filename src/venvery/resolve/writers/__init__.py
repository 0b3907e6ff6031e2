"""A lock as text: requirements.txt, pylock.toml (PEP 751), and our own document as JSON or YAML."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from venvery.resolve.writers.document import lock_to_document, write_json, write_yaml
    from venvery.resolve.writers.pylock import write_pylock
    from venvery.resolve.writers.requirements import write_requirements

__all__ = ["lock_to_document", "write_json", "write_pylock", "write_requirements", "write_yaml"]

_HOMES = {
    "lock_to_document": "document",
    "write_json": "document",
    "write_yaml": "document",
    "write_pylock": "pylock",
    "write_requirements": "requirements",
}


def __getattr__(name: str) -> Any:
    """Import a writer when it is first asked for (PEP 562): each form needs libraries of its own."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
