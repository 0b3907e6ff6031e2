"""Tiny real source distributions with a build backend inside (PEP 517, 625, 643)."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, get_args

from tests.support.wheels import BuiltFile, core_metadata, module_name

__all__ = ["Backend", "BrokenSdist", "make_sdist"]

Backend = Literal[
    "in-tree",  # builds a proper wheel with nothing but the standard library
    "failing",  # raises, after a line on stderr
    "slow",  # sleeps for a minute before it builds
    "network",  # fails unless it can open a connection to the address in $VENVERY_TEST_REACH
    "lying",  # builds a wheel of another version than the sdist's
    "setup.py",  # no pyproject.toml: setuptools, by default
]
BrokenSdist = Literal[
    "no-pkg-info",
    "wrong-name",
    "wrong-version",
    "parent-member",
    "absolute-member",
    "symlink-member",
    "device-member",
    "two-top-folders",
    "truncated",
    "not-a-tar",
    "bad-metadata",
]


def make_sdist(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    extras: Mapping[str, Iterable[str]] | None = None,
    requires_python: str | None = None,
    static: bool = True,
    metadata_version: str = "2.2",
    backend: Backend = "in-tree",
    build_requires: Iterable[str] = (),
    files: Mapping[str, bytes | str] | None = None,
    broken: Collection[BrokenSdist] = (),
) -> BuiltFile:
    """Build an sdist.

    `static`: the PKG-INFO states the dependencies and declares nothing dynamic; otherwise it leaves them
    out and says `Dynamic: Requires-Dist` (from metadata 2.2 on; before, it cannot say so), and only a build
    tells.
    """
    unknown = set(broken) - set(get_args(BrokenSdist))
    if unknown:
        raise ValueError(f"no such defect: {sorted(unknown)}")
    requires = [*requires, *(["((not a requirement"] if "bad-metadata" in broken else [])]
    new = metadata_version not in ("1.0", "1.1", "1.2", "2.0", "2.1")
    full = core_metadata(name, version, requires=requires, extras=extras, requires_python=requires_python)
    pkg_info = core_metadata(
        "other-project" if "wrong-name" in broken else name,
        "999.0" if "wrong-version" in broken else version,
        requires=requires if static else (),
        extras=extras if static else None,
        requires_python=requires_python,
        metadata_version=metadata_version,
        dynamic=("Requires-Dist", "Provides-Extra") if new and not static else (),
    )
    top = f"{module_name(name)}-{version}"
    contents: dict[str, bytes] = {}
    if "no-pkg-info" not in broken:
        contents["PKG-INFO"] = pkg_info
    package = files if files is not None else {f"{module_name(name)}/__init__.py": f'__version__ = "{version}"\n'}
    for path, content in package.items():
        contents[f"src/{path}"] = content.encode() if isinstance(content, str) else content
    contents |= _backend_files(name, version, full, backend, list(build_requires))
    data = _pack({f"{top}/{path}": content for path, content in contents.items()}, top, broken)
    return BuiltFile(f"{top}.tar.gz", data, pkg_info)


def _backend_files(
    name: str, version: str, metadata: bytes, backend: Backend, build_requires: list[str]
) -> dict[str, bytes]:
    if backend == "setup.py":
        arguments = f"name={name!r}, version={version!r}, package_dir={{'': 'src'}}"
        call = f"setup({arguments}, packages=[{module_name(name)!r}])"
        return {"setup.py": f"from setuptools import setup\n\n{call}\n".encode()}
    pyproject = (
        f"[build-system]\nrequires = {build_requires!r}\n"
        'build-backend = "tiny_backend"\nbackend-path = ["backend"]\n'
    )
    built = "999.0" if backend == "lying" else version
    source = _BACKEND.format(stem=f"{module_name(name)}-{built}", behaviour=_BEHAVIOUR.get(backend, "    pass"))
    if backend == "lying":
        metadata = metadata.replace(f"Version: {version}".encode(), b"Version: 999.0")
    return {
        "pyproject.toml": pyproject.encode(),
        "backend/tiny_backend.py": source.encode(),
        "backend/METADATA": metadata,
    }


_BEHAVIOUR = {
    "failing": '    print("the compiler is not here", file=sys.stderr)\n    raise SystemExit(1)',
    "slow": "    time.sleep(60)",
    "network": (
        '    host, port = os.environ.get("VENVERY_TEST_REACH", "127.0.0.1:9").rsplit(":", 1)\n'
        "    socket.create_connection((host, int(port)), timeout=5).close()"
    ),
}

_BACKEND = '''\
"""Build a wheel with the standard library alone."""

import base64, hashlib, os, socket, sys, time, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
STEM = "{stem}"
INFO = STEM + ".dist-info"
WHEEL = b"Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def behave():
{behaviour}


def wheel_members():
    source = os.path.join(os.path.dirname(HERE), "src")
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, source).replace(os.sep, "/"), file.read()
    with open(os.path.join(HERE, "METADATA"), "rb") as file:
        yield INFO + "/METADATA", file.read()
    yield INFO + "/WHEEL", WHEEL


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    behave()
    folder = os.path.join(metadata_directory, INFO)
    os.makedirs(folder)
    for path, content in wheel_members():
        if path.startswith(INFO + "/"):
            with open(os.path.join(metadata_directory, path), "wb") as file:
                file.write(content)
    return INFO


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    behave()
    record = []
    filename = STEM + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as archive:
        for path, content in wheel_members():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append("%s,sha256=%s,%d" % (path, digest, len(content)))
            archive.writestr(zipfile.ZipInfo(path), content)
        record.append(INFO + "/RECORD,,")
        archive.writestr(zipfile.ZipInfo(INFO + "/RECORD"), "\\n".join(record) + "\\n")
    return filename


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError
'''


def _pack(contents: Mapping[str, bytes], top: str, broken: Collection[BrokenSdist]) -> bytes:
    if "not-a-tar" in broken:
        return gzip.compress(b"This is not a tar file.\n" * 50, mtime=0)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in {**contents, **_further_members(broken)}.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(content), 0o644, 315532800
            archive.addfile(member, io.BytesIO(content))
        for member in _special_members(top, broken):
            archive.addfile(member)
    packed = gzip.compress(buffer.getvalue(), mtime=0)
    return packed[: len(packed) * 2 // 3] if "truncated" in broken else packed


def _further_members(broken: Collection[BrokenSdist]) -> dict[str, bytes]:
    further = {}
    if "parent-member" in broken:
        further["../escaped.txt"] = b"escaped\n"
    if "absolute-member" in broken:
        further["/tmp/venvery-escaped.txt"] = b"escaped\n"
    if "two-top-folders" in broken:
        further["another-1.0/PKG-INFO"] = core_metadata("another", "1.0")
    return further


def _special_members(top: str, broken: Collection[BrokenSdist]) -> list[tarfile.TarInfo]:
    special = []
    if "symlink-member" in broken:
        link = tarfile.TarInfo(f"{top}/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        special.append(link)
    if "device-member" in broken:
        device = tarfile.TarInfo(f"{top}/device")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
        special.append(device)
    return special
