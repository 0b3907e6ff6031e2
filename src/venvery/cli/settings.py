"""Which configuration, and which server, a command line means."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from venvery.config import Configuration, SourceWords
    from venvery.model.requirements_text import IndexOptions

__all__ = ["configuration_of", "server_of"]


def server_of(arguments: argparse.Namespace) -> str | None:
    """Give the URL of the server that a command is to ask; None: embedded."""
    server: str | None = arguments.server or os.environ.get("VENVERY_SERVER")
    return server.rstrip("/") if server else None


def configuration_of(arguments: argparse.Namespace, written: IndexOptions | None = None) -> Configuration:
    """Put the configuration together; the command line goes before what requirements files say.

    Raises `BadConfiguration`.
    """
    from pathlib import Path

    from venvery.cli.console import say
    from venvery.config import CommandOptions, Machine, SourceWords, load_configuration
    from venvery.errors import BadConfiguration
    from venvery.model.sizes import parse_size

    machine = Machine(dict(os.environ), Path.home(), Path(sys.prefix), sys.platform, Path.cwd())
    line = SourceWords(
        arguments.index_url, tuple(arguments.extra_index_url), tuple(arguments.find_links), arguments.no_index
    )
    for place in arguments.find_links:
        # Pip goes on without it; here it was typed a moment ago, and going on would blame the requirements.
        if "://" not in place and not Path(place).exists():
            raise BadConfiguration(f"--find-links {place}: there is no such file or folder")
    words = _words(written).then(line) if written is not None else line
    options = CommandOptions(
        data=Path(arguments.data) if arguments.data else None,
        host=getattr(arguments, "host", None),
        port=getattr(arguments, "port", None),
        anonymous=_listed(getattr(arguments, "anonymous", None)),
        words=words,
        max_size=parse_size(size) if (size := getattr(arguments, "max_size", None)) is not None else None,
    )
    configuration = load_configuration(
        machine, file=Path(arguments.config) if arguments.config else None, options=options
    )
    for warning in configuration.warnings:
        say(f"warning: {warning}")
    return configuration


def _listed(said: str | None) -> tuple[str, ...] | None:
    return None if said is None else tuple(part for part in said.replace(",", " ").split())


def _words(written: IndexOptions) -> SourceWords:
    from pathlib import Path

    from venvery.config import SourceWords

    links = tuple(
        str(Path(origin).parent / place) if "://" not in place else place for place, origin in written.find_links
    )
    return SourceWords(written.index_url, written.extra_index_urls, links, written.no_index)
