"""Commands without a server: the same bodies, answered by a house on the local data folder."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from venvery.cli import loops
from venvery.cli.build_lines import follow
from venvery.client.archive import Stream
from venvery.config import Configuration
from venvery.services.archive_stream import ArchiveStream
from venvery.services.house import House, Sendable, open_house
from venvery.services.watching import watching

if TYPE_CHECKING:
    from venvery.catalog.reporter import Reporter
    from venvery.environments import Encoding

__all__ = ["EmbeddedTransport", "in_house"]

T = TypeVar("T")

_MEDIA_TYPES: dict[str, Encoding] = {"application/x-tar+zstd": "zstd", "application/x-tar+gzip": "gzip"}


def in_house(
    configuration: Configuration, work: Callable[[House], Awaitable[T]], report: Reporter | None = None
) -> T:
    """Open the house, let it work, close it."""
    # Whole listings come to stay, and the process soon goes: looking for garbage all the time finds none.
    gc.set_threshold(500_000, 50, 100)

    async def run() -> T:
        async with open_house(configuration, report=report, trusts_locks=True) as house:
            watching.set(follow(house))
            try:
                return await work(house)
            finally:
                await house.evict()  # what the work gave is leased, if it is still to be read

    return loops.run(run())


class EmbeddedTransport:
    """Answers `sync` as a server would, in this process."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        report: Reporter | None = None,
        on_warning: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._configuration = configuration
        self._report = report
        self._on_warning = on_warning

    def __call__(self, body: Mapping[str, Any], accept: list[str]) -> Stream:
        """Make the environment; give its archive."""
        media_type = next(kind for kind in accept if kind in _MEDIA_TYPES)
        archive = in_house(self._configuration, lambda house: self._make(house, body, media_type), self._report)
        return ArchiveStream(archive, media_type)

    async def _make(self, house: House, body: Mapping[str, Any], media_type: str) -> Sendable:
        asked = house.read(body)
        house.check_place(asked.place, asked.resolve.targets[0])
        made = await house.environment(asked)
        for warning in made.warnings:
            self._on_warning(warning)
        return await house.sendable(made, asked.place, _MEDIA_TYPES[media_type])
