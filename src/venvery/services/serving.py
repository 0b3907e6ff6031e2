"""What clients of a package index are given of one view: pages and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venvery.services.file_serving import FileServing
from venvery.services.project_json import ProjectJson
from venvery.services.simple_api import SimpleApi

if TYPE_CHECKING:
    from venvery.catalog.catalog import Catalog
    from venvery.services.policing import Policing
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

__all__ = ["Serving"]


class Serving:
    """One view, as an index."""

    def __init__(self, catalog: Catalog, database: Database, blobs: Blobs, policing: Policing) -> None:
        self.simple = SimpleApi(catalog, database, policing)
        self.projects = ProjectJson(catalog, blobs, self.simple)
        self.files = FileServing(catalog, database, blobs, self.simple)

    async def stop(self) -> None:
        """End what is under way."""
        await self.files.stop()
        await self.simple.stop()
