"""An index over HTTP: the simple API in JSON or HTML (PEP 503, 691)."""

from __future__ import annotations

from venvery.catalog.network import Network
from venvery.catalog.sources.base import Answer, Held
from venvery.catalog.sources.http import ACCEPT_LISTING, read_page
from venvery.model.names import NormalizedName
from venvery.model.sources import SourceSpec, without_credentials

__all__ = ["Index"]


class Index:
    """An index; each project has a page of its own."""

    local = False
    told = False

    def __init__(self, spec: SourceSpec, network: Network) -> None:
        self.spec = spec
        self._network = network
        self._root = without_credentials(spec.location).rstrip("/")

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Read a project's page."""
        return await read_page(self._network, f"{self._root}/{project}/", held, accept=ACCEPT_LISTING)

    def names(self) -> tuple[NormalizedName, ...]:
        """List nothing: an index may have a million projects."""
        return ()
