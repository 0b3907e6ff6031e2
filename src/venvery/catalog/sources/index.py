"""An index over HTTP: the simple API in JSON or HTML (PEP 503, 691)."""

from __future__ import annotations

import asyncio
import json
import re

from venvery.catalog.broken import Broken
from venvery.catalog.network import Network
from venvery.catalog.sources.base import Answer, Held
from venvery.catalog.sources.http import ACCEPT_LISTING, read_page
from venvery.errors import SourceFailed
from venvery.model.names import NormalizedName, is_valid_name, normalize
from venvery.model.sources import SourceSpec, without_credentials

__all__ = ["Index"]

_SHORT = 1 << 20
"""Bytes of a list of projects that is worth reading."""
_KEEP = 3600.0
"""Seconds."""


class Index:
    """An index; each project has a page of its own."""

    local = False
    told = False

    def __init__(self, spec: SourceSpec, network: Network) -> None:
        self.spec = spec
        self._network = network
        self._root = without_credentials(spec.location).rstrip("/")
        self._listed: tuple[float, tuple[NormalizedName, ...]] | None = None

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Read a project's page."""
        return await read_page(self._network, f"{self._root}/{project}/", held, accept=ACCEPT_LISTING)

    def names(self) -> tuple[NormalizedName, ...]:
        """List nothing: an index may have a million projects."""
        return ()

    async def short_list(self) -> tuple[NormalizedName, ...]:
        """List all its projects, where they are few; nothing where they are many, or the index does not say.

        Whatever it answered, it is not asked again for an hour.
        """
        now = asyncio.get_running_loop().time()
        if self._listed is None or now >= self._listed[0]:
            self._listed = now + _KEEP, ()
            self._listed = now + _KEEP, await self._read_list()
        return self._listed[1]

    async def _read_list(self) -> tuple[NormalizedName, ...]:
        try:
            async with self._network.open(f"{self._root}/", {"Accept": ACCEPT_LISTING}) as reply:
                body = await reply.read(_SHORT) if reply.status == 200 else b""
                kind = reply.headers.get("content-type", "")
        except (SourceFailed, Broken):
            return ()
        try:
            if "json" in kind:
                found = [project["name"] for project in json.loads(body)["projects"]]
            else:
                found = re.findall(r"<a\b[^>]*>\s*([^<\s]+)\s*</a>", body.decode("utf-8", "replace"))
        except (ValueError, KeyError, TypeError):
            return ()
        return tuple(normalize(name) for name in found if isinstance(name, str) and is_valid_name(name))
