"""What a page lists: a link for each file, or all of them in columns, without an object for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, overload

from venvery.model.file_table import Moment, seconds_of

__all__ = ["Columns", "Link"]


class Link(NamedTuple):
    """One file as a page lists it; nothing of it is checked but the scheme of its URL."""

    filename: str
    url: str
    """Absolute, without fragment and without credentials."""
    hashes: dict[str, str]
    """Algorithm → hex digits in lower case."""
    requires_python: str | None = None
    yanked: str | None = None
    core_metadata: str | None = None
    size: int | None = None
    upload_time: float | None = None
    """Seconds since the epoch."""
    provenance: str | None = None
    """Absolute (PEP 740)."""


class Columns(Sequence[Link]):
    """Links, column by column; all columns are equally long."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.folders: list[str] = []
        """Of each URL what comes before its last slash, with that."""
        self.lasts: list[str] = []
        """Of each URL what comes behind it."""
        self.hashes: list[dict[str, str]] | None = None
        """None where a SHA-256 is all that is given of any file."""
        self.digests: list[str | None] = []
        """Their SHA-256."""
        self.pythons: list[str | None] = []
        self.yanked: list[str | None] = []
        self.metadata: list[str | None] = []
        self.sizes: list[int | None] = []
        self.times: Sequence[Moment] = []
        self.provenance: list[str | None] = []

    @classmethod
    def of(cls, links: Iterable[Link]) -> Columns:
        """Put links into columns."""
        self = cls()
        columns: list[list[Any]] = list(map(list, zip(*links, strict=True))) or [[] for _ in Link._fields]
        self.names, urls, hashes, self.pythons, self.yanked, self.metadata, self.sizes, *others = columns
        self.hashes, (self.times, self.provenance) = hashes, others
        self.digests = [one.get("sha256") for one in hashes]
        places = [url.rpartition("/") for url in urls]
        self.folders = [folder + slash for folder, slash, _last in places]
        self.lasts = [last for _folder, _slash, last in places]
        return self

    def __add__(self, other: Columns) -> Columns:
        """Give the links of both, one after the other."""
        both = Columns()
        both.names, both.folders = self.names + other.names, self.folders + other.folders
        both.lasts = both.names if self._plain and other._plain else self.lasts + other.lasts
        if self.hashes is not None or other.hashes is not None:
            both.hashes = [link.hashes for link in (*self, *other)]
        both.digests, both.sizes = self.digests + other.digests, self.sizes + other.sizes
        both.pythons, both.yanked = self.pythons + other.pythons, self.yanked + other.yanked
        both.metadata, both.times = self.metadata + other.metadata, [*self.times, *other.times]
        both.provenance = self.provenance + other.provenance
        return both

    @property
    def _plain(self) -> bool:
        return self.lasts is self.names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Link: ...
    @overload
    def __getitem__(self, index: slice) -> list[Link]: ...
    def __getitem__(self, index: int | slice) -> Link | list[Link]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        digest = self.digests[index]
        hashes = {} if digest is None else {"sha256": digest}
        return Link(
            self.names[index],
            self.folders[index] + self.lasts[index],
            hashes if self.hashes is None else self.hashes[index],
            self.pythons[index],
            self.yanked[index],
            self.metadata[index],
            self.sizes[index],
            seconds_of(self.times[index]),
            self.provenance[index],
        )
