"""Who may do what: tokens are made, listed, revoked, and recognised."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from venvery.errors import BadInput, NotKnown
from venvery.model.access import ANONYMOUS, EVERYTHING, Visitor, parse_scopes
from venvery.storage.database import Database
from venvery.storage.tokens import TokenRow

__all__ = ["VISITOR", "Rights", "make_token", "parse_expiry", "revoke_token", "token_to_json"]

VISITOR: ContextVar[Visitor] = ContextVar("visitor", default=EVERYTHING)
"""Who asks for what is being done; without a server, whoever runs this."""
PREFIX = "venvery-"
"""Begins every token, so that one in a log or a repository can be told for what it is."""
_SPAN = re.compile(r"(\d{1,5})\s*([hdwy])\Z")
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


class Rights:
    """Recognises visitors. What another process gave out or revoked counts from the next request on."""

    def __init__(self, database: Database, anonymous: Iterable[str]) -> None:
        self._database = database
        self._open = frozenset(anonymous)
        self._anonymous = Visitor(ANONYMOUS, self._open, known=False)
        self._watch = database.watch()
        self._tokens: dict[str, TokenRow] = {}

    def visitor(self, authorization: str | None) -> Visitor:
        """Recognise a visitor by the `Authorization` header: Basic with the user `__token__`, or Bearer.

        Raises `NotKnown` for a token that is not, or no longer, one of ours.
        """
        if not authorization:
            return self._anonymous
        if self._watch.changed():
            self._tokens = {row.hash: row for row in self._database.tokens.all()}
        row = self._tokens.get(_hash(_secret_of(authorization)))
        if row is None or not row.holds(self._database.clock()):
            raise NotKnown("this token is not known here, has expired, or was revoked", hint="ask for a new one")
        return Visitor(
            f"{row.id} ({row.note})" if row.note else row.id, frozenset(row.scopes.split()) | self._open
        )

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()


def make_token(
    database: Database, scopes: Iterable[str], *, who: str, note: str = "", expires_at: float | None = None
) -> tuple[str, TokenRow]:
    """Make a token; it is given here and never again. Raises `BadInput`."""
    checked = parse_scopes(scopes)
    if not checked:
        raise BadInput("a token needs a scope", hint="as in --scope upload:team-a")
    if len(note) > 200 or not note.isprintable():
        raise BadInput("the note of a token is one line of at most 200 characters")
    token = PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(
        secrets.token_hex(4),
        _hash(token),
        note,
        " ".join(sorted(checked)),
        database.clock(),
        who,
        expires_at,
        None,
    )
    database.tokens.add(row)
    return token, row


def revoke_token(database: Database, token: str, *, who: str) -> None:
    """Revoke a token by its number, or by itself. Raises `NotFound`."""
    if token.startswith(PREFIX):
        hashed = _hash(token)
        token = next((row.id for row in database.tokens.all() if row.hash == hashed), "of that kind")
    database.tokens.revoke(token, who=who)


def parse_expiry(text: str, now: float) -> float | None:
    """Read when something ends: `90d`, `12h`, `never`, or a date. Raises `BadInput`."""
    if text == "never":
        return None
    if span := _SPAN.match(text.strip()):
        return now + int(span[1]) * _SECONDS[span[2]]
    try:
        instant = datetime.fromisoformat(text)
        ends = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadInput(f"{text[:80]!r} is no time", hint="as in 90d, 12h, 2027-01-31 or never") from None
    if ends <= now:
        raise BadInput(f"{text[:80]!r} is past")
    return ends


def token_to_json(row: TokenRow, now: float) -> dict[str, Any]:
    """Write what is known of a token."""
    state = "revoked" if row.revoked_at is not None else "valid" if row.holds(now) else "expired"
    about: Mapping[str, Any] = {
        "id": row.id,
        "note": row.note,
        "scopes": row.scopes.split(),
        "state": state,
        "created": _written(row.created_at),
        "created_by": row.created_by,
        "expires": None if row.expires_at is None else _written(row.expires_at),
    }
    return dict(about)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _secret_of(authorization: str) -> str:
    kind, _, rest = authorization.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        raise NotKnown("this way to sign in is not known here", hint="send a token with Basic or Bearer")
    try:
        user, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise NotKnown("the user and password cannot be read") from None
    if user != "__token__":
        raise NotKnown("the user is always __token__, the password a token")
    return password
