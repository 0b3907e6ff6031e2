"""Questions about which blob holds a file, and about files in folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from venvery.storage import schema
from venvery.storage.blobs import Stored
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Files"]

_files = schema.files
_local = schema.local_files
_get = select(_files.c.digest, _files.c.size).where(_files.c.file == bindparam("file"))
_hashes = select(_local).where(_local.c.path.in_(bindparam("paths", expanding=True)))
_AT_ONCE = 400


class Files:
    """Blobs by what names the file's bytes; hashes by path."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, file: str) -> Stored | None:
        """Give the blob that holds a file; None when it was never fetched."""
        with self._database.read() as connection:
            row = connection.execute(_get, {"file": file}).one_or_none()
        return None if row is None else Stored(row.digest, row.size)

    def put(self, file: str, stored: Stored) -> None:
        """Remember which blob holds a file."""
        row = {
            "file": file,
            "digest": stored.digest,
            "size": stored.size,
            "obtained_at": self._database.clock(),
        }
        with self._database.write() as connection:
            connection.execute(upsert(connection, _files), row)

    def local_hashes(self, stamps: Mapping[str, str]) -> dict[str, str]:
        """Give the SHA-256 of those files (path → stamp) that were hashed with the same stamp before."""
        paths, found = list(stamps), {}
        with self._database.read() as connection:
            for start in range(0, len(paths), _AT_ONCE):
                for row in connection.execute(_hashes, {"paths": paths[start : start + _AT_ONCE]}):
                    if stamps[row.path] == row.stamp:
                        found[row.path] = row.sha256
        return found

    def put_local_hashes(self, hashes: Sequence[tuple[str, str, str]]) -> None:
        """Remember hashes as (path, stamp, SHA-256 in hex)."""
        if hashes:
            rows = [{"path": path, "stamp": stamp, "sha256": sha256} for path, stamp, sha256 in hashes]
            with self._database.write() as connection:
                connection.execute(upsert(connection, _local), rows)
