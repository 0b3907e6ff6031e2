"""Source distributions whose build back ends mean ill. Each does one thing, within strict bounds of the tests."""

from __future__ import annotations

import gzip
import io
import tarfile

from tests.support.wheels import BuiltFile, core_metadata

__all__ = ["hostile_sdist"]

_BACKEND = """\
import base64, hashlib, os, sys, time, zipfile

NAME, VERSION = {name!r}, {version!r}
INFO = NAME + "-" + VERSION + ".dist-info"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    path = os.path.join(wheel_directory, NAME + "-" + VERSION + "-py3-none-any.whl")
    extra = attack(path) or {{}}
    if os.path.lexists(path):
        return os.path.basename(path)
    metadata = "Metadata-Version: 2.1\\nName: " + NAME + "\\nVersion: " + VERSION + "\\n"
    wheel = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files = {{NAME + ".py": "", INFO + "/METADATA": metadata, INFO + "/WHEEL": wheel}}
    files.update(extra)
    record = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record.append("%s,sha256=%s,%d" % (name, digest, len(text.encode())))
            archive.writestr(name, text)
        archive.writestr(INFO + "/RECORD", "\\n".join(record + [INFO + "/RECORD,,", ""]))
    return os.path.basename(path)


def attack(path):
{attack}
"""


def hostile_sdist(name: str, attack: str, version: str = "1.0") -> BuiltFile:
    """Make an sdist whose build runs `attack` first; it may give files (path → text) to put into the wheel."""
    body = "".join(f"    {line}\n" for line in attack.strip().splitlines())
    backend = _BACKEND.format(name=name, version=version, attack=body)
    pkg_info = core_metadata(name, version, metadata_version="2.2")
    contents = {
        "PKG-INFO": pkg_info,
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n',
        "evil.py": backend.encode(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in contents.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return BuiltFile(f"{name}-{version}.tar.gz", gzip.compress(buffer.getvalue(), mtime=0), pkg_info)
