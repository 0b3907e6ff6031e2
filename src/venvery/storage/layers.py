"""Questions about layers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Layers"]

_KEY = ("wheel", "family", "recipe")
_WHERE = " AND ".join(f"{name} = :{name}" for name in _KEY)
_GET = f"SELECT info FROM layers WHERE {_WHERE}"
_BY_DIGEST = "SELECT info FROM layers WHERE digest = :digest LIMIT 1"
_PUT = upsert("layers", (*_KEY, "digest", "info", "created_at"), key=_KEY)
_FORGET = f"DELETE FROM layers WHERE {_WHERE}"


class Layers:
    """What wheels became: (wheel's SHA-256, family, recipe) → a description of the layer as plain JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, wheel_sha256: str, family: str, recipe: str) -> dict[str, Any] | None:
        """Give what is known of one layer; None when it was not made yet."""
        with self._database.look() as transaction:
            info = transaction.value(_GET, wheel=wheel_sha256, family=family, recipe=recipe)
        return None if info is None else json.loads(info)

    def by_digests(self, digests: Iterable[str]) -> list[str | None]:
        """Give what is known of layers, as JSON text, in one transaction; None for one that is not known."""
        with self._database.look() as transaction:
            return [transaction.value(_BY_DIGEST, digest=digest) for digest in digests]

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
        with self._database.change() as transaction:
            transaction.do(_PUT, **row)

    def forget(self, wheel_sha256: str, family: str, recipe: str) -> None:
        """Drop a layer, as when its blob turns out to be missing."""
        with self._database.change() as transaction:
            transaction.do(_FORGET, wheel=wheel_sha256, family=family, recipe=recipe)
