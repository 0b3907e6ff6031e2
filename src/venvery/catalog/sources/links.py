"""An HTML page that links to files of any project (pip's `--find-links URL`)."""

from __future__ import annotations

import asyncio

from venvery.catalog.network import Network
from venvery.catalog.sources.base import Absent, Answer, Found, Held
from venvery.catalog.sources.http import read_page
from venvery.errors import SourceUnreachable
from venvery.model.names import NormalizedName
from venvery.model.sources import SourceSpec, redact, without_credentials

__all__ = ["LinksPage"]

KEEP = 60.0
"""Seconds for which the page, once read, answers for all projects."""


class LinksPage:
    """A page of links, read once for all projects that are asked for together."""

    local = False
    told = False

    def __init__(self, spec: SourceSpec, network: Network) -> None:
        self.spec = spec
        self._network = network
        self._url = without_credentials(spec.location)
        self._page: Found | None = None
        self._names: list[str] = []
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Give those links of the page that may be the project's."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._page is None or now >= self._until:
                self._page = await self._get()
                self._names = [_squeezed(link.filename) for link in self._page.links]
                self._until = now + KEEP
        wanted = project.replace("-", "")
        places = [place for place, name in enumerate(self._names) if name.startswith(wanted)]
        return Found([self._page.links[place] for place in places]) if places else Absent()

    def names(self) -> tuple[NormalizedName, ...]:
        """List nothing: the page is read when a project is asked for."""
        return ()

    async def _get(self) -> Found:
        answer = await read_page(self._network, self._url, None, accept="text/html")
        if not isinstance(answer, Found):
            url = redact(self._url)
            raise SourceUnreachable(f"{url}: there is no page of links", url=url)
        return answer


def _squeezed(filename: str) -> str:
    """Write a file name so that it begins with its project's name, however that was spelled (PEP 503)."""
    return filename.lower().replace("-", "").replace("_", "").replace(".", "")
