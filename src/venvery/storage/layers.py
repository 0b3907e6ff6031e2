"""Questions about layers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from venvery.storage import schema
from venvery.storage.upsert import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Layers"]

_table = schema.layers
_get = select(_table.c.info).where(
    _table.c.wheel == bindparam("wheel"),
    _table.c.family == bindparam("family"),
    _table.c.recipe == bindparam("recipe"),
)
_by_digest = select(_table.c.info).where(_table.c.digest == bindparam("digest")).limit(1)


class Layers:
    """What wheels became: (wheel's SHA-256, family, recipe) → a description of the layer as plain JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, wheel_sha256: str, family: str, recipe: str) -> dict[str, Any] | None:
        """Give what is known of one layer; None when it was not made yet."""
        with self._database.read() as connection:
            info = connection.execute(
                _get, {"wheel": wheel_sha256, "family": family, "recipe": recipe}
            ).scalar_one_or_none()
        return None if info is None else json.loads(info)

    def by_digest(self, digest: str) -> dict[str, Any] | None:
        """Give what is known of the layer with that digest, whichever wheel it was made from."""
        with self._database.read() as connection:
            info = connection.execute(_by_digest, {"digest": digest}).scalar_one_or_none()
        return None if info is None else json.loads(info)

    def put(self, wheel_sha256: str, family: str, recipe: str, info: dict[str, Any]) -> None:
        """Remember a layer whose blob is safely stored; the same key again replaces it."""
        row = {
            "wheel": wheel_sha256,
            "family": family,
            "recipe": recipe,
            "digest": info.get("digest"),
            "info": json.dumps(info, separators=(",", ":"), ensure_ascii=False),
            "created_at": self._database.clock(),
        }
        with self._database.write() as connection:
            connection.execute(upsert(connection, _table), row)

    def forget(self, wheel_sha256: str, family: str, recipe: str) -> None:
        """Drop a layer, as when its blob turns out to be missing."""
        with self._database.write() as connection:
            connection.execute(
                _table.delete().where(
                    _table.c.wheel == wheel_sha256, _table.c.family == family, _table.c.recipe == recipe
                )
            )
