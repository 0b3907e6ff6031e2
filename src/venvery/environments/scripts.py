"""Scripts that name their interpreter: written per prefix, from entry points and from `#!python` files.

Standards: entry points specification; scripts of a wheel (PEP 427). Launchers for Windows are those of the
`installer` library.
"""

from __future__ import annotations

import io
import shlex
import zipfile
from functools import lru_cache
from typing import Literal

from installer.scripts import Script

from venvery.environments.layers import EntryPoint, ScriptBody, exe_name

__all__ = ["nt_script", "posix_script", "script_code"]

Kind = Literal["console", "gui"]

_SHEBANG_LIMIT = 127
"""Bytes of a first line that every kernel reads; newer ones read more."""


def script_code(point: EntryPoint) -> bytes:
    """Write the program that calls an entry point."""
    first = point.attr.split(".")[0]
    return (
        f"import sys\n\nfrom {point.module} import {first}\n\n"
        f'if __name__ == "__main__":\n    sys.exit({point.attr}())\n'
    ).encode()


def posix_script(python: str, body: bytes, *, plain: bool = True) -> bytes:
    """Write a script that `python` runs.

    `plain=False`: the interpreter may itself be a script, on a system whose kernel does not take that.
    """
    line = b"#!" + python.encode() + b"\n"
    if plain and len(line) <= _SHEBANG_LIMIT and not any(character.isspace() for character in python):
        return line + body
    # A first line cannot hold this path. So /bin/sh reads the second line as a command that replaces it, and
    # Python reads it as a string. A backslash must not reach Python's string as one.
    quoted = shlex.quote(python).replace("\\", '\'"$(printf "\\134")"\'')
    return b"#!/bin/sh\n'''exec' " + quoted.encode() + b' "$0" "$@" #\'\'\'\n' + body


def nt_script(python: str, name: str, kind: Kind, body: bytes) -> tuple[str, bytes]:
    """Write a script as a launcher; gives its file name too. `python` is the path of python.exe."""
    if kind == "gui":
        folder, _, _ = python.rpartition("\\")
        python = folder + "\\pythonw.exe"
    shebang = f'#!"{python}"\n' if any(character.isspace() for character in python) else f"#!{python}\n"
    return exe_name(name), _launcher(kind) + shebang.encode() + _zipped(body)


def body_of(script: ScriptBody | EntryPoint) -> bytes:
    """Give the program of either kind of script."""
    return script.body if isinstance(script, ScriptBody) else script_code(script)


def _zipped(code: bytes) -> bytes:
    """Pack a program for a launcher, the same bytes at any time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", (2000, 1, 1, 0, 0, 0)), code)
    return packed.getvalue()


@lru_cache(maxsize=2)
def _launcher(kind: Kind) -> bytes:
    """Give the launcher alone: what `installer` writes before the line that names the interpreter."""
    _name, data = Script("script", "module", "attr", kind).generate("@interpreter@", "win-amd64")
    return data[: data.rindex(b"#!@interpreter@\n")]
