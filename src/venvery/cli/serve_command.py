"""`venvery serve`: runs the server."""

from __future__ import annotations

import gc
import socket
import sys
from typing import TYPE_CHECKING

from venvery.cli.console import say
from venvery.cli.settings import configuration_of
from venvery.errors import BadConfiguration

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

COLLECT_AFTER = 10_000
"""New objects after which Python looks for cycles among them; its own 700 interrupt every search several times."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets the event loop go on; Python's own 5 ms are felt by all."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted. Raises `BadConfiguration` or `StorageFailed`."""
    import uvicorn

    from venvery.server.app import create_app
    from venvery.server.logs import set_up_logs
    from venvery.server.reasons import http_protocol
    from venvery.services.house import open_house
    from venvery.services.keys import ServerKeys
    from venvery.storage.database import Database

    set_up_logs()
    sys.setswitchinterval(SWITCH_INTERVAL)
    configuration = configuration_of(arguments)
    Database.open(configuration.database_at).close()  # a bad data folder is said here, plainly
    keys = ServerKeys(configuration.data / "keys")
    keys.current  # noqa: B018 - made on the first start, and missed here rather than by the first client
    listening = _listen(configuration.host, configuration.port)
    host, port = listening.getsockname()[:2]
    app = create_app(lambda: open_house(configuration))
    gc.set_threshold(COLLECT_AFTER)
    gc.freeze()  # what was imported stays, and need not be looked through ever again
    say(f"venvery serves http://{f'[{host}]' if ':' in host else host}:{port} from {configuration.data}")
    if not configuration.anonymous:
        say("nobody may do anything here without a token: venvery token create gives one out")
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=http_protocol(),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    server.run(sockets=[listening])
    return 0 if server.started else 3


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadConfiguration(
            f"cannot listen on {host}:{port}: {why}",
            hint="choose another with --host and --port; 0 is any free port",
        ) from None
