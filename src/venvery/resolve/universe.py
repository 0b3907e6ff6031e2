"""A project's universe: its versions, ranked; a set of them is one `int`.

Bit 0 of a mask means "not selected", bit i+1 means `versions[i]`, the i-th lowest version. So the newest
version of a mask is `mask.bit_length() - 2`, and sets are joined, cut and compared by `|`, `&` and `==`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

from packaging.specifiers import Specifier

from venvery.model.file_table import FileTable
from venvery.model.files import CoreMetadata, DistFile, Kind, Listing, NoMetadata
from venvery.model.names import NormalizedName
from venvery.model.versions import Version

if TYPE_CHECKING:
    from venvery.resolve.views import View

__all__ = ["Group", "MemoryShelf", "Universe"]

_NEVER = datetime.max.replace(tzinfo=UTC)
_MOST_MASKS = 8192
_MOST_VIEWS = 64

Group = tuple[Kind, str, str | None]
"""What decides whether a file serves a target: its kind, its tag set, its `Requires-Python`."""


class Universe:
    """All versions and files of one project, with what is known of their metadata.

    The listing never changes; metadata is only ever added. Masks and views are remembered. All of it may be
    shared by requests and threads: whoever comes second computes the same value.
    """

    __slots__ = (
        "_built",
        "_groups",
        "_known",
        "_masks",
        "_metadata",
        "_table",
        "_texts",
        "_uploads",
        "_views",
        "by_version",
        "full",
        "listing",
        "project",
        "rank",
        "source",
        "versions",
    )

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.project: NormalizedName = listing.project
        self._table = files = (
            listing.files if isinstance(listing.files, FileTable) else FileTable.of(listing.files)
        )
        self.source: str = files.source
        """Where its first file comes from; empty when it has none."""
        order = sorted(range(len(files.versions)), key=files.versions.__getitem__)
        self.versions: tuple[Version, ...] = tuple(files.versions[number] for number in order)
        places: list[list[int]] = [[] for _ in order]
        for place, number in enumerate(files.version_of):
            places[number].append(place)
        self.by_version = _ByVersion(files, [places[number] for number in order])
        """The files of each version, in the order of the listing."""
        self.rank: dict[Version, int] = {version: i for i, version in enumerate(self.versions)}
        self.full: int = (1 << (len(self.versions) + 1)) - 1
        self._metadata: dict[str, CoreMetadata | NoMetadata] = {}
        self._built: dict[tuple[str, str], CoreMetadata] = {}
        self._known = 0
        self._masks: dict[str, int] = {"": self.full & ~1}
        self._groups: dict[Group, tuple[int, int]] | None = None
        self._views: dict[Hashable, View] = {}
        self._texts: tuple[str, ...] | None = None
        self._uploads: list[datetime] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The versions as texts, which take long to make; for those who say much of them."""
        if self._texts is None:
            self._texts = tuple(map(str, self.versions))
        return self._texts

    def metadata(self, file: DistFile) -> CoreMetadata | NoMetadata | None:
        """Give what is known of a file's core metadata; None when nothing is known yet."""
        return self._metadata.get(file.key)

    @property
    def known(self) -> int:
        """A number that grows with everything that is learned about the metadata."""
        return self._known

    def built_metadata(self, file: DistFile, scope: str) -> CoreMetadata | None:
        """Give what a build told of a file's core metadata, for one family and platform; else None."""
        return self._built.get((file.key, scope))

    def set_built_metadata(self, file: DistFile, scope: str, metadata: CoreMetadata) -> None:
        """Add what a build told; on another family or platform it may tell something else."""
        if (file.key, scope) not in self._built:
            self._built[file.key, scope] = metadata
            self._known += 1

    def set_metadata(self, file: DistFile, metadata: CoreMetadata | NoMetadata) -> None:
        """Add what was learned about a file's core metadata.

        What was known stays known: only a `NoMetadata` is ever replaced, by the real thing.
        """
        held = self._metadata.get(file.key)
        if held is None or (isinstance(held, NoMetadata) and isinstance(metadata, CoreMetadata)):
            self._metadata[file.key] = metadata
            self._known += 1

    def inherit(self, other: Universe) -> None:
        """Take over what is known of the metadata of an earlier listing: it is immutable."""
        self._metadata = {**other._metadata, **self._metadata}
        self._known = max(self._known, other._known) + 1

    def mask(self, specifier: str) -> int:
        """Give the versions that a specifier contains, pre-releases included; bit 0 is never set.

        Raises `packaging.specifiers.InvalidSpecifier`.
        """
        known = self._masks.get(specifier)
        if known is None:
            if "," in specifier:
                known = self.full
                for part in specifier.split(","):
                    known &= self.mask(part)
            else:
                known = self._run(Specifier(specifier))
            if len(self._masks) >= _MOST_MASKS:
                self._masks = {"": self.full & ~1}
            self._masks[specifier] = known
        return known

    def _run(self, specifier: Specifier) -> int:
        """Give the versions that a single specifier contains.

        In their order they are one run (with `!=` all but one), whose ends are found by halving: on a project with
        thousands of versions that takes a hundredth of the time of asking about each.
        """
        operator, text = specifier.operator, specifier.version
        if operator == "===":
            return sum(2 << i for i, v in enumerate(self.versions) if specifier.contains(v, prereleases=True))
        if operator == "!=":
            return self.full & ~1 & ~self.mask(f"=={text}")

        def inside(version: Version) -> bool:
            return specifier.contains(version, prereleases=True)

        def beyond(version: Version) -> bool:
            return not specifier.contains(version, prereleases=True)

        first, end = 0, len(self.versions)
        if operator in (">", ">="):
            first = bisect_left(self.versions, True, key=inside)
        else:
            if operator in ("==", "~="):
                lowest = f"{text.removesuffix('.*')}.dev0" if text.endswith(".*") else text
                first = bisect_left(self.versions, Version(lowest))
            end = bisect_left(self.versions, True, lo=first, key=beyond)
        return (2 << end) - (2 << first) if first < end else 0

    def prerelease_mask(self) -> int:
        """Give the pre-releases and development releases."""
        known = self._masks.get("prereleases")
        if known is None:
            known = sum(2 << i for i, version in enumerate(self.versions) if version.is_prerelease)
            self._masks["prereleases"] = known
        return known

    def first_upload_after(self, moment: datetime) -> datetime | None:
        """Give the earliest upload time after a moment; None when nothing was uploaded since.

        A file of which nobody knows the time counts as uploaded just now.
        """
        if self._uploads is None:
            self._uploads = sorted({file.upload_time or _NEVER for file in self.listing.files})
        place = bisect_right(self._uploads, moment)
        return self._uploads[place] if place < len(self._uploads) else None

    def groups(self) -> dict[Group, tuple[int, int]]:
        """Give, per group of files that serve the same targets, the versions with such a file.

        The first mask counts files that are not yanked, the second yanked ones.
        """
        if self._groups is None:
            self._groups = self._group(self._table)
        return self._groups

    def select(self, rank: int, serves: Callable[[Kind, str, str | None], bool]) -> list[DistFile]:
        """Give those files of a version whose group serves."""
        files, pythons = self._table, self._table.pythons
        return [
            files[place]
            for place in self.by_version.places(rank)
            if serves(*files.kinds[files.kind_of[place]][:2], None if pythons is None else pythons[place])
        ]

    def _group(self, files: FileTable) -> dict[Group, tuple[int, int]]:
        bits = [2 << self.rank[version] for version in files.versions]
        nothing = (None,) * len(files)
        masks: dict[tuple[int, str | None, bool], int] = {}
        columns = files.kind_of, files.pythons or nothing, files.yanked or nothing, files.version_of
        for kind, python, yanked, version in zip(*columns, strict=True):
            group = kind, python, yanked is None
            masks[group] = masks.get(group, 0) | bits[version]
        groups: dict[Group, tuple[int, int]] = {}
        for (kind, python, fine), mask in masks.items():
            name = (*files.kinds[kind][:2], python)
            before = groups.get(name, (0, 0))
            groups[name] = (before[0] | mask, before[1]) if fine else (before[0], before[1] | mask)
        return groups

    def find_view(self, lens: Hashable) -> View | None:
        """Give the view through a lens, when it was kept."""
        return self._views.get(lens)

    def keep_view(self, lens: Hashable, view: View) -> None:
        """Keep a view for other requests that look through the same lens."""
        if len(self._views) >= _MOST_VIEWS:
            self._views = {}
        self._views[lens] = view


