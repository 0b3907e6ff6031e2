"""Questions about what source distributions became: wheels, and metadata that only a build could tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from venvery.model.files import CoreMetadata
from venvery.storage.compression import pack
from venvery.storage.metadata import metadata_from_text, metadata_to_text
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["Built", "BuiltWheel"]

_GET = "SELECT filename, digest, size, glibc FROM built_wheels WHERE key = :key"
_PUT = upsert(
    "built_wheels",
    ("key", "project", "filename", "digest", "size", "glibc", "made_with", "created_at"),
    key=("key",),
)
_GET_METADATA = "SELECT body FROM built_metadata WHERE key = :key"
_PUT_METADATA = upsert("built_metadata", ("key", "body", "created_at"), key=("key",), replace=False)


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A wheel that was built here."""

    filename: str
    digest: str
    size: int
    glibc: int = 0
    """The minor version of glibc 2 that it needs at least; 0: none."""


class Built:
    """Wheels and metadata by what they were made from: source, family and platform, options."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wheel(self, key: str) -> BuiltWheel | None:
        """Give a wheel that was built; whether its bytes are still there is another question."""
        with self._database.look() as transaction:
            row = transaction.row(_GET, key=key)
        return None if row is None else BuiltWheel(*row)

    def put_wheel(
        self, transaction: Transaction, key: str, project: str, wheel: BuiltWheel, made_with: list[Any]
    ) -> None:
        """Remember a wheel whose blob is safely stored, and the pins of the environment that built it."""
        row = {"filename": wheel.filename, "digest": wheel.digest, "size": wheel.size, "glibc": wheel.glibc}
        now = self._database.clock()
        transaction.do(_PUT, key=key, project=project, made_with=pack(made_with), created_at=now, **row)

    def metadata(self, key: str) -> CoreMetadata | None:
        """Give metadata that was computed."""
        with self._database.look() as transaction:
            body = transaction.value(_GET_METADATA, key=key)
        return None if body is None else metadata_from_text(body)

    def put_metadata(self, transaction: Transaction, key: str, metadata: CoreMetadata) -> None:
        """Remember metadata; what was remembered first stays."""
        body = metadata_to_text(metadata)
        transaction.do(_PUT_METADATA, key=key, body=body, created_at=self._database.clock())
