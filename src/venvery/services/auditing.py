"""The journal, written for people and programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from venvery.storage.journal import Change

__all__ = ["change_to_json"]


def change_to_json(change: Change) -> dict[str, Any]:
    """Write one change."""
    note = change.note
    return {
        "serial": change.serial,
        "at": datetime.fromtimestamp(change.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "who": change.who,
        "action": note.action,
        "source": note.source,
        "project": note.project,
        "version": note.version,
        "filename": note.filename,
        "detail": note.detail,
    }
