"""What every source can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from venvery.catalog.network import Network
from venvery.catalog.pages import Link
from venvery.catalog.rows import FORMAT
from venvery.errors import BadConfiguration
from venvery.model.digests import canonical_json, sha256
from venvery.model.files import ProjectStatus
from venvery.model.names import NormalizedName
from venvery.model.sources import SourceSpec, redact

if TYPE_CHECKING:
    from venvery.storage.database import Database

__all__ = ["Absent", "Answer", "Found", "Held", "Source", "Unchanged", "identify", "make_source"]


@dataclass(frozen=True, slots=True)
class Held:
    """What was held of a page when it was last read: enough to ask whether it changed."""

    known: bool
    etag: str | None
    last_modified: str | None
    body: str | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The page is what it was."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The source says that it has no such project."""


@dataclass(frozen=True, slots=True)
class Found:
    """The page, read."""

    links: Sequence[Link]
    etag: str | None = None
    last_modified: str | None = None
    body: str | None = None
    status: ProjectStatus | None = None


Answer = Unchanged | Absent | Found


class Source(Protocol):
    """One source. It remembers nothing of a project between two questions."""

    spec: SourceSpec
    local: bool
    """True when asking costs next to nothing, so that no freshness window is needed."""
    told: bool
    """True when we are told of every change, so that what was read holds until then, and is not kept twice."""

    async def read(self, project: NormalizedName, held: Held | None) -> Answer:
        """Read the listing of a project.

        Raises `SourceUnreachable` or `SourceGarbage`, which are never to be read as "no such project".
        """
        ...

    def names(self) -> Iterable[NormalizedName]:
        """List its projects where that is cheap; nothing for what is far away. Raises `SourceUnreachable`."""
        ...


def identify(spec: SourceSpec) -> tuple[str, str]:
    """Give a digest of what a source is, whatever its name and password, and its location fit to be kept."""
    shown = redact(spec.location)
    return sha256(canonical_json([FORMAT, spec.kind, shown])), shown


def make_source(spec: SourceSpec, network: Network, database: Database) -> Source:
    """Make the source that a configuration describes. Raises `BadConfiguration`."""
    from venvery.catalog.sources.folders import FlatFolder, Tree
    from venvery.catalog.sources.hosted import HostedSource
    from venvery.catalog.sources.index import Index
    from venvery.catalog.sources.links import LinksPage

    if spec.kind == "index":
        return Index(spec, network)
    if spec.kind == "links":
        return LinksPage(spec, network)
    if spec.kind == "tree":
        return Tree(spec, database.files)
    if spec.kind == "flat":
        return FlatFolder(spec, database.files)
    if spec.kind == "hosted":
        return HostedSource(spec, database.hosted)
    raise BadConfiguration(f"{spec.kind!r} is not a kind of source")
