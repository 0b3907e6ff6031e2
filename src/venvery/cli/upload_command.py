"""`venvery upload`: publishes files in a hosted source, of a server or of the data folder here."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from venvery.cli.console import say
from venvery.cli.settings import configuration_of, server_of
from venvery.errors import BadInput, NotAllowed, NotKnown, SourceUnreachable, UploadRefused

if TYPE_CHECKING:
    import argparse

    import httpx2

__all__ = ["run"]

_PIECE = 1 << 20
_TYPES = {".whl": "bdist_wheel", ".tar.gz": "sdist"}


def run(arguments: argparse.Namespace) -> int:
    """Publish the files one after the other; the first that is refused ends it. Raises `VenveryError`."""
    paths = [Path(name) for name in arguments.files]
    for path in paths:
        if not path.is_file():
            raise BadInput(f"there is no file {path}", hint="build it first, as with python -m build")
        if not path.name.endswith(tuple(_TYPES)):
            raise BadInput(f"{path.name} is neither a wheel nor a .tar.gz source distribution")
    server = server_of(arguments)
    done = _to_server(server, arguments, paths) if server is not None else _to_folder(arguments, paths)
    if arguments.json:
        print(json.dumps(done, indent=2))
    return 0


def _to_folder(arguments: argparse.Namespace, paths: list[Path]) -> list[dict[str, Any]]:
    from venvery.services.publishing import Publisher
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database
    from venvery.uploads import Claims

    configuration = configuration_of(arguments)
    done = []
    with Database.open(configuration.database_at) as database:
        blobs = Blobs.open_folder(configuration.data / "blobs")
        publisher = Publisher(database, blobs, configuration.sources, most=configuration.limits.upload_bytes)
        for path in paths:
            with path.open("rb") as file, publisher.begin() as arriving:
                while piece := file.read(_PIECE):
                    arriving.write(piece)
                claims = Claims(path.name, _type_of(path))
                published = publisher.publish(arriving, claims, to=arguments.source, who="this machine")
            _tell(published.to_json())
            done.append(published.to_json())
    return done


def _to_server(server: str, arguments: argparse.Namespace, paths: list[Path]) -> list[dict[str, Any]]:
    import httpx2

    from venvery.model.sources import redact

    url = f"{server}/upload/{arguments.source}/" if arguments.source else f"{server}/upload/"
    token = arguments.token or os.environ.get("VENVERY_TOKEN")
    headers = {"Accept": "application/problem+json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    done = []
    with httpx2.Client(timeout=httpx2.Timeout(60, read=600), headers=headers) as client:
        for path in paths:
            try:
                answer = _send(client, url, path)
            except httpx2.HTTPError as error:
                raise SourceUnreachable(f"{redact(url)}: {error or type(error).__name__}") from None
            published = _read(answer)
            _tell(published)
            done.append(published)
    return done


def _send(client: httpx2.Client, url: str, path: Path) -> httpx2.Response:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        form = {":action": "file_upload", "protocol_version": "1"}
        form |= {"filetype": _type_of(path), "sha256_digest": sha256}
        with _Bar(path.name, path.stat().st_size) as bar:
            told: IO[bytes] = _Told(file, bar.moved)  # type: ignore[assignment]
            return client.post(url, data=form, files={"content": (path.name, told, "application/octet-stream")})


def _read(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.status_code == 200 and isinstance(body, dict):
        return body
    said = str(body.get("detail") or f"HTTP {answer.status_code} {answer.reason_phrase}")
    hint = body.get("hint")
    if answer.status_code == 401:
        raise NotKnown(said, hint="set VENVERY_TOKEN, or use --token")
    if answer.status_code == 403:
        raise NotAllowed(said, hint=hint)
    if answer.status_code < 500:
        raise UploadRefused(said, hint=hint)
    raise SourceUnreachable(said, hint=hint)


def _type_of(path: Path) -> str:
    return next(kind for end, kind in _TYPES.items() if path.name.endswith(end))


def _tell(published: dict[str, Any]) -> None:
    was = "published" if published["new"] else "there already:"
    say(f"{was} {published['filename']} in {published['source']}")


class _Told:
    """A file that tells how much of it was read."""

    def __init__(self, file: BufferedReader, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._tell(len(data))
        return data

    def __iter__(self) -> _Told:
        return self

    def __next__(self) -> bytes:
        data = self.read(_PIECE)
        if not data:
            raise StopIteration
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Bar:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = max(1, size)
        self._done = 0
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")

    def moved(self, count: int) -> None:
        """Show that so many further bytes are on their way."""
        self._done += count
        if self._shown:
            full = min(30, 30 * self._done // self._size)
            sys.stderr.write(f"\r\x1b[K{self._name} [{'#' * full}{' ' * (30 - full)}] {self._done / 1e6:.1f} MB")
            sys.stderr.flush()
