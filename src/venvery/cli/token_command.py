"""`venvery token`: gives out tokens, lists them, revokes them."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.errors import BadInput

if TYPE_CHECKING:
    import argparse

    from venvery.storage.database import Database

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Work on the tokens of a data folder; a running server takes notice at once."""
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    with Database.open(configuration.database_at) as database:
        {"create": _create, "list": _list, "revoke": _revoke}[arguments.action](arguments, database)
    return 0


def _create(arguments: argparse.Namespace, database: Database) -> None:
    from venvery.services.rights import make_token, parse_expiry, token_to_json

    now = database.clock()
    scopes = [scope for said in arguments.scope for scope in said.replace(",", " ").split()]
    expires = parse_expiry(arguments.expires, now)
    token, row = make_token(database, scopes, who=_me(), note=arguments.note, expires_at=expires)
    if arguments.json:
        print(json.dumps({"token": token, **token_to_json(row, now)}, indent=2))
        return
    print(token)
    say(f"token {row.id} may {row.scopes}; it is shown this once only")


def _list(arguments: argparse.Namespace, database: Database) -> None:
    from venvery.services.rights import token_to_json

    listed = [token_to_json(row, database.clock()) for row in database.tokens.all()]
    if arguments.json:
        print(json.dumps(listed, indent=2))
        return
    for one in listed:
        expires = one["expires"] or "never"
        print(f"{one['id']}  {one['state']:8}  expires {expires:20}  {' '.join(one['scopes'])}  {one['note']}")


def _revoke(arguments: argparse.Namespace, database: Database) -> None:
    from venvery.services.rights import revoke_token

    if not arguments.token:
        raise BadInput("which token?", hint="name it by its number, as venvery token list shows it")
    revoke_token(database, arguments.token, who=_me())
    say("it opens nothing any more")


def _me() -> str:
    try:
        return f"{getpass.getuser()} on this machine"
    except (OSError, KeyError, ImportError):
        return "this machine"
