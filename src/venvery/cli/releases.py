"""What is done to a release in a hosted source, asked of a server or done in the data folder here."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from venvery.cli.settings import configuration_of, server_of
from venvery.errors import BadInput

if TYPE_CHECKING:
    import argparse

__all__ = ["change_release"]


def change_release(arguments: argparse.Namespace, action: str, **further: str) -> dict[str, Any]:
    """Do one thing to `arguments.release`, and give what came of it. Raises `VenveryError` or `ClientError`."""
    project, equals, version = arguments.release.partition("==")
    if not equals:
        raise BadInput(f"{arguments.release!r} names no release", hint="as in name==1.0")
    body = {"project": project.strip(), "version": version.strip(), **further}
    if arguments.source:
        body["source"] = arguments.source
    server = server_of(arguments)
    if server is not None:
        from venvery.client.transport import HttpTransport

        environ = dict(os.environ) | ({"VENVERY_TOKEN": arguments.token} if arguments.token else {})
        answer = HttpTransport(server, environ=environ).post(f"/v1/releases/{action}", body, "application/json")
        done: dict[str, Any] = json.loads(answer)
        return done
    return _here(arguments, action, body)


def _here(arguments: argparse.Namespace, action: str, body: dict[str, str]) -> dict[str, Any]:
    from venvery.services.publishing import Publisher
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    with Database.open(configuration.database_at) as database:
        blobs = Blobs.open_folder(configuration.data / "blobs")
        publisher = Publisher(database, blobs, configuration.sources, most=configuration.limits.upload_bytes)
        return publisher.change(action, body, who="this machine")
