"""Questions about which blob holds a file, and about files in folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from venvery.storage.blobs import Stored
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Files"]

_GET = "SELECT digest, size FROM files WHERE file = :file"
_GET_MANY = "SELECT file, digest, size FROM files WHERE file IN :among"
_PUT = upsert("files", ("file", "digest", "size", "obtained_at"), key=("file",))
_HASHES = "SELECT path, stamp, sha256 FROM local_files WHERE path IN :among"
_PUT_HASH = upsert("local_files", ("path", "stamp", "sha256"), key=("path",))


class Files:
    """Blobs by what names the file's bytes; hashes by path."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, file: str) -> Stored | None:
        """Give the blob that holds a file; None when it was never fetched."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, file=file)
        return None if row is None else Stored(*row)

    def get_many(self, files: Sequence[str]) -> dict[str, Stored]:
        """Give the blobs that hold those of some files that were fetched."""
        with self._database.look() as transaction:
            return {file: Stored(*row) for file, *row in transaction.rows_among(_GET_MANY, files)}

    def put(self, file: str, stored: Stored) -> None:
        """Remember which blob holds a file."""
        row = {"digest": stored.digest, "size": stored.size, "obtained_at": self._database.clock()}
        with self._database.change() as transaction:
            transaction.do(_PUT, file=file, **row)

    def local_hashes(self, stamps: Mapping[str, str]) -> dict[str, str]:
        """Give the SHA-256 of those files (path → stamp) that were hashed with the same stamp before."""
        with self._database.look() as transaction:
            rows = transaction.rows_among(_HASHES, list(stamps))
            return {path: sha256 for path, stamp, sha256 in rows if stamps[path] == stamp}

    def put_local_hashes(self, hashes: Sequence[tuple[str, str, str]]) -> None:
        """Remember hashes as (path, stamp, SHA-256 in hex)."""
        if hashes:
            rows = [{"path": path, "stamp": stamp, "sha256": sha256} for path, stamp, sha256 in hashes]
            with self._database.change() as transaction:
                transaction.do_many(_PUT_HASH, rows)
