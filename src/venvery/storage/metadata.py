"""Questions about core metadata, and about which project requires which."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.names import normalize
from venvery.model.versions import parse_version
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Metadata", "metadata_from_text", "metadata_to_text"]

_GET = "SELECT file, body, reason, needs_build FROM core_metadata WHERE file IN :among"
_PUT = upsert("core_metadata", ("file", "body", "reason", "needs_build", "obtained_at"), key=("file",))
_EDGE = ("project", "required")
_PUT_EDGE = upsert("dependencies", _EDGE, key=_EDGE, replace=False)
_REACHABLE = """
    WITH RECURSIVE reached (required) AS (
        SELECT required FROM dependencies WHERE project IN :among
        UNION
        SELECT dependencies.required FROM dependencies JOIN reached ON dependencies.project = reached.required
    )
    SELECT required FROM reached
"""
_DEPENDENTS = "SELECT project FROM dependencies WHERE required = :project ORDER BY project LIMIT :most"
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


class Metadata:
    """Core metadata by what names the file's bytes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_many(self, files: Sequence[str]) -> dict[str, CoreMetadata | NoMetadata]:
        """Give what is stored of some files."""
        found: dict[str, CoreMetadata | NoMetadata] = {}
        with self._database.look() as transaction:
            for file, body, reason, needs_build in transaction.rows_among(_GET, files):
                found[file] = NoMetadata(reason, bool(needs_build)) if body is None else metadata_from_text(body)
        return found

    def put_many(self, metadata: Mapping[str, CoreMetadata | NoMetadata]) -> None:
        """Store metadata under what names the files' bytes, and who requires whom."""
        now = self._database.clock()
        rows = [_row(file, one, now) for file, one in metadata.items()]
        if not rows:
            return
        edges = {
            (one.project, required)
            for one in metadata.values()
            if isinstance(one, CoreMetadata)
            for required in _required(one)
        }
        with self._database.change() as transaction:
            transaction.do_many(_PUT, rows)
            edge_rows = [{"project": project, "required": required} for project, required in sorted(edges)]
            transaction.do_many(_PUT_EDGE, edge_rows)

    def reachable(self, projects: Iterable[str]) -> list[str]:
        """List these projects and all that any known release of theirs requires, directly or not."""
        roots = sorted(set(projects))
        with self._database.look() as transaction:
            return sorted({*roots, *(row[0] for row in transaction.rows_among(_REACHABLE, roots))})

    def dependents(self, project: str, most: int = 200) -> list[str]:
        """List projects some known release of which requires a project."""
        with self._database.look() as transaction:
            return [row[0] for row in transaction.rows(_DEPENDENTS, project=project, most=most)]


def _required(metadata: CoreMetadata) -> Iterable[str]:
    for text in metadata.requires_dist:
        if match := _NAME.match(text):
            yield normalize(match[1])


def _row(file: str, metadata: CoreMetadata | NoMetadata, now: float) -> dict[str, object]:
    if isinstance(metadata, NoMetadata):
        return {
            "file": file,
            "body": None,
            "reason": metadata.reason,
            "needs_build": int(metadata.needs_build),
            "obtained_at": now,
        }
    return {
        "file": file,
        "body": metadata_to_text(metadata),
        "reason": None,
        "needs_build": 0,
        "obtained_at": now,
    }


def metadata_to_text(metadata: CoreMetadata) -> str:
    """Write metadata as it is stored."""
    body = [
        metadata.project,
        str(metadata.version),
        metadata.requires_python,
        metadata.requires_dist,
        metadata.provides_extra,
    ]
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def metadata_from_text(body: str) -> CoreMetadata:
    """Read what `metadata_to_text` wrote."""
    project, version, requires_python, requires_dist, provides_extra = json.loads(body)
    return CoreMetadata(
        project, parse_version(version), requires_python, tuple(requires_dist), tuple(provides_extra)
    )
