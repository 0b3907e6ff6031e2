"""Uploads by hand: a form as clients send it, over a plain socket library, and what a visitor sees after it."""

from __future__ import annotations

import base64
import http.client
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.running import ServerProcess
from tests.support.wheels import BuiltFile

__all__ = ["Answer", "ask", "form_of", "listed", "post"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


def form_of(
    file: BuiltFile, *, content_first: bool = False, filename: str | None = None, **fields: str | None
) -> tuple[bytes, str]:
    """Write the form of an upload; a field that is None is left out."""
    said: dict[str, str | None] = {":action": "file_upload", "protocol_version": "1", **fields}
    boundary = uuid.uuid4().hex
    parts: list[bytes] = []
    for name, value in said.items():
        if value is not None:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            parts.append(head.encode() + value.encode() + b"\r\n")
    name = (filename if filename is not None else file.filename).replace("\\", "\\\\").replace('"', '\\"')
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    content = head.encode() + file.data + b"\r\n"
    parts = [content, *parts] if content_first else [*parts, content]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post(
    server: ServerProcess,
    file: BuiltFile,
    *,
    path: str = "/upload/",
    token: str | None = None,
    accept: str | None = None,
    content_first: bool = False,
    filename: str | None = None,
    **fields: str | None,
) -> Answer:
    """Upload a file."""
    body, content_type = form_of(file, content_first=content_first, filename=filename, **fields)
    headers = {"Content-Type": content_type}
    if accept is not None:
        headers["Accept"] = accept
    return ask(server, "POST", path, body=body, token=token, headers=headers)


def ask(
    server: ServerProcess,
    method: str,
    path: str,
    *,
    body: bytes | Iterable[bytes] | dict[str, Any] | None = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask a server anything; a dictionary goes as JSON, a token as the password of `__token__`."""
    sent = dict(headers or {})
    if isinstance(body, dict):
        body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
    if token is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(f"__token__:{token}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        data = response.read()
        return Answer(response.status, response.reason, {k.lower(): v for k, v in response.getheaders()}, data)
    finally:
        connection.close()


def listed(server: ServerProcess, project: str, *, prefix: str = "", token: str | None = None) -> list[str]:
    """Give the file names on a project's page; empty when there is no such project."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    answer = ask(server, "GET", f"{prefix}/simple/{project}/", token=token, headers=accept)
    if answer.status == 404:
        return []
    assert answer.status == 200, answer
    return [file["filename"] for file in answer.json()["files"]]
