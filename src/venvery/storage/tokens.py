"""Questions about tokens. What is stored is a token's hash; the token itself is shown once, when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from venvery.errors import NotFound
from venvery.storage.journal import Note, write_down

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["TokenRow", "Tokens"]

_COLUMNS = "id, hash, note, scopes, created_at, created_by, expires_at, revoked_at"
_ADD = f"""INSERT INTO tokens ({_COLUMNS})
VALUES (:id, :hash, :note, :scopes, :created_at, :created_by, :expires_at, NULL)"""
_ALL = f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at"
_REVOKE = "UPDATE tokens SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token that was given out."""

    id: str
    hash: str
    """SHA-256 in hex."""
    note: str
    """What it is for."""
    scopes: str
    """Separated by spaces."""
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None

    def holds(self, now: float) -> bool:
        """Tell whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Tokens:
    """All tokens, those that hold no more too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[TokenRow]:
        """List all tokens, oldest first."""
        with self._database.look() as transaction:
            return [TokenRow(*row) for row in transaction.rows(_ALL)]

    def add(self, row: TokenRow) -> None:
        """Keep a new token."""
        about = {name: getattr(row, name) for name in _COLUMNS.split(", ")}
        with self._database.change(lasting=True) as transaction:
            transaction.do(_ADD, **{name: value for name, value in about.items() if name != "revoked_at"})
            note = Note("token create", detail=f"{row.id} {row.note}: {row.scopes}")
            write_down(transaction, row.created_at, row.created_by, note)

    def revoke(self, token: str, *, who: str) -> None:
        """Make a token open nothing any more, by its number. Raises `NotFound`."""
        now = self._database.clock()
        with self._database.change(lasting=True) as transaction:
            if transaction.value("SELECT 1 FROM tokens WHERE id = :id AND revoked_at IS NULL", id=token) is None:
                raise NotFound(f"there is no token {token[:40]!r} that holds")
            transaction.do(_REVOKE, id=token, now=now)
            write_down(transaction, now, who, Note("token revoke", detail=token))