class _ByVersion(Sequence[tuple[DistFile, ...]]):
    """Files by rank of their version; they are made when they are looked at."""

    def __init__(self, files: FileTable, places: list[list[int]]) -> None:
        self._files = files
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, rank: int) -> tuple[DistFile, ...]: ...
    @overload
    def __getitem__(self, rank: slice) -> list[tuple[DistFile, ...]]: ...
    def __getitem__(self, rank: int | slice) -> tuple[DistFile, ...] | list[tuple[DistFile, ...]]:
        if isinstance(rank, slice):
            return [self[one] for one in range(*rank.indices(len(self)))]
        return tuple(self._files[place] for place in self._places[rank])

    def places(self, rank: int) -> list[int]:
        """Give the places of a version's files in the table."""
        return self._places[rank]


class MemoryShelf:
    """A shelf of universes in memory."""

    def __init__(self, universes: dict[NormalizedName, Universe] | None = None) -> None:
        self.universes: dict[NormalizedName, Universe] = dict(universes or {})

    def universe(self, project: NormalizedName) -> Universe | None:
        """Give the project's universe; None when it is not on the shelf."""
        return self.universes.get(project)

    def put(self, universe: Universe) -> None:
        """Put a universe on the shelf, in place of an older one of the same project."""
        self.universes[universe.project] = universe
