"""The files of a project in columns: of thousands that are listed, a `DistFile` is made for those looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import overload

from venvery.model.files import DistFile, Kind
from venvery.model.names import NormalizedName
from venvery.model.versions import Version

__all__ = ["FileKind", "FileTable", "Moment", "seconds_of"]

FileKind = tuple[Kind, str, tuple[int, str] | tuple[()]]
"""Kind, tag set and build of a file."""
Moment = str | float | None
"""An instant as a source writes it (ISO 8601), or in seconds since the epoch."""


def seconds_of(moment: Moment) -> float | None:
    """Read an instant; None for what cannot be read."""
    if not isinstance(moment, str):
        return moment
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True, eq=False)
class FileTable(Sequence[DistFile]):
    """Files as one source lists them. A column that says nothing of any file is None."""

    project: NormalizedName
    source: str
    versions: Sequence[Version]
    """Each version once, in any order."""
    kinds: Sequence[FileKind]
    """Each kind, tag set and build once."""
    version_of: Sequence[int]
    kind_of: Sequence[int]
    names: Sequence[str]
    folders: Sequence[str]
    """What comes before a URL's last slash, with it."""
    lasts: Sequence[str | None] | None
    """What comes behind it, where that is not the file's name."""
    digests: Sequence[str | None] | None
    sizes: Sequence[int | None] | None
    pythons: Sequence[str | None] | None
    yanked: Sequence[str | None] | None
    metadata: Sequence[str | None] | None
    times: Sequence[Moment] | None
    hashes: Sequence[Sequence[Sequence[str]] | None] | None
    provenance: Sequence[str | None] | None
    seen: dict[str, float]
    """By name, when a file was first seen; `now` for others."""
    now: float
    _made: dict[int, DistFile] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Sequence[DistFile]) -> FileTable:
        """Put files into columns; they stay the objects that they are."""
        versions: dict[Version, int] = {}
        numbers: dict[int, int] = {}
        kinds: dict[FileKind, int] = {}
        for file in files:
            if id(file.version) not in numbers:  # hashing a version takes longer than all the rest
                numbers[id(file.version)] = versions.setdefault(file.version, len(versions))
        return cls(
            project=files[0].project if files else NormalizedName(""),
            source=files[0].source if files else "",
            versions=tuple(versions),
            version_of=[numbers[id(file.version)] for file in files],
            kind_of=[kinds.setdefault((file.kind, file.tag, file.build), len(kinds)) for file in files],
            kinds=tuple(kinds),
            names=[file.filename for file in files],
            folders=(),
            lasts=None,
            digests=[file.sha256 for file in files],
            sizes=None,
            pythons=[file.requires_python for file in files],
            yanked=[file.yanked for file in files],
            metadata=None,
            times=None,
            hashes=None,
            provenance=None,
            seen={},
            now=0.0,
            _made=dict(enumerate(files)),
        )

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> DistFile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[DistFile, ...]: ...
    def __getitem__(self, index: int | slice) -> DistFile | tuple[DistFile, ...]:
        if isinstance(index, slice):
            return tuple(map(self._get, range(*index.indices(len(self.names)))))
        if index < 0:
            index += len(self.names)
        if not 0 <= index < len(self.names):
            raise IndexError(index)
        return self._get(index)

    def __iter__(self) -> Iterator[DistFile]:
        return map(self._get, range(len(self.names)))

    def __eq__(self, other: object) -> bool:
        """Tell whether the files are equal, one by one."""
        if isinstance(other, FileTable) and len(other) == len(self):
            return self is other or all(map(DistFile.__eq__, self, other))
        return isinstance(other, tuple) and tuple(self) == other

    def __hash__(self) -> int:
        return hash((self.project, len(self.names)))

    def find(self, filename: str) -> Iterator[DistFile]:
        """Give the files of a name."""
        place = -1
        while True:
            try:
                place = self.names.index(filename, place + 1)
            except ValueError:
                return
            yield self._get(place)

    def _get(self, place: int) -> DistFile:
        made = self._made.get(place)
        # Several threads may come here at once; all are given the same file.
        return self._made.setdefault(place, self._make(place)) if made is None else made

    def _make(self, place: int) -> DistFile:
        name, (kind, tag, build) = self.names[place], self.kinds[self.kind_of[place]]
        last = None if self.lasts is None else self.lasts[place]
        hashes = None if self.hashes is None else self.hashes[place]
        uploaded = None if self.times is None else seconds_of(self.times[place])
        if uploaded is None:
            uploaded = self.seen.get(name, self.now)
        return DistFile(
            name,
            self.folders[place] + (name if last is None else last),
            self.project,
            self.versions[self.version_of[place]],
            kind,
            tag,
            build,
            None if self.digests is None else self.digests[place],
            None if self.sizes is None else self.sizes[place],
            None if self.pythons is None else self.pythons[place],
            None if self.yanked is None else self.yanked[place],
            datetime.fromtimestamp(uploaded, UTC),
            None if self.metadata is None else self.metadata[place],
            self.source,
            () if hashes is None else tuple((algorithm, value) for algorithm, value in hashes),
            None if self.provenance is None else self.provenance[place],
        )
