"""Proves that an environment on disk is the one that its manifest names, byte for byte and bit for bit.

The manifest has no list of files. But a layer's fragment is decided by its files alone, so it is put together
again from the disk, and its digest is that of the manifest exactly when every path, byte and executable bit is.
Which files a layer has is read from its RECORD: it is one of them, so that a lie in it shows in the digest too.
The head is made anew from the parts, whose digest is in the manifest, and compared file by file.

Only where a digest is another one are single files looked at, to say which: by the hashes in RECORD, if that is
the one whose SHA-256 the manifest has, and by compiling modules anew.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from venvery.environments import tar
from venvery.environments.bytecode import pyc_path
from venvery.environments.head import HeadFile, head_files
from venvery.environments.installed import DOCUMENTS, Installed, read_document
from venvery.environments.manifest import Layer
from venvery.environments.sbom import write_sbom
from venvery.errors import StorageFailed
from venvery.model.names import normalize
from venvery.model.versions import InvalidVersion, parse_version

__all__ = ["Checked", "Compile", "Finding", "Kind", "check_installed"]

Kind = Literal["differs", "missing", "extra", "mode", "compiled", "unproven"]
"""`extra`: in no layer; `mode`: the executable bit; `compiled`: bytecode that an interpreter has made since."""

Compile = Callable[[Sequence[tuple[str, bytes]]], Iterable[bytes] | None]
"""Compiles modules (path relative to site-packages, source) with an interpreter of the family, if there is one."""

_OWN = frozenset({"sync.json", *DOCUMENTS})
_CHUNK = 1 << 20
_LARGEST_RECORD = 256 << 20
_MODES_BUDGET = 1 << 30
"""Bytes that are hashed to find out whose executable bit is wrong."""
_PYC = re.compile(r"(.*?)(?:^|/)__pycache__/([^/]+)\.[a-z]+-\d+t?(?:\.opt-[12])?\.pyc\Z")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the manifest has it."""

    kind: Kind
    path: str
    """Relative to the environment; empty where it is about a whole layer."""
    about: str
    """Whose it is, or what is the matter."""


@dataclass(slots=True)
class Checked:
    """What was found."""

    files: int = 0
    """Files whose content and executable bit are proven."""
    layers: int = 0
    """Layers whose digest is that of the manifest."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know, though nothing is wrong."""


