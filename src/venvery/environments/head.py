"""The head of an environment: everything in it that depends on where it will live. Made per request.

Its first two members are `.venvery/manifest.json` (see `manifest`) and `.venvery/head.json`:

    {"venvery_head": 1, "prefix": "/srv/env", "python": "/usr/bin/python3.11" | null, "encoding": "zstd" | "gzip",
     "head_size":         4096, "skipped": [layer digests that this archive leaves out]}

`head_size` is the uncompressed size of the head, padded with spaces to a fixed width so that it can count
itself. Standards: PEP 405 (pyvenv.cfg), and the layout of the standard library's `venv`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from venvery.environments import tar
from venvery.environments.activate import activation_scripts, template
from venvery.environments.layers import EntryPoint, LayerInfo, ScriptBody
from venvery.environments.manifest import Manifest
from venvery.environments.prefix import check_prefix, check_python
from venvery.environments.scripts import body_of, nt_script, posix_script
from venvery.errors import BadPrefix

__all__ = ["Encoding", "HeadOptions", "make_head"]

Encoding = Literal["zstd", "gzip"]

_SIZE_WIDTH = 12


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """Where an environment will live."""

    prefix: str
    """The folder that it will be in, on the client. Checked by `make_head`."""
    python: str | None = None
    """The base interpreter there; None: it is found at first use (on nt: `py -m venv` completes it)."""
    python_version: str | None = None
    """The base interpreter's full version, `3.11.7`, where the client says it; another minor's is passed over."""
    prompt: str | None = None
    """What activation shows; None: the prefix's last part."""
    encoding: Encoding = "zstd"
    skipped: frozenset[str] = frozenset()
    """Digests of layers that the archive leaves out. Those that are not in the manifest are passed over."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    content: bytes = b""
    executable: bool = False
    link: str | None = None

    def encode(self) -> bytes:
        head = tar.header(self.path, len(self.content), executable=self.executable, link=self.link)
        return head + self.content + tar.padding(len(self.content))


def make_head(manifest: Manifest, infos: Iterable[LayerInfo], options: HeadOptions) -> bytes:
    """Make the head as an uncompressed tar fragment.

    `infos` are the layers of the manifest, in any order. Equal arguments give equal bytes. Raises
    `BadPrefix`.
    """
    os = manifest.target.os
    prefix = check_prefix(options.prefix, os)
    python = None if options.python is None else check_python(options.python, os)
    prompt = _check_prompt(options.prompt) if options.prompt else _last_part(prefix)
    first = _File(".venvery/manifest.json", manifest.encoded).encode()
    rest = b"".join(
        file.encode()
        for files in (
            [_pyvenv_cfg(manifest, python, options)],
            _interpreter(manifest, python) if os == "posix" else (),
            _scripts(manifest, infos, prefix, plain=_kernel_runs(manifest, python)),
            _activation(manifest, prefix, prompt),
        )
        for file in files
    )
    about = {
        "venvery_head": 1,
        "prefix": prefix,
        "python": python,
        "encoding": options.encoding,
        "head_size": "@",
        "skipped": [layer.digest for layer in manifest.layers if layer.digest in options.skipped],
    }
    return first + _about(about, len(first) + len(rest)) + rest


def _about(about: dict[str, object], others: int) -> bytes:
    """Write head.json with the size of the whole head, `others` being the size of all other members."""
    before, after = json.dumps(about).split('"@"', 1)

    def member(size: int) -> bytes:
        return _File(".venvery/head.json", f"{before}{size:{_SIZE_WIDTH}d}{after}".encode()).encode()

    return member(others + len(member(0)))


def _kernel_runs(manifest: Manifest, python: str | None) -> bool:
    """Tell whether the kernel takes `bin/python` as the interpreter of a script.

    Linux runs a script by a script; others do not, and there `bin/python` is one until its first use.
    """
    return python is not None or manifest.target.platform.startswith(("linux-", "musl-"))


def _pyvenv_cfg(manifest: Manifest, python: str | None, options: HeadOptions) -> _File:
    lines = ["include-system-site-packages = false"]
    if python is not None:
        home = python.rpartition("\\" if manifest.target.os == "nt" else "/")[0] or "/"
        lines.insert(0, f"home = {home}")
        minor, full = manifest.target.python, options.python_version or ""
        lines.append(f"version = {full if full.startswith(f'{minor}.') else minor}")
    if options.prompt:
        lines.append(f"prompt = {options.prompt!r}")
    return _File("pyvenv.cfg", ("\n".join(lines) + "\n").encode())


def _interpreter(manifest: Manifest, python: str | None) -> Iterator[_File]:
    version = manifest.target.python
    if python is None:
        finder = template("python.sh").replace("@PYTHON@", version + manifest.target.threads)
        yield _File("bin/python", finder.encode(), executable=True)
    else:
        yield _File("bin/python", link=python)
    for name in dict.fromkeys(("python3", f"python{version}", f"python{version}{manifest.target.threads}")):
        yield _File(f"bin/{name}", link="python")
    if not manifest.target.platform.startswith("macos-"):
        # As `venv` does: distributions patch Python to install compiled modules there.
        yield _File("lib64", link="lib")


def _scripts(manifest: Manifest, infos: Iterable[LayerInfo], prefix: str, *, plain: bool) -> Iterator[_File]:
    """Write the scripts; of two with one name, that of the later layer, as with any other file."""
    by_digest = {info.digest: info for info in infos}
    scripts: dict[str, ScriptBody | EntryPoint] = {}
    for layer in manifest.layers:
        if layer.kind == "wheel":
            info = by_digest[layer.digest]
            scripts |= {script.name: script for script in info.scripts}
            scripts |= {point.name: point for point in info.entry_points}
    files = {}
    for script in scripts.values():
        if manifest.target.os == "nt":
            python = prefix + "\\Scripts\\python.exe"
            name, content = nt_script(python, script.name, script.kind, body_of(script))
            files[name] = _File(f"Scripts/{name}", content, executable=True)
        else:
            content = posix_script(f"{prefix}/bin/python", body_of(script), plain=plain)
            files[script.name] = _File(f"bin/{script.name}", content, executable=True)
    yield from (files[name] for name in sorted(files))


def _activation(manifest: Manifest, prefix: str, prompt: str) -> Iterator[_File]:
    for name, content in sorted(activation_scripts(prefix, prompt, manifest.target.os).items()):
        yield _File(f"{manifest.target.family.scripts}/{name}", content)


def _check_prompt(prompt: str) -> str:
    if len(prompt) > 256 or not prompt.isprintable():
        raise BadPrefix("the prompt is not one short line of printable text", hint="it is shown by the shell")
    return prompt


def _last_part(prefix: str) -> str:
    return prefix.replace("\\", "/").rpartition("/")[2] or prefix
