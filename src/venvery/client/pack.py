"""The client as one file, `venvery.pyz` (a zip application, PEP 441).

Beside each module lies its bytecode for the Python that packs, which saves half of the start there; any other
Python passes it over. So the same sources packed by the same Python give the same bytes.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import zipfile
from typing import Dict

__all__ = ["pack"]

_START = b"""import sys

if sys.version_info < (3, 8):
    sys.exit("venvery.pyz needs Python 3.8 or later")

from venvery.client.__main__ import main

sys.exit(main())
"""
_PACKAGE = b'"""venvery: the client alone."""\n'


def pack(shebang: bytes = b"/usr/bin/env python3") -> bytes:
    """Give the file; it may be run as it is or handed to any Python from 3.8 on."""
    folder = os.path.dirname(os.path.abspath(__file__))
    files: Dict[str, bytes] = {"__main__.py": _START, "venvery/__init__.py": _PACKAGE}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                files["venvery/client/" + name] = file.read()
    out = io.BytesIO()
    out.write(b"#!" + shebang + b"\n")
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _with_bytecode(files).items():
            info = zipfile.ZipInfo(name)  # of 1980, which is the same everywhere
            info.external_attr = 0o644 << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def _with_bytecode(files: Dict[str, bytes]) -> Dict[str, bytes]:
    both = {}
    for name, source in files.items():
        both[name] = source
        if name != "__main__.py":  # which runpy reads as it is, and which is short
            both[name + "c"] = _compiled(source, name)
    return both


def _compiled(source: bytes, name: str) -> bytes:
    """Compile a module as a file that is not compared with its source (PEP 552: unchecked hash)."""
    code = compile(source, "venvery.pyz/" + name, "exec", dont_inherit=True, optimize=0)
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    return header + marshal.dumps(code, 2)  # later forms depend on what else refers to the constants
