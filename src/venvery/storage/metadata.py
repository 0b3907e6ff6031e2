"""Questions about core metadata, and about which project requires which."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.names import normalize
from venvery.model.versions import parse_version
from venvery.storage import schema
from venvery.storage.upsert import insert_new, upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Metadata"]

_table = schema.core_metadata
_get_many = select(_table.c.file, _table.c.body, _table.c.reason, _table.c.needs_build).where(
    _table.c.file.in_(bindparam("files", expanding=True))
)
_AT_ONCE = 400
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


class Metadata:
    """Core metadata by what names the file's bytes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_many(self, files: Sequence[str]) -> dict[str, CoreMetadata | NoMetadata]:
        """Give what is stored of some files."""
        found: dict[str, CoreMetadata | NoMetadata] = {}
        with self._database.read() as connection:
            for start in range(0, len(files), _AT_ONCE):
                rows = connection.execute(_get_many, {"files": list(files[start : start + _AT_ONCE])})
                for file, body, reason, needs_build in rows:
                    found[file] = NoMetadata(reason, bool(needs_build)) if body is None else _read(body)
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
        with self._database.write() as connection:
            connection.execute(upsert(connection, _table), rows)
            if edges:
                connection.execute(
                    insert_new(connection, schema.dependencies),
                    [{"project": project, "required": required} for project, required in sorted(edges)],
                )

    def reachable(self, projects: Iterable[str]) -> list[str]:
        """List these projects and all that any known release of theirs requires, directly or not."""
        table = schema.dependencies
        roots = sorted(set(projects))
        reached = (
            select(table.c.project, table.c.required)
            .where(table.c.project.in_(roots))
            .cte("reached", recursive=True)
        )
        step = select(table.c.project, table.c.required).join(reached, table.c.project == reached.c.required)
        with self._database.read() as connection:
            found = connection.execute(select(reached.union(step).c.required).distinct()).scalars()
            return sorted({*roots, *found})


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
    body = [
        metadata.project,
        str(metadata.version),
        metadata.requires_python,
        metadata.requires_dist,
        metadata.provides_extra,
    ]
    return {
        "file": file,
        "body": json.dumps(body, separators=(",", ":"), ensure_ascii=False),
        "reason": None,
        "needs_build": 0,
        "obtained_at": now,
    }


def _read(body: str) -> CoreMetadata:
    project, version, requires_python, requires_dist, provides_extra = json.loads(body)
    return CoreMetadata(
        project, parse_version(version), requires_python, tuple(requires_dist), tuple(provides_extra)
    )
