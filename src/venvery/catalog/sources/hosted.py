"""A hosted source: what people uploaded here. The database itself is the listing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from venvery.catalog.pages import Link
from venvery.catalog.sources.base import Absent, Answer, Found, Held
from venvery.model.digests import hex_of
from venvery.model.files import ProjectState, ProjectStatus
from venvery.model.names import NormalizedName
from venvery.model.sources import UPLOADED, SourceSpec

if TYPE_CHECKING:
    from venvery.storage.hosted import Hosted, HostedFile

__all__ = ["HostedSource"]


class HostedSource:
    """The projects of one hosted source."""

    local = True
    told = True

    def __init__(self, spec: SourceSpec, hosted: Hosted) -> None:
        self.spec = spec
        self._hosted = hosted

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Read what is uploaded now; a quarantined project offers no files (PEP 792)."""
        found = await asyncio.to_thread(self._hosted.listing, self.spec.name, project)
        if found is None:
            return Absent()
        about, files = found
        state = cast("ProjectState", about.status)
        status = None if state == "active" else ProjectStatus(state, about.status_reason)
        return Found(() if state == "quarantined" else tuple(map(_link, files)), status=status)

    def names(self) -> Iterable[NormalizedName]:
        """List everything that was ever uploaded here."""
        return [NormalizedName(about.project) for about in self._hosted.projects(self.spec.name)]


def _link(file: HostedFile) -> Link:
    url = f"{UPLOADED}{file.project}/{file.sha256}/{file.filename}"
    return Link(
        file.filename,
        url,
        {"sha256": file.sha256},
        file.requires_python,
        file.yanked,
        hex_of(file.metadata) if file.metadata else None,
        file.size,
        file.uploaded_at,
        f"{url}.provenance" if file.provenance else None,
    )
