"""URLs of uploaded files: inside they say only which file it is, on the way out also where this server is."""

from __future__ import annotations

from urllib.parse import quote

from starlette.types import Scope

from venvery.model.sources import DEFAULT_VIEW, UPLOADED
from venvery.services.answers import Answer
from venvery.services.locks import LockFormat

__all__ = ["with_address"]

_MARK = UPLOADED.encode()


def with_address(answer: Answer, form: LockFormat, scope: Scope, view: str | None) -> bytes:
    """Write a lock, and the URLs of uploaded files in it as the one who asked has to write them."""
    body = answer.render(form)
    if not answer.names_uploads(form):
        return body
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if not host or any(one in b"\"'<>\\\r\n /" for one in host):  # it goes into documents: nothing else may
        return body
    prefix = "" if view is None or view == DEFAULT_VIEW else f"/views/{quote(view)}"
    root = scope.get("root_path", "").rstrip("/")
    address = f"{scope.get('scheme', 'http')}://".encode() + host + f"{quote(root)}{prefix}/files/".encode()
    return body.replace(_MARK, address)
