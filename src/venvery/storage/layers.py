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
_BY_DIGESTS = "SELECT digest, info FROM layers WHERE digest IN :among"
_BY_WHEELS = "SELECT wheel, info FROM layers WHERE wheel IN :among AND family = :family AND recipe = :recipe"
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
        wanted = list(digests)
        with self._database.look() as transaction:
            found: dict[str, str] = dict(transaction.rows_among(_BY_DIGESTS, wanted))
        return [found.get(digest) for digest in wanted]

    def by_wheels(self, wheels: Iterable[str], family: str, recipe: str) -> dict[str, str]:
        """Give what is known of the layers of wheels (SHA-256), as JSON text, in one transaction."""
        with self._database.look() as transaction:
            among = transaction.rows_among(_BY_WHEELS, list(wheels), family=family, recipe=recipe)
            return dict(among)

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