@dataclass(slots=True)
class _Layer:
    """A layer and its files, as far as they are known."""

    layer: Layer
    paths: list[str]
    record: str = ""
    """Where its RECORD is."""
    hashes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Path → algorithm and hash, from a RECORD that is the right one."""
    trusted: bool = False

    @property
    def name(self) -> str:
        what = f"{self.layer.project} {self.layer.version}"
        return f"the bytecode of {what}" if self.layer.kind == "bytecode" else what


def check_installed(installed: Installed, prefix: str | None, compile_modules: Compile) -> Checked:
    """Compare an environment with its manifest, which must be trusted already.

    `prefix` is where it is to live; None: where it is. Raises `StorageFailed` when it cannot be read.
    """
    try:
        return _Check(installed, prefix or str(installed.root), compile_modules).run()
    except OSError as error:
        raise StorageFailed(f"{error.filename} cannot be read: {error.strerror}") from error


class _Check:
    def __init__(self, installed: Installed, prefix: str, compile_modules: Compile) -> None:
        self._installed = installed
        self._root = installed.root
        self._prefix = prefix
        self._family = installed.manifest.target.family
        self._compile = compile_modules
        self._found = dict(_scan(installed.root))
        folders = {path.rpartition("/")[0] for path in self._found if ".dist-info/" in path}
        self._dist_infos = sorted(folder for folder in folders if folder.endswith(".dist-info"))
        self._claimed: set[str] = set()
        self._modules_of: dict[str, list[str]] = {}
        """Wheel layer's digest → its modules."""
        self._checked = Checked()

    def run(self) -> Checked:
        layers = self._installed.manifest.layers
        wheels = [self._wheel(layer) for layer in layers if layer.kind == "wheel"]
        self._modules_of = {entry.layer.digest: self._modules(entry) for entry in wheels}
        bytecode = [self._bytecode(layer) for layer in layers if layer.kind == "bytecode"]
        owners = {path: entry for entry in wheels + bytecode for path in entry.paths}  # the later one wins
        self._claimed |= owners.keys()
        for entry in wheels + bytecode:
            self._check_layer(entry, owners)
        self._check_head(owners)
        self._check_documents()
        self._check_extra()
        self._checked.findings.sort(key=lambda finding: (finding.path, finding.kind))
        return self._checked

    def _tell(self, kind: Kind, path: str, about: str) -> None:
        self._checked.findings.append(Finding(kind, path, about))

    # Which files a layer has

    def _wheel(self, layer: Layer) -> _Layer:
        entry = _Layer(layer, [])
        folder = self._dist_info(layer)
        record = None if folder is None else f"{folder}/RECORD"
        if record is None or not self._is_file(record):
            entry.record = record or ""
            return entry
        entry.record = record
        with (self._root / record).open("rb") as file:
            content = file.read(_LARGEST_RECORD)
        entry.trusted = hashlib.sha256(content).hexdigest() == layer.record
        try:
            rows = list(csv.reader(content.decode().splitlines())) if len(content) < _LARGEST_RECORD else []
        except (UnicodeDecodeError, csv.Error):
            rows = []
        for row in rows:
            path = self._place(row[0]) if len(row) == 3 else None
            # What has no hash is written by the head, but for RECORD itself.
            if path is None or not (row[1] or path == record):
                continue
            entry.paths.append(path)
            if row[1]:
                algorithm, _, value = row[1].partition("=")
                entry.hashes[path] = (algorithm, value)
        entry.paths = sorted(set(entry.paths), key=str.encode)
        return entry

    def _dist_info(self, layer: Layer) -> str | None:
        for folder in self._dist_infos:
            if folder.rpartition("/")[0] != self._family.purelib:
                continue
            project, _, version = folder.rpartition("/")[2].removesuffix(".dist-info").partition("-")
            if normalize(project) == layer.project and _same_version(version, layer.version):
                return folder
        return None

    def _place(self, recorded: str) -> str | None:
        path = os.path.normpath(f"{self._family.purelib}/{recorded}").replace(os.sep, "/")
        return None if path.startswith(("../", "/")) or not _is_text(path) else path

    def _bytecode(self, layer: Layer) -> _Layer:
        """Find the bytecode of a layer: what is beside its modules and says that it is not to be checked."""
        paths = [pyc_path(path, layer.interpreter or "") for path in self._modules_of.get(layer.of or "", ())]
        return _Layer(layer, sorted((path for path in paths if self._is_unchecked(path)), key=str.encode))

    def _modules(self, entry: _Layer) -> list[str]:
        return [
            path for path in entry.paths if path.startswith(f"{self._family.purelib}/") and path.endswith(".py")
        ]

    def _is_unchecked(self, path: str) -> bool:
        """Tell whether a .pyc is of the kind that layers hold (PEP 552); imports write another."""
        if not self._is_file(path):
            return False
        with (self._root / path).open("rb") as file:
            return file.read(8)[4:8] == b"\1\0\0\0"

    def _is_file(self, path: str) -> bool:
        return path in self._found and stat.S_ISREG(self._found[path].st_mode)

    # Layers

    def _check_layer(self, entry: _Layer, owners: Mapping[str, _Layer]) -> None:
        missing = [path for path in entry.paths if not self._is_file(path)]
        for path in missing:
            self._tell("missing", path, entry.name)
        if entry.layer.kind == "wheel" and not self._is_file(entry.record):
            self._tell("missing", entry.record, f"the RECORD of {entry.name}")
            return
        if not missing and self._fragment(entry.paths) == entry.layer.digest:
            self._checked.layers += 1
            self._checked.files += sum(owners[path] is entry for path in entry.paths)
            return
        replaced = [path for path in entry.paths if owners[path] is not entry]
        if entry.layer.kind == "bytecode":
            self._explain_bytecode(entry, replaced)
        else:
            self._explain_wheel(entry, replaced, missing)

    def _explain_wheel(self, entry: _Layer, replaced: Sequence[str], missing: Sequence[str]) -> None:
        """Say which files of a layer are others; those that a later layer replaces are checked with that one."""
        if not entry.trusted:
            self._tell("differs", entry.record, f"the RECORD of {entry.name}")
        skip = {*replaced, *missing}
        wrong = [
            path
            for path in entry.paths
            if path not in skip and path in entry.hashes and self._is_other(path, entry)
        ]
        for path in wrong:
            self._tell("differs", path, entry.name)
        if wrong or missing or not entry.trusted:
            return
        if replaced:
            self._checked.files += len(entry.paths) - len(replaced)
            self._checked.notes.append(f"{len(replaced)} files of {entry.name} are replaced by those of others")
        else:
            for path in self._wrong_modes(entry) or [""]:
                self._tell("mode", path, entry.name)

    def _is_other(self, path: str, entry: _Layer) -> bool:
        algorithm, value = entry.hashes[path]
        if algorithm not in ("sha256", "sha384", "sha512"):
            return True
        with (self._root / path).open("rb") as file:
            digest = hashlib.file_digest(file, algorithm).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=") != value

    def _wrong_modes(self, entry: _Layer) -> list[str]:
        """Find the one file whose executable bit is wrong; none when it is not just one, or takes too long."""
        if len(entry.paths) * entry.layer.size > _MODES_BUDGET:
            return []
        executable = {path for path in entry.paths if self._is_executable(path)}
        for path in sorted(entry.paths, key=lambda path: path not in executable):
            if self._fragment(entry.paths, executable ^ {path}) == entry.layer.digest:
                return [path]
        return []

    def _explain_bytecode(self, entry: _Layer, replaced: Sequence[str]) -> None:
        """Say which bytecode is other than what its modules compile to."""
        modules = self._modules_of.get(entry.layer.of or "", [])
        folder = len(self._family.purelib) + 1
        sources = [(path[folder:], (self._root / path).read_bytes()) for path in modules if self._is_file(path)]
        compiled = self._compile(sources)
        if compiled is None:
            self._tell(
                "unproven", "", f"{entry.name}: no interpreter here can compile it to find out what differs"
            )
            return
        wrong = 0
        for (name, _source), content in zip(sources, compiled, strict=True):
            path = pyc_path(f"{self._family.purelib}/{name}", entry.layer.interpreter or "")
            if not content and not self._is_file(path):
                continue
            if not self._is_file(path):
                self._tell("missing", path, entry.name)
            elif (self._root / path).read_bytes() != content:
                self._tell("differs", path, entry.name)
            else:
                continue
            wrong += 1
        if not wrong and replaced:
            self._checked.files += len(entry.paths) - len(replaced)
            self._checked.notes.append(f"{len(replaced)} files of {entry.name} are replaced by those of others")
        elif not wrong:
            for path in self._wrong_modes(entry):
                self._tell("mode", path, entry.name)
                return
            self._tell("unproven", "", f"{entry.name} is not what was signed")

    def _fragment(self, paths: Iterable[str], executable: set[str] | None = None) -> str:
        """Put a layer's fragment together from the files on disk; give its digest."""
        digest = hashlib.sha256()
        for path in paths:
            size = self._found[path].st_size
            mode = self._is_executable(path) if executable is None else path in executable
            digest.update(tar.header(path, size, executable=mode))
            with (self._root / path).open("rb") as file:
                for chunk in _chunks(file):
                    digest.update(chunk)
            digest.update(tar.padding(size))
        return "sha256:" + digest.hexdigest()

    def _is_executable(self, path: str) -> bool:
        return bool(self._found[path].st_mode & 0o100)

    # The head

    def _check_head(self, owners: Mapping[str, _Layer]) -> None:
        options = self._installed.options
        if not _same_place(options.prefix, self._prefix) and not options.relocatable:
            self._tell("differs", ".venvery/head.json", f"it was made to live in {options.prefix}")
        for file in head_files(self._installed.manifest, self._installed.parts, options):
            if file.path in owners:
                continue  # a layer has a file of that name, and layers come later
            self._claimed.add(file.path)
            if file.path not in self._found:
                self._tell("missing", file.path, "the head")
            elif not self._is_as_made(file):
                self._tell("differs", file.path, "the head")
            elif file.link is None and self._is_executable(file.path) != file.executable:
                self._tell("mode", file.path, "the head")
            else:
                self._checked.files += 1
        self._checked.notes.append(self._about_interpreter())

    def _is_as_made(self, file: HeadFile) -> bool:
        path = self._root / file.path
        if stat.S_ISLNK(self._found[file.path].st_mode):
            completed = file.path == "bin/python" and self._installed.options.python is None
            return completed or str(path.readlink()) == file.link
        if file.link is not None or not self._is_file(file.path):
            return False
        content = path.read_bytes()
        if file.path == "pyvenv.cfg":
            return self._is_config(content, file.content)
        return content == file.content

    def _is_config(self, content: bytes, made: bytes) -> bool:
        """Compare pyvenv.cfg by what it says; the interpreter that was found at first use is in it since."""
        said, right = _settings(content), _settings(made)
        if self._installed.options.python is None:
            right += [(key, value) for key, value in said if key in ("home", "version")][:2]
        # As lists: which of two lines with one key counts is the interpreter's business.
        return sorted(said) == sorted(right) and content.endswith(b"\n")

    def _about_interpreter(self) -> str:
        link = self._root / ("bin/python" if self._family.os == "posix" else "Scripts/python.exe")
        if link.is_symlink():
            return f"it rests on {link.readlink()}, which is no part of what is signed"
        return "its interpreter is found at first use, and is no part of what is signed"

    # What else is there

    def _check_documents(self) -> None:
        self._claimed |= {f".venvery/{name}" for name in _OWN}
        bill = read_document(self._root, "sbom.json")
        if bill is not None and not _same_bill(bill, write_sbom(self._installed.manifest)):
            self._tell("differs", ".venvery/sbom.json", "the bill of materials")
        for name in _OWN:
            if f".venvery/{name}" in self._found and not self._is_file(f".venvery/{name}"):
                self._tell("differs", f".venvery/{name}", "it is no plain file")

    def _check_extra(self) -> None:
        for path, status in self._found.items():
            if status.st_mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(status.st_mode):
                self._tell("mode", path, "it runs with the rights of its owner or group")
            if path in self._claimed:
                continue
            match = _PYC.match(path)
            module = f"{match[1]}/{match[2]}.py" if match else ""
            if module in self._claimed and self._is_file(path) and not self._is_unchecked(path):
                self._tell("compiled", path, "compiled here since")
            else:
                self._tell("extra", path, "in no layer")


def _scan(root: Path, folder: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Give everything in a folder that is no folder, without following links."""
    with os.scandir(root / folder) as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _scan(root, path)
            else:
                yield path, entry.stat(follow_symlinks=False)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in path


def _same_place(one: str, other: str) -> bool:
    """Tell whether two paths are one folder, which may be named by a link."""
    return one == other or os.path.realpath(one) == os.path.realpath(other)


def _same_version(written: str, version: str) -> bool:
    try:
        return parse_version(written.replace("_", "-")) == parse_version(version)
    except InvalidVersion:
        return False


def _settings(content: bytes) -> list[tuple[str, str]]:
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    parted = (line.partition("=") for line in lines if line.strip())
    return [(key.strip(), value.strip()) for key, _, value in parted]


def _same_bill(one: bytes, other: bytes) -> bool:
    """Compare bills of materials but for the version of the tool that wrote them."""
    try:
        first, second = json.loads(one), json.loads(other)
        del first["metadata"]["tools"], second["metadata"]["tools"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return False
    return bool(first == second)
