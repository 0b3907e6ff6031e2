"""Our own document: a lock with its whole graph as plain values, written as JSON or YAML.

    {"venvery": 1,
     "targets": [target],
     "requirements": [{"requirement", "origin"?, "hashes"?}],
     "pins": [{"project", "version", "requested", "extras", "targets": [index], "requires_python"?, "hashes"?,
               "files": [{"filename", "url", "sha256"?, "hashes"?, "size"?, "requires_python"?, "yanked"?,
                          "upload_time"?, "core_metadata"?, "source"?}],
               "dependencies": [{"project", "requirement", "targets": [index]}]}],
     "warnings": [text]}

Fields marked `?` are left out where there is nothing to say. `readers.document` reads it back.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from venvery.model.files import DistFile
from venvery.model.lock import Edge, Lock, Pin
from venvery.model.requirements import Requirement

__all__ = ["FORMAT", "lock_to_document", "write_json", "write_yaml"]

FORMAT = 1
"""The version of the document; a reader refuses what it does not know."""


def lock_to_document(lock: Lock) -> dict[str, Any]:
    """Write a lock as plain values, such that `lock_from_document` gives an equal lock."""
    return {
        "venvery": FORMAT,
        "targets": [target.to_json() for target in lock.targets],
        "requirements": [_requirement(requirement) for requirement in lock.requirements],
        "pins": [_pin(pin) for pin in lock.pins],
        "warnings": list(lock.warnings),
    }


def write_json(lock: Lock) -> str:
    """Write the document as JSON, indented for people, with a newline at the end."""
    return json.dumps(lock_to_document(lock), indent=2, ensure_ascii=False) + "\n"


def write_yaml(lock: Lock) -> str:
    """Write the document as YAML, in block style."""
    import yaml  # here, because every other form does without

    text: str = yaml.dump(
        lock_to_document(lock),
        Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=1000,
    )
    return text


def write_time(time: datetime) -> str:
    """Write an instant as PEP 700 has it, in UTC with a `Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _said(**fields: Any) -> dict[str, Any]:
    """Leave out the fields that say nothing: None, and empty lists and texts; an empty `yanked` says much."""
    return {name: value for name, value in fields.items() if value or (name == "yanked" and value == "")}


def _requirement(requirement: Requirement) -> dict[str, Any]:
    return {
        "requirement": requirement.text,
        **_said(origin=requirement.origin, hashes=list(requirement.hashes)),
    }


def _pin(pin: Pin) -> dict[str, Any]:
    return {
        "project": pin.project,
        "version": str(pin.version),
        "requested": pin.requested,
        "extras": list(pin.extras),
        "targets": list(pin.targets),
        **_said(requires_python=pin.requires_python, hashes=list(pin.hashes)),
        "files": [_file(file) for file in pin.files],
        "dependencies": [_edge(edge) for edge in pin.edges],
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {"project": edge.project, "requirement": edge.requirement, "targets": list(edge.targets)}


def _file(file: DistFile) -> dict[str, Any]:
    described = {
        "filename": file.filename,
        "url": file.url,
        **_said(
            sha256=file.sha256,
            hashes=dict(file.hashes),
            size=file.size,
            requires_python=file.requires_python,
            yanked=file.yanked,
            upload_time=write_time(file.upload_time) if file.upload_time else None,
            source=file.source,
        ),
    }
    if file.core_metadata is not None:
        described["core_metadata"] = file.core_metadata
    return described
