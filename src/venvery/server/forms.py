"""The form of an upload, read while it comes in (RFC 7578): the file goes to the disk, never into memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from venvery.errors import BadInput, LimitExceeded

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["UploadForm", "read_upload"]

_KEPT = frozenset(
    {
        ":action", "protocol_version", "name", "version", "filetype", "md5_digest", "sha256_digest",
        "blake2_256_digest", "attestations",
    }
)  # fmt: skip
"""Fields that are looked at; the metadata that clients copy into the form stands in the file itself."""
_MOST_KEPT = 4 << 20
"""Bytes of all kept fields."""
_MOST_FIELDS = 64 << 20
"""Bytes of all fields, those that are passed over too."""
_MOST_PARTS = 20_000
_BATCH = 1 << 20
"""Bytes of the file that are hashed and written at a time, in a thread."""
_FILENAME = re.compile(rb';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_NAME = re.compile(rb';\s*name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


@dataclass(slots=True)
class UploadForm:
    """What an upload says, beside the bytes of the file."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    """None: no file came."""


class _Parts:
    """Takes what the parser finds."""

    def __init__(self) -> None:
        self.form = UploadForm()
        self.content = bytearray()
        """Bytes of the file that wait to be written."""
        self.ended = False
        self._header = bytearray()
        self._value = bytearray()
        self._name = ""
        self._kept: bytearray | None = None
        self._in_file = False
        self._size = self._kept_size = self._parts = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise LimitExceeded("the form has too many fields")
        self._name, self._kept, self._in_file = "", None, False

    def _end_header(self) -> None:
        header, value = bytes(self._header).lower(), bytes(self._value)
        self._header.clear()
        self._value.clear()
        if header != b"content-disposition":
            return
        named = _NAME.search(value)
        self._name = (named[1] if named else parse_options_header(value)[1].get(b"name", b"")).decode(
            "utf-8", "replace"
        )
        if self._name == "content":
            if self.form.filename is not None:
                raise BadInput("the form has more than one file")
            filename = _FILENAME.search(value)
            self.form.filename = (filename[1] if filename else b"").decode("utf-8", "replace")
            self._in_file = True
        elif self._name in _KEPT:
            self._kept = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.content += memoryview(data)[start:end]
            return
        self._size += end - start
        if self._kept is not None:
            self._kept += memoryview(data)[start:end]
            self._kept_size += end - start
        if self._size > _MOST_FIELDS or self._kept_size > _MOST_KEPT:
            raise LimitExceeded("the fields of the form are absurdly large")

    def _end(self) -> None:
        if self._kept is not None:
            self.form.fields.setdefault(self._name, self._kept.decode("utf-8", "replace").strip())

    def _finish(self) -> None:
        self.ended = True


async def read_upload(request: Request, write: Callable[[bytes], None]) -> UploadForm:
    """Read the form of an upload; `write` gets the file's bytes as they come, in a thread.

    Fields come in any order, before the file or behind it. Raises `BadInput`, `LimitExceeded`, and what
    `write` raises.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise BadInput("an upload is a form (multipart/form-data)", hint="use twine, uv publish or venvery upload")
    parts = _Parts()
    parser = MultipartParser(boundary, parts.callbacks())
    try:
        async for chunk in request.stream():
            parser.write(chunk)
            if len(parts.content) >= _BATCH:
                await _hand_over(parts, write)
        parser.finalize()
        await _hand_over(parts, write)
    except FormParserError as error:
        raise BadInput(f"the form cannot be read: {error}") from None
    except ClientDisconnect:
        raise BadInput("the connection was cut before the upload was whole") from None
    if not parts.ended:
        raise BadInput("the form is cut off")
    return parts.form


async def _hand_over(parts: _Parts, write: Callable[[bytes], None]) -> None:
    if parts.content:
        piece, parts.content = bytes(parts.content), bytearray()
        await asyncio.to_thread(write, piece)
