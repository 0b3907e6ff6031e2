"""Our own document: a lock with its whole graph as plain values, written as JSON or YAML.

    {"venvery": 1,
     "targets": [target],
     "requirements": [{"requirement", "origin"?, "hashes"?}],
     "pins": [{"project", "version", "requested", "extras", "targets": [index], "requires_python"?, "hashes"?,
               "files": [{"filename", "url", "sha256"?, "hashes"?, "size"?, "requires_python"?, "yanked"?,
                          "upload_time"?, "core_metadata"?, "source"?}],
               "dependencies": [{"project", "requirement", "targets": [index]}]}],
     "warnings": [text],
     "policies"?: [name=value]}

Fields marked `?` are left out where there is nothing to say. `readers.document` reads it back.
"""

from __future__ import annotations

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
        **({"policies": list(lock.policies)} if lock.policies else {}),
    }


def write_json(lock: Lock) -> str:
    """Write the document as JSON, indented for people, with a newline at the end."""
    import orjson  # here, because every other form does without; `json` takes fifty times as long

    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(lock_to_document(lock), option=options).decode()


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
    return f"{time.astimezone(UTC).isoformat()[:-6]}Z"


def _requirement(requirement: Requirement) -> dict[str, Any]:
    described: dict[str, Any] = {"requirement": requirement.text}
    if requirement.origin:
        described["origin"] = requirement.origin
    if requirement.hashes:
        described["hashes"] = list(requirement.hashes)
    return described


def _pin(pin: Pin) -> dict[str, Any]:
    described: dict[str, Any] = {
        "project": pin.project,
        "version": str(pin.version),
        "requested": pin.requested,
        "extras": list(pin.extras),
        "targets": list(pin.targets),
    }
    if pin.requires_python:
        described["requires_python"] = pin.requires_python
    if pin.hashes:
        described["hashes"] = list(pin.hashes)
    described["files"] = [_file(file) for file in pin.files]
    described["dependencies"] = [_edge(edge) for edge in pin.edges]
    return described


def _edge(edge: Edge) -> dict[str, Any]:
    return {"project": edge.project, "requirement": edge.requirement, "targets": list(edge.targets)}


def _file(file: DistFile) -> dict[str, Any]:
    described: dict[str, Any] = {"filename": file.filename, "url": file.url}
    if file.sha256:
        described["sha256"] = file.sha256
    if file.hashes:
        described["hashes"] = dict(file.hashes)
    if file.size:
        described["size"] = file.size
    if file.requires_python:
        described["requires_python"] = file.requires_python
    if file.yanked is not None:  # an empty reason says much
        described["yanked"] = file.yanked
    if file.upload_time:
        described["upload_time"] = write_time(file.upload_time)
    if file.source:
        described["source"] = file.source
    if file.core_metadata is not None:
        described["core_metadata"] = file.core_metadata
    return described
