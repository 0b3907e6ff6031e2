"""Activation scripts, filled in for one prefix and quoted for each shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Literal

__all__ = ["activation_scripts", "template"]

_FIXED = {
    "sh": "VIRTUAL_ENV=@PREFIX@\n",
    "fish": "set -gx VIRTUAL_ENV @PREFIX@\n",
    "csh": "setenv VIRTUAL_ENV @PREFIX@\n",
    "ps1": "$env:VIRTUAL_ENV = @PREFIX@\n",
}
"""What says where the environment is, in each kind of shell."""

_RELOCATABLE = {
    "sh": """\
# Where this file is, in a shell that can tell (bash, zsh, ksh93); else where the environment was made.
_venvery_here=
if [ -n "${BASH_VERSION-}" ]; then
    _venvery_here=${BASH_SOURCE-}
elif [ -n "${ZSH_VERSION-}" ]; then
    eval '_venvery_here=${(%):-%x}'
elif (eval ': "${.sh.file}"') 2>/dev/null; then
    eval '_venvery_here=${.sh.file}'
fi
case $_venvery_here in
    */*) _venvery_here=$(CDPATH= cd -- "${_venvery_here%/*}/.." && pwd) ;;
    ?*) _venvery_here=$(CDPATH= cd -- .. && pwd) ;;
    *) _venvery_here=@PREFIX@ ;;
esac
if [ ! -f "$_venvery_here/pyvenv.cfg" ]; then
    printf '%s\\n' 'This shell does not tell where this environment is now.' >&2
    printf '%s\\n' 'hint: run `venvery relocate` on it, or activate it from bash or zsh' >&2
    return 1
fi
VIRTUAL_ENV=$_venvery_here
unset _venvery_here
""",
    "fish": "set -gx VIRTUAL_ENV (builtin realpath -- (dirname -- (status filename))/..)\n",
    "csh": """\
# csh tells no file where it is: this is where the environment was made.
setenv VIRTUAL_ENV @PREFIX@
if ( ! -e "$VIRTUAL_ENV:q/pyvenv.cfg" ) then
    echo 'This environment was moved, and csh does not tell where it is: run `venvery relocate` on it.'
endif
""",
    "ps1": "$env:VIRTUAL_ENV = Split-Path -Parent $PSScriptRoot\n",
}

_UNSHOWN = re.compile(r"[^\w.+@ -]")


def activation_scripts(
    prefix: str, prompt: str, os: Literal["posix", "nt"], *, relocatable: bool = False
) -> dict[str, bytes]:
    """Give the scripts by file name. `prefix` is checked; `prompt` is any line of text.

    `relocatable`: they find out where they are when they are read, in every shell that can tell.
    """
    scripts = "Scripts" if os == "nt" else "bin"
    places = _RELOCATABLE if relocatable else _FIXED
    # Shells expand their prompts, so that what is shown in one has only characters that no shell looks at.
    shown = _UNSHOWN.sub("_", prompt)
    filled = {
        "activate": _fill("activate.sh", shlex.quote, prefix, prompt, shown, scripts, places["sh"]),
        "Activate.ps1": _fill("Activate.ps1", _quote_powershell, prefix, prompt, shown, scripts, places["ps1"]),
    }
    if os == "nt":
        # These find their folder themselves: cmd reads them in whatever code page it is in.
        ascii_only = shown.encode("ascii", "replace").decode().replace("?", "_")
        for name in ("activate.bat", "deactivate.bat"):
            text = _fill(name, str, prefix, prompt, ascii_only, scripts).decode()
            filled[name] = text.replace("\n", "\r\n").encode()
    else:
        filled["activate.fish"] = _fill(
            "activate.fish", _quote_fish, prefix, prompt, shown, scripts, places["fish"]
        )
        filled["activate.csh"] = _fill("activate.csh", _quote_csh, prefix, prompt, shown, scripts, places["csh"])
    return filled


@lru_cache(maxsize=16)
def template(name: str) -> str:
    """Read a template of this package."""
    return resources.files("venvery.environments").joinpath("templates", name).read_text(encoding="utf-8")


def _fill(
    name: str,
    quote: Callable[[str], str],
    prefix: str,
    prompt: str,
    shown: str,
    scripts: str,
    place: str = "",
) -> bytes:
    values = {"PREFIX": quote(prefix), "PROMPT": quote(prompt), "SHOWN": shown, "SCRIPTS": scripts}
    text = template(name).replace("@PLACE@\n", place)
    # In one pass, so that a prefix that contains `@PROMPT@` stays what it is.
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text).encode()


def _quote_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_csh(text: str) -> str:
    """Quote for csh, whose history expansion looks into single quotes."""
    return "'" + text.replace("'", "'\\''").replace("!", "\\!") + "'"


def _quote_powershell(text: str) -> str:
    """Quote for PowerShell, which takes typographic quotes for quotes."""
    return "'" + re.sub("['\u2018\u2019\u201a\u201b]", r"\g<0>\g<0>", text) + "'"
