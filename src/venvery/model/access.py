"""Rights: what a visitor of the server may do.

A right is one of five words; three of them may be narrowed with a name behind a colon:

    read        pages, files, environments of the public views;  read:prod  those of one view, a private one too
    resolve     ask for locks and environments
    build       have source distributions built
    upload      publish in every hosted source;  upload:team-a  in one
    admin       all of that, and delete, block, tokens, the journal
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from venvery.errors import BadInput, NotAllowed, NotKnown
from venvery.model.sources import ViewSpec

__all__ = ["ANONYMOUS", "COOKIE", "EVERYTHING", "Right", "Visitor", "parse_scopes"]

Right = Literal["read", "resolve", "build", "upload", "admin"]
ANONYMOUS = "anonymous"
"""What a visitor without a token is called."""
COOKIE = "venvery-token"
"""In which a browser keeps a token."""
_NARROWED = ("read", "upload")


def parse_scopes(scopes: Iterable[str], *, anonymous: bool = False) -> frozenset[str]:
    """Check scopes that came from outside; `anonymous`: for those who show no token. Raises `BadInput`."""
    found = set()
    for scope in scopes:
        right, colon, name = scope.strip().partition(":")
        if right not in get_args(Right) or (colon and (right not in _NARROWED or not name)):
            raise BadInput(
                f"{scope[:80]!r} is no scope",
                hint="scopes: read, read:VIEW, resolve, build, upload, upload:SOURCE, admin",
            )
        if anonymous and right == "admin":
            raise BadInput("nobody is admin without a token")
        found.add(f"{right}{colon}{name}")
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever asks, and what they may do."""

    name: str
    """What the journal calls them: `anonymous`, or a token's number and note."""
    scopes: frozenset[str]
    known: bool = True
    """Whether they showed a token: one who did not is asked for it, where one who did is refused."""

    def may(self, right: Right, name: str | None = None) -> bool:
        """Tell whether they have a right; `name` is that of a source or a private view."""
        if "admin" in self.scopes or (name is not None and f"{right}:{name}" in self.scopes):
            return True
        return right in self.scopes and (right != "read" or name is None)

    def need(self, right: Right, name: str | None = None) -> None:
        """Insist on a right. Raises `NotKnown` when no token was shown, `NotAllowed` when it has no such right."""
        if self.may(right, name):
            return
        wanted = right if name is None else f"{right}:{name}"
        if not self.known:
            raise NotKnown(
                f"this needs a token with the right {wanted}",
                hint="send it as the password of the user __token__, or as a bearer token",
            )
        raise NotAllowed(
            f"the token {self.name} has no right {wanted}", hint="ask an administrator for one that has"
        )

    def sees(self, view: ViewSpec) -> bool:
        """Tell whether they may look at a view."""
        return self.may("read", view.name) or (not view.private and (self.may("read") or self.may("resolve")))

    def enter(self, view: ViewSpec) -> None:
        """Insist on the right to look at a view. Raises as `need` does."""
        if not self.sees(view):
            self.need("read", view.name if view.private else None)


EVERYTHING = Visitor("this machine", frozenset({"admin"}))
"""Whoever runs venvery on a data folder of their own."""
