"""Where people see this server, for the few documents that need whole URLs.

URLs of uploaded files say inside only which file it is; on the way out also where this server is.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.types import Scope

from venvery.model.sources import DEFAULT_VIEW, UPLOADED
from venvery.services.answers import Answer
from venvery.services.locks import LockFormat

__all__ = ["address_of", "with_address"]

_MARK = UPLOADED.encode()
_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]+)+\Z")
_HOST = re.compile(rb"[A-Za-z0-9._~\[\]:-]+\Z")


def address_of(scope: Scope, view: str | None) -> str | None:
    """Give the URL below which a view's `files/` lie, without a slash at its end; None when that is not known.

    Behind a reverse proxy the prefix is that of `X-Forwarded-Prefix`. What is no host or path is not believed: it
    goes into documents.
    """
    headers = {name: value for name, value in scope["headers"] if name in (b"host", b"x-forwarded-prefix")}
    host, prefix = headers.get(b"host", b""), headers.get(b"x-forwarded-prefix", b"").rstrip(b"/")
    if not _HOST.match(host):
        return None
    if not _PREFIX.match(prefix):
        prefix = quote(scope.get("root_path", "").rstrip("/")).encode()
    below = "" if view is None or view == DEFAULT_VIEW else f"/views/{quote(view)}"
    return f"{scope.get('scheme', 'http')}://{host.decode()}{prefix.decode()}{below}"


def with_address(answer: Answer, form: LockFormat, scope: Scope, view: str | None) -> bytes:
    """Write a lock, and the URLs of uploaded files in it as the one who asked has to write them."""
    body = answer.render(form)
    if not answer.names_uploads(form):
        return body
    address = address_of(scope, view)
    return body if address is None else body.replace(_MARK, f"{address}/files/".encode())
