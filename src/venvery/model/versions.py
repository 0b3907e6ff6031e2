"""Versions (PEP 440): parsed once, and a sort key that any database orders rightly as plain ASCII text."""

from __future__ import annotations

from functools import lru_cache

from packaging.version import InvalidVersion, Version

__all__ = ["InvalidVersion", "Version", "parse_version", "sort_key"]


@lru_cache(maxsize=262144)
def parse_version(text: str) -> Version:
    """Parse a version, remembering it. Raises `InvalidVersion` for what PEP 440 does not allow."""
    return Version(text)


def _number(value: int) -> str:
    """Encode a non-negative integer so that text order is number order.

    The length of the decimal digits comes first: one letter for up to 25 digits (`a` is one digit), and for
    longer ones `z` for every further 25.
    """
    digits = str(value)
    full, rest = divmod(len(digits) - 1, 25)
    return "z" * full + chr(ord("a") + rest) + digits


def sort_key(version: Version) -> str:
    """Give the text whose byte order is the order of PEP 440 ("Summary of permitted suffixes and ordering").

    The parts are epoch, release without trailing zeros, pre, post, dev, local. Every part ends in a
    character that sorts below all that may continue it, so that a shorter part sorts first.
    """
    release = list(version.release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    if version.pre is not None:
        pre = version.pre[0][0] + _number(version.pre[1])  # a, b, r(c)
    elif version.post is None and version.dev is not None:
        pre = "!"  # 1.0.dev1 sorts before 1.0a1
    else:
        pre = "~"  # no pre-release sorts after all pre-releases
    post = "!" if version.post is None else "p" + _number(version.post)
    dev = "~" if version.dev is None else "d" + _number(version.dev)
    if version.local is None:
        local = "!"
    else:
        # Numbers sort after words, and a longer local version after its own prefix (PEP 440, "Local version
        # identifiers").
        local = '"' + "".join(
            ("1" + _number(int(part)) if part.isdigit() else "0" + part) + "!" for part in version.local.split(".")
        )
    return (
        _number(version.epoch) + " " + "".join(_number(part) for part in release) + "!" + pre + post + dev + local
    )
