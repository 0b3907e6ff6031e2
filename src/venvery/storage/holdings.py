"""Questions about which rows hold which blobs: what is removed when space is short, and what ought to be there.

Every table that names blobs is read here and nowhere else. A blob that none of these rows names is an orphan,
and will be removed: a new table that names blobs has to be added here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from venvery.model.digests import is_digest

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["HoldingRow", "Holdings", "Kind"]

Kind = Literal["file", "layer", "hosted", "built wheel"]
"""A file that was fetched, a layer that was made, a file that was uploaded (that one exists nowhere else), and a
wheel that a source distribution became."""

_FILES = "SELECT file, digest, size, obtained_at FROM files WHERE obtained_at >= :since"
_LAYERS = "SELECT wheel, family, recipe, info, created_at FROM layers WHERE created_at >= :since"
_HOSTED = """SELECT source, filename, sha256, size, metadata, metadata_size, provenance, provenance_size,
uploaded_at FROM hosted_files WHERE removed_at IS NULL AND uploaded_at >= :since"""
_BUILT = "SELECT key, filename, digest, size, created_at FROM built_wheels WHERE created_at >= :since"
_FORGET_FILE = "DELETE FROM files WHERE file = :file AND digest = :digest"
_FORGET_LAYER = "DELETE FROM layers WHERE wheel = :wheel AND family = :family AND recipe = :recipe"
_FORGET_BUILT = "DELETE FROM built_wheels WHERE key = :key AND digest = :digest"
_MARGIN = 60.0
"""Seconds by which the clocks of two processes may differ."""


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """One row and the blobs that it holds."""

    kind: Kind
    key: tuple[str, ...]
    blobs: tuple[tuple[str, int], ...]
    """(digest, size); none when the row cannot be read."""
    name: str
    """What a person calls it."""
    made_at: float


class Holdings:
    """Which rows hold which blobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[HoldingRow]:
        """List all rows that hold blobs."""
        with self._database.look() as transaction:
            return list(_rows(transaction, float("-inf")))

    def forget_all_but(self, going: Sequence[HoldingRow], seen: float) -> frozenset[str]:
        """Drop rows, and give the digests that rows written since `seen`, but for these, hold."""
        keys = {(row.kind, row.key) for row in going}
        with self._database.change() as transaction:
            newer = [row for row in _rows(transaction, seen - _MARGIN) if (row.kind, row.key) not in keys]
            _forget(transaction, going)
        return frozenset(digest for row in newer for digest, _size in row.blobs)

    def newer_than(self, seen: float) -> frozenset[str]:
        """Give the digests that rows written since `seen` hold."""
        with self._database.look() as transaction:
            rows = list(_rows(transaction, seen - _MARGIN))
        return frozenset(digest for row in rows for digest, _size in row.blobs)

    def forget(self, rows: Iterable[HoldingRow]) -> None:
        """Drop rows, as when their blobs turn out to be missing; never one of what was uploaded."""
        with self._database.change() as transaction:
            _forget(transaction, rows)


def _rows(transaction: Transaction, since: float) -> Iterator[HoldingRow]:
    filenames = {}
    for wheel, family, recipe, info, created_at in transaction.rows(_LAYERS, since=since):
        blobs, name, filename = _read(info)
        filenames[f"sha256:{wheel}"] = filename
        yield HoldingRow("layer", (wheel, family, recipe), blobs, f"{name} for {family}", created_at)
    for file, digest, size, obtained_at in transaction.rows(_FILES, since=since):
        blobs = ((digest, size),) if is_digest(digest) else ()
        yield HoldingRow("file", (file, digest), blobs, filenames.get(digest) or f"file {file[:12]}", obtained_at)
    for key, filename, digest, size, created_at in transaction.rows(_BUILT, since=since):
        blobs = ((digest, size),) if is_digest(digest) else ()
        yield HoldingRow("built wheel", (key, digest), blobs, filename, created_at)
    for row in transaction.rows(_HOSTED, since=since):
        yield _hosted(*row)


def _hosted(source: str, filename: str, sha256: str, size: int, *rest: Any) -> HoldingRow:
    metadata, metadata_size, provenance, provenance_size, uploaded_at = rest
    named = ((f"sha256:{sha256}", size), (metadata, metadata_size), (provenance, provenance_size))
    blobs = tuple((digest, length) for digest, length in named if digest is not None)
    return HoldingRow("hosted", (source, filename), blobs, f"{filename} in {source}", uploaded_at)


def _read(info: str) -> tuple[tuple[tuple[str, int], ...], str, str]:
    """Read the blobs, the name and the wheel out of what is known of a layer; no blobs when it is damaged."""
    try:
        value: Any = json.loads(info)
        blobs = tuple((str(value[form]["digest"]), int(value[form]["size"])) for form in ("zstd", "deflate"))
        name = f"{value['project']} {value['version']}" + (" bytecode" if value["kind"] == "bytecode" else "")
        filename = str(value["wheel"][0])
    except (ValueError, TypeError, KeyError, IndexError):
        return (), "an unreadable layer", ""
    return (blobs if all(is_digest(digest) for digest, _size in blobs) else ()), name, filename


def _forget(transaction: Transaction, rows: Iterable[HoldingRow]) -> None:
    for row in rows:
        if row.kind == "built wheel":
            transaction.do(_FORGET_BUILT, key=row.key[0], digest=row.key[1])
        elif row.kind == "file":
            transaction.do(_FORGET_FILE, file=row.key[0], digest=row.key[1])
        elif row.kind == "layer":
            transaction.do(_FORGET_LAYER, wheel=row.key[0], family=row.key[1], recipe=row.key[2])
