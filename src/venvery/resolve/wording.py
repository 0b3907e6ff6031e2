"""Words for sets of versions and for why versions are out; never a rank, never a mask."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from venvery.model.files import expand_tag
from venvery.model.policy import show_span
from venvery.model.versions import InvalidVersion, Version, parse_version
from venvery.resolve.packages import Package
from venvery.resolve.universe import Universe
from venvery.resolve.views import View

__all__ = [
    "joined",
    "no_such_version",
    "plural",
    "reasons_out",
    "versions_of",
    "versions_text",
    "wheel_pythons",
    "wheels_words",
]

_FEW = 3
_HANDFUL = 8
_SYSTEMS = (
    ("manylinux", "Linux (glibc)"),
    ("musllinux", "Linux (musl)"),
    ("macosx", "macOS"),
    ("win", "Windows"),
)


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Join words as a person would: `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def versions_of(universe: Universe, mask: int) -> list[str]:
    """Give the versions of a mask, lowest first."""
    texts, found, mask = universe.texts, [], mask & ~1
    while mask:
        low = mask & -mask
        mask ^= low
        found.append(texts[low.bit_length() - 2])
    return found


def versions_text(package: Package, mask: int, domain: int, declared: Iterable[str] = ()) -> str:
    """Name a set of a package's versions: by a declared specifier where one says just that."""
    name, mask, usable = str(package.project), mask & ~1, domain & ~1
    if mask.bit_count() == 1:
        return f"{name} {versions_of(package.universe, mask)[0]}"
    if mask and mask == usable:
        return f"every version of {name}"
    for specifier in sorted(set(declared), key=lambda text: (len(text), text)):
        if specifier and package.universe.mask(specifier) & usable == mask:
            return f"{name}{specifier}"
    versions = versions_of(package.universe, mask)
    if len(versions) <= _FEW:
        return f"{name} {joined(versions)}"
    if _contiguous(mask, usable):
        return f"{name} {versions[0]} to {versions[-1]}"
    return f"{len(versions)} versions of {name} ({versions[0]} … {versions[-1]})"


def no_such_version(package: Package, specifier: str) -> str:
    """Say that no version of a project matches, and what there is: for a pin, the closest ones."""
    versions = package.universe.versions
    if not versions:
        return f"{package.project} has no files that could be installed"
    if len(versions) <= _HANDFUL:
        return f"there is no {package.project}{specifier}, only {joined([str(version) for version in versions])}"
    near = _closest(versions, specifier)
    if near:
        words = f"the closest of its {len(versions)} versions " + ("is" if len(near) == 1 else "are")
        return f"there is no {package.project}{specifier}; {words} {joined([str(version) for version in near])}"
    span = f"{len(versions)} versions from {versions[0]} to {versions[-1]}"
    return f"there is no {package.project}{specifier}, only {span}"


def _closest(versions: Sequence[Version], specifier: str) -> list[Version]:
    """Give the versions right below and right above one that is pinned; final ones, where there are any."""
    match = re.fullmatch(r"={2,3}\s*([^\s,*]+)", specifier)
    try:
        pinned = parse_version(match[1]) if match else None
    except InvalidVersion:
        pinned = None
    if pinned is None:
        return []
    finals = [version for version in versions if not version.is_prerelease] or list(versions)
    place = bisect_left(finals, pinned)
    return [*finals[max(place - 1, 0) : place], *finals[place : place + 1]]


def plural(who: str, mask: int) -> bool:
    """Tell whether what `versions_text` says takes a plural verb."""
    return (mask & ~1).bit_count() > 1 and " " in who and not who.startswith("every ")


def _contiguous(mask: int, usable: int) -> bool:
    """Tell whether no usable version lies between those of the mask and is not one of them."""
    low = mask & -mask
    span = (1 << mask.bit_length()) - low
    return usable & span == mask & usable


