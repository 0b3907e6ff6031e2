"""Scripts that name their interpreter: written per prefix, from entry points and from `#!python` files.

Standards: entry points specification; scripts of a wheel (PEP 427). Launchers for Windows are those of the
`installer` library.
"""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from functools import lru_cache
from typing import Literal

from installer.scripts import Script

from venvery.environments.layers import EntryPoint, ScriptBody, exe_name

__all__ = ["body_of", "nt_script", "posix_script", "relocatable_script", "script_code"]

Kind = Literal["console", "gui"]

_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")
"""A line that names the encoding of a source file (PEP 263). A path may happen to look like one."""
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
    short = len(line) <= _SHEBANG_LIMIT and not any(character.isspace() for character in python)
    if plain and short and not _COOKIE.match(line):
        return line + body
    return _by_shell(f"exec {shlex.quote(python)}", body)


def relocatable_script(body: bytes) -> bytes:
    """Write a script that is run by the `python` beside it, wherever that is, also when called by a link."""
    return _by_shell(
        'p=$0;case $p in */*);;*)p=./$p;;esac;while [ -h "$p" ];do l=$(readlink -- "$p")||break;'
        'case $l in /*)p=$l;;*)p=${p%/*}/$l;;esac;done;exec "${p%/*}/python"',
        body,
    )


def _by_shell(command: str, body: bytes) -> bytes:
    """Write a script that /bin/sh begins: its second line has the shell replace itself by the interpreter.

    To Python that line is a comment, because a form feed before `#` is white space to it: nothing stands before
    the docstring and the `from __future__` imports of the body. To a shell the form feed is no blank, so that
    it begins a word: the name of a command which does not exist, and after which the others follow. The
    encoding (PEP 263) is what the body says on its first line, which is then too far down to count.
    """
    said = _COOKIE.match(body.partition(b"\n")[0])
    encoding = said[1] if said else b"utf-8"
    return b'#!/bin/sh\n\f#coding=%b 2>/dev/null||:;%b "$0" "$@"\n%b' % (encoding, command.encode(), body)


def nt_script(python: str, name: str, kind: Kind, body: bytes) -> tuple[str, bytes]:
    """Write a script as a launcher; gives its file name too.

    `python` is the path of python.exe; the launcher knows `<launcher_dir>` for its own folder.
    """
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
