"""What to say of a name that is not found: what was probably meant, and which sources were asked for it.

Only names that are at hand are compared; whether a source has one of the names that many people mean is asked for
a few of them at most. The whole list of an index's projects is never downloaded.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Any

from venvery.catalog.catalog import Catalog
from venvery.errors import Unsatisfiable, VenveryError
from venvery.model.names import NormalizedName, normalize
from venvery.resolve.wording import joined
from venvery.services.well_known import BY_MODULE, projects

__all__ = ["advise", "closest"]

_MOST = 3
_ASKED = 4
"""Names of which a source is asked whether it has them."""
_LIKE = 0.8
_WAIT = 3.0
"""Seconds that asking may take: an explanation is not to wait for it."""
_AFFIXES = ("python-", "py", "-python", "python", "-py", "3", "2")

Node = dict[str, Any]


async def advise(error: Unsatisfiable, catalog: Catalog) -> Unsatisfiable:
    """Give the error with what can be said of names that are not found, or not where they were looked for."""
    tree = error.explanation
    hints = [error.hint] if error.hint else []
    unknown = tree.get("unknown_projects", ())[:_MOST]
    for name in unknown:
        meant = await _meant(normalize(name), catalog)
        if meant:
            tree.setdefault("did_you_mean", {})[name] = meant
            which = f"for {name}, " if len(unknown) > 1 else ""
            hints.append(f"{which}did you mean {joined(meant, 'or')}?")
    for node in _nodes(tree):
        fact = node.get("fact", {})
        if fact.get("kind") in ("unknown", "no-such-version"):
            where = _where(normalize(fact["project"]), catalog)
            if where:
                node.setdefault("because", []).extend(where)
    return Unsatisfiable(str(error), explanation=tree, hint="; ".join(dict.fromkeys(hints)) or None)


def _nodes(tree: Node) -> Iterator[Node]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack += list(node.get("because", ()))


def _where(project: NormalizedName, catalog: Catalog) -> list[Node]:
    """Say which sources were not asked for a name, because another is the one for it."""
    asked = catalog.only_for(project)
    others = [name for name in catalog.source_names if name not in asked]
    if not others or not asked:
        return []
    words = "is the source" if len(asked) == 1 else "are the sources"
    says = f"{joined(asked)} {words} for this name; it is not looked up in {joined(others, 'or')}"
    return [{"says": says, "fact": {"kind": "asked", "project": project, "sources": list(asked)}}]


async def _meant(name: NormalizedName, catalog: Catalog) -> list[str]:
    """Give the names that were probably meant, likeliest first; each is known to be there."""
    near = await asyncio.to_thread(lambda: closest(name, catalog.names()))
    if not near:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT):
                listed = await catalog.short_lists()
                near = await asyncio.to_thread(closest, name, listed)
    by_module = [BY_MODULE[name]] if name in BY_MODULE else []
    likely = [normalize(one) for one in (*by_module, *closest(name, projects())) if one not in near]
    there = await _there(list(dict.fromkeys(likely))[:_ASKED], catalog)
    if by_module and by_module[0] in (*near, *there):
        return by_module
    return sorted({*near, *there}, key=lambda one: (-likeness(name, one), one))[:_MOST]


async def _there(names: Sequence[NormalizedName], catalog: Catalog) -> list[str]:
    """Give those of a few names that the sources have; none when these fail or take long."""
    if not names:
        return []
    try:
        async with asyncio.timeout(_WAIT):
            listings = await catalog.listings(names)
    except (VenveryError, TimeoutError):
        return []
    return [name for name in names if listings[name].known]


def closest(name: str, among: Iterable[str]) -> list[str]:
    """Give the names that are most like one, likeliest first, at most three."""
    bare = _bare(name)
    near = (other for other in among if _near(name, other) or (bare in other and _bare(other) == bare))
    like = sorted((-likeness(name, other), other) for other in near if other != name)
    return [other for minus, other in like[:_MOST] if -minus >= _LIKE]


def likeness(name: str, other: str) -> float:
    """Tell how alike two normalised names are, from 0 to 1."""
    if name.replace("-", "") == other.replace("-", ""):
        return 1.0
    if _bare(name) == _bare(other):
        return 0.95
    if len(name) < 3:
        return 0.0
    ratio = SequenceMatcher(None, name, other, autojunk=False).ratio()
    return ratio if sorted(name) != sorted(other) else max(ratio, 0.9)  # letters that changed places


def _near(name: str, other: str) -> bool:
    """Tell quickly whether a name may be like another: comparing takes long, and most are nothing like it."""
    length = len(name)
    if abs(len(other) - length) > 2 + length // 5 or (other[0] != name[0] and other[-2:] != name[-2:]):
        return False
    shared = sum((Counter(name) & Counter(other)).values())
    return 2 * shared >= _LIKE * (length + len(other))


def _bare(name: str) -> str:
    """Leave out what names of Python projects begin or end with."""
    bare = name
    for affix in _AFFIXES:
        bare = bare.removesuffix(affix) if affix.startswith("-") or affix.isdigit() else bare.removeprefix(affix)
    return bare.replace("-", "") or name