def reasons_out(package: Package, mask: int, *, yanked_out: bool) -> Iterator[tuple[str, int, str]]:
    """Say why versions of a mask are not usable: kind, the versions it is about, and the words for them."""
    groups: dict[tuple[str, str], int] = {}
    for i in range(len(package.universe.versions)):
        if mask >> (i + 1) & 1:
            reason = _why_version(package.view, i, yanked_out)
            groups[reason] = groups.get(reason, 0) | 2 << i
    for (kind, words), versions in sorted(groups.items(), key=lambda item: -item[1]):
        yield kind, versions, words


def _why_version(view: View, version: int, yanked_out: bool) -> tuple[str, str]:
    files = view.universe.by_version[version]
    why = {file.filename: view.why_not_file(file) for file in files}
    kinds = set(why.values())
    if None in kinds:
        refused = view.why_not_offered(version)
        if refused is not None:
            return "blocked", refused
        if yanked_out and not view.plain & (2 << version):
            return "yanked", _yanked(view, version)
        if view.universe.versions[version].is_prerelease:
            return "prerelease", "a pre-release, and pre-releases are not allowed"
        return "out", "not to be used here"
    target, rules = view.facts.target, view.rules
    if kinds == {"source"}:
        there = joined(sorted({file.source for file in files}))
        return "source", f"only in {there}, and {view.universe.project} is to come from {rules.source}"
    if "cool-down" in kinds and rules.cool_down is not None:
        return "cool-down", f"too new: the cool-down is {show_span(rules.cool_down.span)}"
    if "newer" in kinds:
        return "newer", f"not there before {rules.exclude_newer:%Y-%m-%d %H:%M %Z}".rstrip()
    if "hash" in kinds:
        return "hash", "without a file that has one of the demanded hashes"
    if kinds == {"python"} or ("python" in kinds and "tag" not in kinds):
        needs = sorted({file.requires_python or "" for file in files if why[file.filename] == "python"})
        return "python", f"for Python {joined(needs, 'or')}, and this is Python {target.python}"
    if "sdist" in kinds and "tag" in kinds:
        return "sdist", f"without a wheel for {target}, and source distributions are not allowed for it"
    if "sdist" in kinds:
        return "sdist", "there as a source distribution only, which is not allowed for it"
    if "wheel" in kinds:
        return "wheel", "there as wheels only, which are not allowed for it"
    return "tag", f"without a wheel for {target}"


def wheels_words(view: View, versions: int) -> str | None:
    """Say what the wheels of one version are for, where the target can use none of them."""
    if (versions & ~1).bit_count() != 1:
        return None
    if pythons := wheel_pythons(view, versions):
        return f"it has some for Python {joined(pythons)}"
    tags = _wheel_tags(view, versions)
    here = [platform for *_, platform in tags if _is_here(view, platform)]
    systems = sorted({name for _p, _a, platform in tags for start, name in _SYSTEMS if platform.startswith(start)})
    return f"it has some for {joined(systems)}" if systems and not here else None


def wheel_pythons(view: View, versions: int) -> list[str]:
    """Give the Pythons, oldest first, for which some versions have wheels for the target's platform."""
    here = {python for python, _abi, platform in _wheel_tags(view, versions) if _is_here(view, platform)}
    numbers = sorted({(int(tag[2]), int(tag[3:])) for tag in here if re.fullmatch(r"cp[23]\d+", tag)})
    return [f"{major}.{minor}" for major, minor in numbers]


def _wheel_tags(view: View, versions: int) -> list[list[str]]:
    files = (view.universe.by_version[rank] for rank in range(versions.bit_length() - 1) if versions >> rank & 2)
    wheels = (file for group in files for file in group if file.kind == "wheel")
    return [tag.split("-", 2) for file in wheels for tag in expand_tag(file.tag)]


def _is_here(view: View, platform: str) -> bool:
    return platform != "any" and view.facts.rank(f"py3-none-{platform}") is not None


def _yanked(view: View, version: int) -> str:
    reason = next((file.yanked for file in view.universe.by_version[version] if file.yanked), "")
    return f"yanked ({reason})" if reason else "yanked"
