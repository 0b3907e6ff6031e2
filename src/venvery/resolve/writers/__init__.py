"""A lock as text: requirements.txt, pylock.toml (PEP 751), and our own document as JSON or YAML."""

from __future__ import annotations

from venvery.resolve.writers.document import lock_to_document, write_json, write_yaml
from venvery.resolve.writers.pylock import write_pylock
from venvery.resolve.writers.requirements import write_requirements

__all__ = ["lock_to_document", "write_json", "write_pylock", "write_requirements", "write_yaml"]
