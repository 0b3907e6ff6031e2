"""Activation scripts, filled in for one prefix and quoted for each shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Literal

__all__ = ["activation_scripts", "template"]

_UNSHOWN = re.compile(r"[^\w.+@ -]")


def activation_scripts(prefix: str, prompt: str, os: Literal["posix", "nt"]) -> dict[str, bytes]:
    """Give the scripts by file name. `prefix` is checked; `prompt` is any line of text."""
    scripts = "Scripts" if os == "nt" else "bin"
    # Shells expand their prompts, so that what is shown in one has only characters that no shell looks at.
    shown = _UNSHOWN.sub("_", prompt)
    filled = {
        "activate": _fill("activate.sh", shlex.quote, prefix, prompt, shown, scripts),
        "Activate.ps1": _fill("Activate.ps1", _quote_powershell, prefix, prompt, shown, scripts),
    }
    if os == "nt":
        # These find their folder themselves: cmd reads them in whatever code page it is in.
        ascii_only = shown.encode("ascii", "replace").decode().replace("?", "_")
        for name in ("activate.bat", "deactivate.bat"):
            text = _fill(name, str, prefix, prompt, ascii_only, scripts).decode()
            filled[name] = text.replace("\n", "\r\n").encode()
    else:
        filled["activate.fish"] = _fill("activate.fish", _quote_fish, prefix, prompt, shown, scripts)
        filled["activate.csh"] = _fill("activate.csh", _quote_csh, prefix, prompt, shown, scripts)
    return filled


@lru_cache(maxsize=16)
def template(name: str) -> str:
    """Read a template of this package."""
    return resources.files("venvery.environments").joinpath("templates", name).read_text(encoding="utf-8")


def _fill(name: str, quote: Callable[[str], str], prefix: str, prompt: str, shown: str, scripts: str) -> bytes:
    values = {"PREFIX": quote(prefix), "PROMPT": quote(prompt), "SHOWN": shown, "SCRIPTS": scripts}
    # In one pass, so that a prefix that contains `@PROMPT@` stays what it is.
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], template(name)).encode()


def _quote_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_csh(text: str) -> str:
    """Quote for csh, whose history expansion looks into single quotes."""
    return "'" + text.replace("'", "'\\''").replace("!", "\\!") + "'"


def _quote_powershell(text: str) -> str:
    """Quote for PowerShell, which takes typographic quotes for quotes."""
    return "'" + re.sub("['\u2018\u2019\u201a\u201b]", r"\g<0>\g<0>", text) + "'"
