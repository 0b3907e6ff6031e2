"""The client as one file, `venvery.pyz` (a zip application, PEP 441): the same bytes for the same sources."""

from __future__ import annotations

import io
import os
import zipfile

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
    files = {"__main__.py": _START, "venvery/__init__.py": _PACKAGE}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                files["venvery/client/" + name] = file.read()
    out = io.BytesIO()
    out.write(b"#!" + shebang + b"\n")
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)  # of 1980, which is the same everywhere
            info.external_attr = 0o644 << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()
