"""Mends an environment that was moved, or gives it another interpreter, from what lies in it; no server is asked.

The head is made anew for the place, from the manifest and the parts in `.venvery/`. What is still as the old
head had it is replaced, what a person changed or an installer added keeps its content and gets only the right
interpreter, and what was taken away stays away. Every file is replaced in one step, `head.json` and `sync.json`
last: a run that dies is completed by the next one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from venvery.client.errors import ClientError
from venvery.client.interpreter import Interpreter, find_python, identify
from venvery.client.state import STATE, interpreter_identity, read_state, write_state
from venvery.client.switch import Place
from venvery.environments.head import HeadFile, HeadOptions, head_files
from venvery.environments.installed import Installed, open_installed
from venvery.environments.scripts import posix_script, relocatable_script
from venvery.errors import AnswerIsNo, BadInput, StorageFailed
from venvery.model.targets import exact_target, short_target

__all__ = ["Relocated", "relocate"]

_ACTIVATION = re.compile(r"(bin|Scripts)/(de)?activate(\.[a-z0-9]+)?\Z", re.IGNORECASE)
_LARGEST_SCRIPT = 16 << 20


@dataclass(frozen=True, slots=True)
class Relocated:
    """What was done."""

    directory: str
    python: str | None
    """The base interpreter; None: still to be found, at first use."""
    changed: tuple[str, ...]
    """Paths in the environment; empty when all was right already."""


def relocate(directory: Path, python: str | None = None) -> Relocated:
    """Make an environment right for the place where it is; `python` is its new interpreter, by path or version.

    Raises `BadInput` for a folder that is no environment of ours, `AnswerIsNo` when its interpreter is missing
    or of another build, `VerificationFailed`, `StorageFailed` or `ClientError`.
    """
    installed = open_installed(directory)
    if installed.manifest.target.os != os.name:
        raise BadInput(f"{directory} was made for another system than this one")
    with Place(str(directory)).lock():
        base = _base(installed, python)
        there = os.path.realpath(installed.options.prefix) == os.path.realpath(installed.root)
        options = replace(
            installed.options,
            # One that is named by a link is where it was.
            prefix=installed.options.prefix if there else str(installed.root),
            python=base[0],
            python_version=base[1],
        )
        try:
            changed = _Mending(installed, options).run()
        except OSError as error:
            raise StorageFailed(f"{directory} cannot be mended: {error.strerror or error}") from None
    return Relocated(str(installed.root), options.python, changed)


def _base(installed: Installed, python: str | None) -> tuple[str, str] | tuple[None, None]:
    """Find the interpreter that the environment is to rest on, and its version; None: still to be found."""
    wanted = str(installed.manifest.target.family.python)
    path = python
    if python is None:
        path = _present_base(installed)
        if path is None:
            return None, None
        if not Path(path).is_file():
            raise AnswerIsNo(
                f"the interpreter that {installed.root} rests on is gone: {path}", hint=_found_instead(wanted)
            )
    assert path is not None
    found = identify(path) if os.sep in path else find_python(path)
    _check_build(installed, found, wanted)
    # A path that was chosen before stays as it was written: it may be a link that is kept up to date.
    return found.base if python is not None else path, found.version


def _present_base(installed: Installed) -> str | None:
    """Give the path of the base interpreter as the environment has it now."""
    link = installed.root / ("bin/python" if os.name == "posix" else "Scripts/python.exe")
    if link.is_symlink():
        return str(link.parent / link.readlink())
    home = _settings(installed.root / "pyvenv.cfg").get("home")
    if home is not None and installed.options.python is not None:
        return str(Path(home, Path(installed.options.python).name))
    return installed.options.python


def _found_instead(wanted: str) -> str:
    try:
        return f"venvery relocate --python {find_python(wanted).base} DIR takes the one that is on PATH"
    except ClientError:
        return f"install Python {wanted}, or name one with --python"


def _check_build(installed: Installed, found: Interpreter, wanted: str) -> None:
    """Refuse an interpreter that the packages in the environment were not made for."""
    its = ".".join(found.version.split(".")[:2]) + found.threads
    if found.implementation != "cpython" or its != wanted:
        raise AnswerIsNo(
            f"{found.executable} is {found.implementation} {found.version}{found.threads}; "
            f"the environment is for CPython {wanted}",
            hint=_found_instead(wanted),
        )
    tags = short_target(**found.target).tags
    platform = exact_target(found.markers, tags).platform
    if platform != installed.manifest.target.platform:
        raise AnswerIsNo(
            f"{found.executable} is for {platform}; the environment is for {installed.manifest.target.platform}",
            hint="make the environment anew with venvery sync",
        )


class _Mending:
    """One environment, its head as it was made and as it is to be."""

    def __init__(self, installed: Installed, options: HeadOptions) -> None:
        self._installed = installed
        self._root = installed.root
        self._options = options
        self._old = {file.path: file for file in self._files(installed.options)}
        self._new = {file.path: file for file in self._files(options)}
        self._changed: list[str] = []

    def _files(self, options: HeadOptions) -> list[HeadFile]:
        return head_files(self._installed.manifest, self._installed.parts, options)

    def run(self) -> tuple[str, ...]:
        """Mend everything; give what was changed."""
        for path, file in self._new.items():
            if path == "pyvenv.cfg":
                self._write(path, self._config(file), executable=False)
            elif file.link is not None:
                self._link(path, file.link)
            elif _ACTIVATION.match(path):
                self._write(path, file.content, executable=False)
            else:
                self._file(file)
        for path in self._others():
            self._foreign(path)
        self._documents()
        return tuple(self._changed)

    def _config(self, file: HeadFile) -> bytes:
        """Give pyvenv.cfg with what a person wrote into it, but the right interpreter."""
        path = self._root / "pyvenv.cfg"
        right = dict(line.split(" = ", 1) for line in file.content.decode().splitlines())
        if not path.is_file():
            return file.content
        if "home" not in right:
            return path.read_bytes()
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() not in ("home", "version")]
        mended = [f"home = {right['home']}", *kept, f"version = {right['version']}"]
        return ("\n".join(mended) + "\n").encode("utf-8", "surrogateescape")

    def _file(self, file: HeadFile) -> None:
        """Replace a file that is as the old head had it; any other is somebody else's, or was taken away."""
        path = self._root / file.path
        if not path.is_file() or path.is_symlink():
            if file.path == "bin/python" and not os.path.lexists(path):
                self._write(file.path, file.content, executable=True)
            return
        old = self._old.get(file.path)
        if old is not None and path.read_bytes() == old.content:
            self._write(file.path, file.content, executable=file.executable)
        elif path.parent.name == "bin":
            self._foreign(file.path)

    def _others(self) -> list[str]:
        """List the scripts that are not of the head."""
        folder = self._root / "bin"
        if not folder.is_dir():
            return []
        return sorted(f"bin/{path.name}" for path in folder.iterdir() if f"bin/{path.name}" not in self._new)

    def _foreign(self, relative: str) -> None:
        """Give a script that names the old place its right interpreter; leave any other alone."""
        path = self._root / relative
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_SCRIPT:
            return
        body = _body(path.read_bytes(), f"{self._installed.options.prefix}/bin/python")
        if body is None or self._installed.options.prefix == self._options.prefix:
            return
        python = f"{self._options.prefix}/bin/python"
        content = relocatable_script(body) if self._options.relocatable else posix_script(python, body)
        self._write(relative, content, executable=True)

    def _documents(self) -> None:
        options = self._options
        mended = self._installed.about | {
            "prefix": options.prefix,
            "python": options.python,
            "python_version": options.python_version,
        }
        if mended != self._installed.about:
            self._write(".venvery/head.json", json.dumps(mended).encode(), executable=False)
        state = read_state(str(self._root))
        if state is not None:
            mended_state = _state(state, options)
            if mended_state != state:
                del mended_state["venvery_sync"]
                write_state(str(self._root), mended_state)
                self._changed.append(STATE)

    def _write(self, relative: str, content: bytes, *, executable: bool) -> None:
        path = self._root / relative
        if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
            return

        def write(temporary: Path) -> None:
            temporary.write_bytes(content)
            temporary.chmod(0o755 if executable else 0o644)

        self._replace(relative, write)

    def _link(self, relative: str, to: str) -> None:
        path = self._root / relative
        if path.is_symlink() and str(path.readlink()) == to:
            return
        if path.is_dir() and not path.is_symlink():
            return  # a copy that followed links made lib64 a folder: both are on nobody's path twice
        self._replace(relative, lambda temporary: temporary.symlink_to(to))

    def _replace(self, relative: str, make: Callable[[Path], None]) -> None:
        path = self._root / relative
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            make(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._changed.append(relative)


def _state(state: dict[str, Any], options: HeadOptions) -> dict[str, Any]:
    """Give what sync remembers of an environment, for its new place."""
    interpreter = None if options.python is None else interpreter_identity(options.python)
    mended = state | {"directory": options.prefix, "interpreter": interpreter or state.get("interpreter")}
    if isinstance(state.get("head"), dict):
        mended["head"] = state["head"] | {"prefix": options.prefix, "python": options.python or ""}
    return mended


def _body(content: bytes, python: str) -> bytes | None:
    """Give the program of a script that `python`, or a name that continues it, is to run; None for any other."""
    first, _, rest = content.partition(b"\n")
    name = python.encode()
    if first.startswith(b"#!" + name) and re.match(rb"[0-9.t]*( |\Z)", first[len(name) + 2 :]):
        return rest
    if first != b"#!/bin/sh":
        return None
    second, _, body = rest.partition(b"\n")
    if name not in second:
        return None
    if second.startswith(b"\f#coding="):
        return body
    if second.startswith(b"'''exec' "):  # as pip and others write it, with a line that closes the string
        return body.partition(b"\n")[2] if body.startswith(b"' '''") else body
    return None


def _settings(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
