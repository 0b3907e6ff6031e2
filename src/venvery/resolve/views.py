"""What of a universe one target can use under one set of file rules, and what each version depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from functools import lru_cache

from venvery.model.files import CoreMetadata, DistFile, NoMetadata
from venvery.model.lock import Pin
from venvery.model.names import NormalizedName
from venvery.model.policy import ProjectPolicy, ReleaseRule
from venvery.resolve.dependencies import Dependency, TargetFacts, parse_dependency
from venvery.resolve.universe import Universe

__all__ = ["NEEDS_BUILD", "CoolDown", "Dependencies", "FileRules", "Lens", "Unusable", "View", "Way", "lens_of"]

_MOST_PINS = 256
_MOST_WAYS = 512

PinKey = tuple[int, tuple[NormalizedName, ...], bool]
"""A version, its extras that are asked for, and whether the request itself names the project."""

Way = tuple[int, int, Dependency]
"""How some versions depend on another project: these versions, the versions that they allow, the dependency."""


@dataclass(frozen=True, slots=True)
class CoolDown:
    """Files that are too new to be offered.

    `since` is the upload time of the first of them, not the moment before which files are old enough: so it stays
    the same, and what was worked out with it, until that file is old enough too.
    """

    since: datetime
    span: timedelta

    @property
    def ends(self) -> datetime | None:
        """When the first of them is old enough; None when nobody knows."""
        return self.since + self.span if self.since.year < MAXYEAR else None


NEEDS_BUILD = "needs-build"
"""The kind of what is out only because its metadata has not been built."""


@dataclass(frozen=True, slots=True)
class FileRules:
    """Which files of a project may be used."""

    wheels: bool = True
    sdists: bool = True
    exclude_newer: datetime | None = None
    hashes: frozenset[str] | None = None
    """`sha256:…` digests that the file must be one of; None: any."""
    python_upper_bounds: bool = True
    """False: `Requires-Python` counts from below only, as uv reads it."""
    blocked: tuple[ReleaseRule, ...] = ()
    """Releases that the administrator blocks."""
    allowed: tuple[str, ...] | None = None
    """Specifiers of the versions that the administrator allows; None: all."""
    cool_down: CoolDown | None = None
    source: str | None = None
    """The source that the files must come from; None: any."""

    @property
    def by_group(self) -> bool:
        """Tell whether files of one group stand or fall together under these rules."""
        of_one_file = (self.exclude_newer, self.hashes, self.cool_down, self.source)
        return all(rule is None for rule in of_one_file)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What one version depends on, on one target."""

    base: tuple[Dependency, ...]
    conditional: tuple[Dependency, ...]
    """Those that an extra may switch on."""
    provides: frozenset[NormalizedName]
    facts: TargetFacts

    def of_extra(self, extra: NormalizedName) -> Iterator[Dependency]:
        """Give what an extra adds."""
        for dependency in self.conditional:
            if self.facts.holds(dependency, extra):
                yield dependency


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a version is out, said of it: `its metadata …`, `it has …`."""

    reason: str
    kind: str = "metadata"


class View:
    """A universe as one target sees it."""

    __slots__ = (
        "_dependencies",
        "_files",
        "_metadata_files",
        "_pins",
        "_stated",
        "_ways",
        "facts",
        "plain",
        "rules",
        "stable",
        "universe",
        "usable",
    )

    def __init__(self, universe: Universe, facts: TargetFacts, rules: FileRules) -> None:
        self.universe = universe
        self.facts = facts
        self.rules = rules
        self.plain, self.usable = self._masks()
        """Versions with a usable file that is not yanked; versions with any usable file."""
        self.stable = self.plain & ~universe.prerelease_mask()
        self._dependencies: dict[int, Dependencies | Unusable] = {}
        self._files: dict[int, tuple[DistFile, ...]] = {}
        self._metadata_files: dict[int, DistFile] = {}
        self._pins: dict[PinKey, Pin] = {}
        self._stated: dict[NormalizedName | None, tuple[int, Mapping[Dependency, int]]] = {}
        self._ways: dict[tuple[NormalizedName, NormalizedName | None], tuple[object, str, tuple[Way, ...]]] = {}

    def _masks(self) -> tuple[int, int]:
        plain = usable = 0
        if self.rules.by_group:
            for (kind, tag, requires_python), (fine, yanked) in self.universe.groups().items():
                if self._serves(kind, tag, requires_python):
                    plain |= fine
                    usable |= fine | yanked
        else:
            for i, files in enumerate(self.universe.by_version):
                for file in files:
                    if self.why_not_file(file) is None:
                        usable |= 2 << i
                        if file.yanked is None:
                            plain |= 2 << i
        offered = self._offered()
        return plain & offered, usable & offered

    def _offered(self) -> int:
        """Give the versions that the administrator lets anybody have."""
        offered, mask = self.universe.full, self.universe.mask
        if self.rules.allowed is not None:
            offered = 0
            for specifier in self.rules.allowed:
                offered |= mask(specifier)
        for rule in self.rules.blocked:
            offered &= ~mask(rule.specifier)
        return offered

    def why_not_offered(self, version: int) -> str | None:
        """Say why the administrator lets nobody have a version; None when everybody may."""
        said = ProjectPolicy(self.rules.blocked, self.rules.allowed)
        return said.why_not(self.universe.versions[version])

    def _serves(self, kind: str, tag: str, requires_python: str | None) -> bool:
        if kind == "wheel":
            if not self.rules.wheels or self.facts.rank(tag) is None:
                return False
        elif not self.rules.sdists:
            return False
        return self.facts.runs(requires_python, upper_bounds=self.rules.python_upper_bounds)

    def why_not_file(self, file: DistFile) -> str | None:
        """Say why a file is out; None when it can be used (yanked or not)."""
        rules = self.rules
        if rules.source is not None and file.source != rules.source:
            return "source"
        if rules.exclude_newer is not None and (
            file.upload_time is None or file.upload_time >= rules.exclude_newer
        ):
            return "newer"
        if rules.cool_down is not None and (file.upload_time is None or file.upload_time >= rules.cool_down.since):
            return "cool-down"
        if rules.hashes is not None and f"sha256:{file.sha256}" not in rules.hashes:
            return "hash"
        if not self.facts.runs(file.requires_python, upper_bounds=rules.python_upper_bounds):
            return "python"
        if file.kind == "sdist":
            return None if rules.sdists else "sdist"
        if not rules.wheels:
            return "wheel"
        return None if self.facts.rank(file.tag) is not None else "tag"

    def files(self, version: int) -> tuple[DistFile, ...]:
        """Give a version's usable files: wheels, best first, then the sdist.

        Yanked files are among them only when there is nothing else.
        """
        known = self._files.get(version)
        if known is None:
            known = self._files[version] = self._usable_files(version)
        return known

    def _usable_files(self, version: int) -> tuple[DistFile, ...]:
        if self.rules.by_group:  # then those that are out need not even be made
            fine = self.universe.select(version, self._serves)
        else:
            fine = [file for file in self.universe.by_version[version] if self.why_not_file(file) is None]
        kept = [file for file in fine if file.yanked is None] or fine
        wheels = sorted((file for file in kept if file.kind == "wheel"), key=self.file_order)
        return (*wheels, *(file for file in kept if file.kind == "sdist"))

    def file_order(self, file: DistFile) -> tuple[int, int, tuple[int, str], str]:
        """Sort key of wheels, best *first*: the best tag, then the highest build, then the last file name."""
        rank = self.facts.rank(file.tag)
        build = file.build or (-1, "")
        return (1 << 30 if rank is None else rank, -build[0], build, file.filename)

    def metadata_file(self, version: int) -> DistFile:
        """Choose the file whose metadata stands for a version: the best wheel, else any wheel, else the sdist."""
        known = self._metadata_files.get(version)
        if known is None:
            files = self.files(version) or self.universe.by_version[version]
            wheels = [file for file in files if file.kind == "wheel"]
            if not wheels:
                every = self.universe.by_version[version]
                wheels = sorted(
                    (f for f in every if f.kind == "wheel"), key=lambda f: (f.yanked is not None, f.filename)
                )
            known = self._metadata_files[version] = wheels[0] if wheels else files[0]
        return known

    def dependencies(self, version: int) -> Dependencies | Unusable | None:
        """Give what a version depends on, or why it is out; None when its metadata has to be fetched first."""
        known = self._dependencies.get(version)
        if known is None:
            if not self.universe.known:
                return None
            file = self.metadata_file(version)
            metadata = self.metadata(file)
            if metadata is None:
                return None
            known = self._read(file, metadata)
            if not isinstance(metadata, NoMetadata):  # the real thing may still come
                self._dependencies[version] = known
        return known

    def metadata(self, file: DistFile) -> CoreMetadata | NoMetadata | None:
        """Give what is known of a file's core metadata here; what only a build tells may differ elsewhere."""
        known = self.universe.metadata(file)
        if isinstance(known, NoMetadata) and known.needs_build:
            return self.universe.built_metadata(file, self.facts.target.scope) or known
        return known

    def ways_of(self, version: int, other: Universe, extra: NormalizedName | None = None) -> tuple[Way, ...]:
        """Give how one version whose metadata is known depends on another project, or how an extra of it does."""
        told = self.dependencies(version)
        assert isinstance(told, Dependencies)
        stated = told.base if extra is None else told.of_extra(extra)
        return _ways(dict.fromkeys(stated, 2 << version), other)

    def ways(self, other: Universe, extra: NormalizedName | None = None) -> tuple[Way, ...]:
        """Give how all usable versions whose metadata is known depend on another project, or how an extra does."""
        stated, revision, key = self._all_stated(extra), other.listing.revision, (other.project, extra)
        known = self._ways.get(key)
        if known is not None and known[0] is stated and known[1] == revision:
            return known[2]
        if len(self._ways) >= _MOST_WAYS:
            self._ways = {}
        ways = _ways(stated, other)
        self._ways[key] = stated, revision, ways
        return ways

    def _all_stated(self, extra: NormalizedName | None) -> Mapping[Dependency, int]:
        """Give each dependency that some version states with the versions that do."""
        known = self.universe.known
        held = self._stated.get(extra)
        if held is not None and held[0] == known:
            return held[1]
        stated: dict[Dependency, int] = {}
        for i in range(len(self.universe.versions)):
            bit = 2 << i
            told = self.dependencies(i) if self.usable & bit else None
            if isinstance(told, Dependencies):
                for dependency in told.base if extra is None else told.of_extra(extra):
                    stated[dependency] = stated.get(dependency, 0) | bit
        if len(self._stated) >= _MOST_WAYS:
            self._stated = {}
        self._stated[extra] = known, stated
        return stated

    def find_pin(self, key: PinKey) -> Pin | None:
        """Give a pin that was kept."""
        return self._pins.get(key)

    def keep_pin(self, key: PinKey, pin: Pin) -> None:
        """Keep a pin for other answers that say the same of this project."""
        if len(self._pins) >= _MOST_PINS:
            self._pins = {}
        self._pins[key] = pin

    def _read(self, file: DistFile, metadata: CoreMetadata | NoMetadata) -> Dependencies | Unusable:
        if isinstance(metadata, NoMetadata):
            return Unusable(metadata.reason, NEEDS_BUILD if metadata.needs_build else "no-metadata")
        if metadata.project != file.project or metadata.version != file.version:
            return Unusable(
                f"its metadata says that it is {metadata.project} {metadata.version}", "wrong-metadata"
            )
        if not self.facts.runs(metadata.requires_python, upper_bounds=self.rules.python_upper_bounds):
            return Unusable(f"it needs Python {metadata.requires_python}", "python")
        base, conditional = [], []
        for text in metadata.requires_dist:
            dependency = parse_dependency(text)
            if isinstance(dependency, str):
                return Unusable(dependency, "wrong-metadata")
            if self.facts.holds(dependency):
                if dependency.url is not None:
                    return Unusable(
                        f"it depends on {dependency.project} by URL, which only a request may do",
                        "url",
                    )
                base.append(dependency)
            elif dependency.names_extra:
                conditional.append(dependency)
        return Dependencies(tuple(base), tuple(conditional), frozenset(metadata.provides_extra), self.facts)


def _ways(stated: Mapping[Dependency, int], other: Universe) -> tuple[Way, ...]:
    return tuple(
        (versions, other.mask(dependency.specifier), dependency)
        for dependency, versions in stated.items()
        if dependency.project == other.project and dependency.url is None
    )


class Lens:
    """A target and file rules, through which a universe becomes a view. There is one object for equal ones."""

    __slots__ = ("facts", "rules")

    def __init__(self, facts: TargetFacts, rules: FileRules) -> None:
        self.facts = facts
        self.rules = rules

    def view(self, universe: Universe) -> View:
        """Give the view of a universe, remembered there."""
        view = universe.find_view(self)
        if view is None:
            view = View(universe, self.facts, self.rules)
            universe.keep_view(self, view)
        return view


lens_of = lru_cache(maxsize=4096)(Lens)
