"""Places on the client: the folder where an environment will live, and the interpreter that it rests on."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from venvery.errors import BadPrefix

__all__ = ["check_prefix", "check_python"]

Os = Literal["posix", "nt"]

LONGEST = 1024
"""UTF-8 bytes of a prefix: leaves room in Linux's 4096 for the longest path of any wheel."""

_DRIVE = re.compile(r"[A-Za-z]:\\")
_UNC = re.compile(r"\\\\[^\\?.][^\\]*\\[^\\]+\\")
_NT_FORBIDDEN = re.compile(r'[<>:"|?*]')
_NT_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?\Z", re.IGNORECASE)


def check_prefix(prefix: str, os: Os) -> str:
    """Check and normalise the folder where an environment will live.

    The answer has one way of writing: single separators (`\\` on nt), none at the end. Raises `BadPrefix`.
    """
    checked = _check(prefix, os, "prefix")
    separator = ";" if os == "nt" else ":"
    if separator in checked:
        raise BadPrefix(
            f"the prefix {_shown(prefix)} contains {separator!r}, which separates the folders of PATH",
            hint="no such folder can stand on PATH, so nothing in it would be found",
        )
    return checked


def check_python(python: str, os: Os) -> str:
    """Check and normalise the path of the base interpreter on the client. Raises `BadPrefix`."""
    if python.endswith(("/", "\\") if os == "nt" else "/"):
        raise BadPrefix(
            f"the interpreter path {_shown(python)} names a folder", hint="name the interpreter itself"
        )
    return _check(python, os, "interpreter path")


def _check(path: str, os: Os, what: str) -> str:
    for character in path:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise BadPrefix(
                f"the {what} {_shown(path)} contains a control character or line break",
                hint="choose a path of printable characters",
            )
    if len(path.encode()) > LONGEST:
        raise BadPrefix(f"the {what} is longer than {LONGEST} bytes", hint="choose a shorter path")
    normal = _normalise_nt(path, what) if os == "nt" else _normalise_posix(path, what)
    if normal != normal.strip():
        raise BadPrefix(
            f"the {what} {_shown(path)} begins or ends with a space", hint="pyvenv.cfg could not hold it"
        )
    return normal


def _normalise_posix(path: str, what: str) -> str:
    if not path.startswith("/"):
        raise BadPrefix(f"the {what} {_shown(path)} is not absolute", hint="begin it with /")
    parts = [part for part in path.split("/") if part]
    _check_parts(parts, path, what)
    return "/" + "/".join(parts)


def _normalise_nt(path: str, what: str) -> str:
    text = path.replace("/", "\\")
    match = _DRIVE.match(text) or _UNC.match(text + "\\")
    if match is None:
        raise BadPrefix(
            f"the {what} {_shown(path)} is not absolute",
            hint=r"begin it with a drive, as in C:\env, or a share, as in \\server\share\env",
        )
    parts = [part for part in text[match.end() :].split("\\") if part]
    _check_parts(parts, path, what)
    for part in parts:
        if _NT_FORBIDDEN.search(part) or part[-1] in ". " or _NT_DEVICES.match(part):
            raise BadPrefix(
                f"the {what} {_shown(path)} contains {part!r}, which Windows does not allow as a name",
                hint='names there are without < > : " | ? * and do not end in a dot or a space',
            )
    return match[0] + "\\".join(parts)


def _check_parts(parts: list[str], path: str, what: str) -> None:
    if not parts:
        raise BadPrefix(f"the {what} {_shown(path)} is the root itself", hint="name a folder in it")
    for part in parts:
        if part in (".", ".."):
            raise BadPrefix(f"the {what} {_shown(path)} contains {part!r}", hint="write the path out in full")
        if len(part.encode()) > 255:
            raise BadPrefix(f"the {what} has a part longer than 255 bytes", hint="choose shorter names")


def _shown(path: str) -> str:
    return ascii(path if len(path) <= 80 else path[:77] + "...")
