"""Small random worlds of releases, with all that makes resolvers differ, for runs against real tools."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping

from tests.resolve.worlds import Release
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel
from tests.support.world import World

__all__ = ["PYTHON", "RandomWorld", "add_to_index", "random_world"]

RandomWorld = tuple[Mapping[str, Mapping[str, Release]], tuple[str, ...]]
"""Project → version → release, and what is asked for."""

PYTHON = ".".join(map(str, sys.version_info[:3]))
"""Whose worlds these are: the interpreter that runs, since pip answers for the one that it runs on."""

_THIS, _NEXT = (f"{sys.version_info[0]}.{sys.version_info[1] + more}" for more in (0, 1))
_VERSIONS = (
    "0.9", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.0+local", "1.1.dev1", "1.1", "1.2b2", "1.2", "2.0a1", "2.0",
    "2.0.1", "1!0.5", "3.0.dev2", "3.0rc1",
)  # fmt: skip
_PRERELEASES = ("1.0a1", "1.1.dev1", "1.2b2")
_FINAL = ("0.9", "1.0", "1.0.post1", "1.1", "1.2", "2.0", "2.0.1")
_OPERATORS = {">=": 9, "<": 3, "==": 3, "~=": 2, "!=": 2, "<=": 1, ">": 1, "==*": 1, "!=*": 1}
"""With how often each is met."""
_PYTHONS = (
    None, None, None, ">=3.8", f">={_NEXT}", f"<{_THIS}", f">=3.9,<{_NEXT}", f"!={_THIS}.*", f">={_THIS}.1",
)  # fmt: skip
_TAGS = tuple(
    f"cp{python}-cp{python}-{platform}".replace(".", "")
    for python, platform in (
        (_THIS, "manylinux_2_17_x86_64"),
        (_NEXT, "manylinux_2_17_x86_64"),
        (_THIS, "win_amd64"),
    )
)
_MARKERS = (
    "sys_platform == 'linux'", "sys_platform == 'win32'", f"python_version < '{_THIS}'",
    f"python_version >= '{_THIS}'", "os_name == 'posix' and platform_machine == 'x86_64'",
    f"python_full_version >= '{_THIS}.4'",
)  # fmt: skip
_EXTRAS = ("x", "y")
_BEHIND_THE_RELEASE = ("+", "a", "b", "rc", ".dev", ".post")


def random_world(seed: int) -> RandomWorld:
    """Make a world: the same for the same seed and Python. The names of its projects are its own."""
    chance = random.Random(seed)
    names = [f"w{seed}-{letter}" for letter in "abcdef"[: chance.randint(2, 6)]]
    wild = chance.random() < 0.6
    projects = {name: _project(chance, [other for other in names if other != name], wild) for name in names}
    asked = chance.sample(names, chance.randint(1, min(3, len(names))))
    roots = tuple(_requirement(chance, name, wild, markers=0.05) for name in asked)
    if chance.random() < 0.1:
        roots += (f"w{seed}-nowhere",) if chance.random() < 0.3 else (_requirement(chance, asked[0], wild),)
    return projects, roots


def add_to_index(projects: Mapping[str, Mapping[str, Release]], index: World) -> None:
    """Build the distributions of a world and list them."""
    for name, releases in projects.items():
        for version, told in releases.items():
            said = {"requires": told.requires, "extras": told.extras, "requires_python": told.requires_python}
            for tag in told.tags:
                index.add(make_wheel(name, version, tag=tag, **said), yanked=told.yanked)  # type: ignore[arg-type]
            if told.sdist:
                index.add(make_sdist(name, version, **said), yanked=told.yanked)  # type: ignore[arg-type]


def _project(chance: random.Random, names: list[str], wild: bool) -> dict[str, Release]:
    pool = _VERSIONS if wild else _FINAL
    versions = chance.sample(pool, chance.randint(2, min(9, len(pool))))
    return {version: _release(chance, names, wild) for version in versions}


def _release(chance: random.Random, names: list[str], wild: bool) -> Release:
    def some(most: int) -> list[str]:
        return [_requirement(chance, chance.choice(names), wild) for _ in range(chance.choice((0, 1, 1, most)))]

    return Release(
        requires=some(2),
        extras={extra: some(2) for extra in _EXTRAS if chance.random() < 0.25},
        requires_python=chance.choice(_PYTHONS) if wild else None,
        yanked="broken" if chance.random() < (0.1 if wild else 0.3) else None,
        tags=("py3-none-any",) if chance.random() < 0.85 else (chance.choice(_TAGS),),
        sdist=chance.random() < 0.3,
    )


def _requirement(chance: random.Random, name: str, wild: bool, *, markers: float = 0.2) -> str:
    text = name
    if chance.random() < 0.15:
        text += f"[{','.join(chance.sample(_EXTRAS, chance.randint(1, 2)))}]"
    if chance.random() < 0.55:
        text += ",".join(_specifier(chance, wild) for _ in range(1 if chance.random() < 0.9 else 2))
    if chance.random() < markers:
        text += f" ; {chance.choice(_MARKERS)}"
    return text


def _specifier(chance: random.Random, wild: bool) -> str:
    if chance.random() < 0.3:  # the ways to give leave for a release that is not offered to everybody
        return f">={chance.choice(_PRERELEASES)}" if wild else f"=={chance.choice(_FINAL)}"
    version = chance.choice(_VERSIONS if wild and chance.random() < 0.4 else _FINAL)
    (operator,) = chance.choices(tuple(_OPERATORS), tuple(_OPERATORS.values()))
    public = version.split("+")[0]  # only equality may name a local version (PEP 440)
    if operator.endswith("*"):
        for behind in _BEHIND_THE_RELEASE:
            public = public.split(behind)[0]
        return f"{operator[:2]}{public}.*"
    return f"{operator}{version if operator in ('==', '!=') else public}"
