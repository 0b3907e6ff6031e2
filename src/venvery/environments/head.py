"""The head of an environment: everything in it that depends on where it will live. Made per request.

Its first two members are `.venvery/manifest.json` (see `manifest`) and `.venvery/head.json`:

    {"venvery_head": 1, "prefix": "/srv/env", "python": "/usr/bin/python3.11" | null,
     "python_version": "3.11.7" | null, "prompt": text | null, "relocatable": false,
     "encoding": "zstd" | "gzip", "head_size":         4096,
     "skipped": [layer digests that this archive leaves out]}

`head_size` is the uncompressed size of the head, padded with spaces to a fixed width so that it can count
itself. Then come `.venvery/parts.json` (see `parts`), whatever documents the caller adds under `.venvery/`, and
the files themselves. Standards: PEP 405 (pyvenv.cfg), and the layout of the standard library's `venv`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from venvery.environments import tar
from venvery.environments.activate import activation_scripts, template
from venvery.environments.kernels import placed_kernel
from venvery.environments.layers import LayerInfo
from venvery.environments.manifest import Manifest
from venvery.environments.parts import HeadParts, gather_parts
from venvery.environments.prefix import check_prefix, check_python
from venvery.environments.scripts import body_of, nt_script, posix_script, relocatable_script
from venvery.errors import BadPrefix, VerificationFailed

__all__ = ["Encoding", "HeadFile", "HeadOptions", "describe_head", "head_files", "make_head", "read_head_options"]

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
    relocatable: bool = False
    """Scripts and activation find the environment by where they are themselves, so that it may be moved."""
    encoding: Encoding = "zstd"
    skipped: frozenset[str] = frozenset()
    """Digests of layers that the archive leaves out. Those that are not in the manifest are passed over."""


@dataclass(frozen=True, slots=True)
class HeadFile:
    """A file or link of a head; `path` is relative to the environment."""

    path: str
    content: bytes = b""
    executable: bool = False
    link: str | None = None

    def encode(self) -> bytes:
        """Write as a member of the fragment."""
        head = tar.header(self.path, len(self.content), executable=self.executable, link=self.link)
        return head + self.content + tar.padding(len(self.content))


def make_head(
    manifest: Manifest,
    infos: Iterable[LayerInfo],
    options: HeadOptions,
    documents: Mapping[str, bytes] | None = None,
) -> bytes:
    """Make the head as an uncompressed tar fragment.

    `infos` are the layers of the manifest, in any order; `documents` go to `.venvery/` under their names. Equal
    arguments give equal bytes. Raises `BadPrefix`.
    """
    by_digest = {info.digest: info for info in infos}
    parts = gather_parts(by_digest[layer.digest] for layer in manifest.layers if layer.kind == "wheel")
    about = describe_head(manifest, options)
    documents = {"parts.json": parts.encoded} | dict(documents or {})
    files = [HeadFile(f".venvery/{name}", content) for name, content in documents.items()]
    rest = b"".join(file.encode() for file in [*files, *head_files(manifest, parts, options)])
    first = HeadFile(".venvery/manifest.json", manifest.encoded).encode()
    return first + _about(about, len(first) + len(rest)) + rest


def head_files(manifest: Manifest, parts: HeadParts, options: HeadOptions) -> list[HeadFile]:
    """Give the files of a head that are not documents: all that depends on the place. Raises `BadPrefix`."""
    os = manifest.target.os
    prefix = check_prefix(options.prefix, os)
    python = None if options.python is None else check_python(options.python, os)
    prompt = _check_prompt(options.prompt) if options.prompt else _last_part(prefix)
    files = [_pyvenv_cfg(manifest, python, options)]
    if os == "posix":
        files += _interpreter(manifest, python)
    files += _scripts(manifest, parts, prefix, python, relocatable=options.relocatable)
    for spec in parts.kernels:
        # One that may be moved can only say `python`: Jupyter takes that for the interpreter it runs in itself.
        content = spec.body if options.relocatable else placed_kernel(spec, prefix, os)
        files.append(HeadFile(spec.path, content))
    for name, content in sorted(activation_scripts(prefix, prompt, os, relocatable=options.relocatable).items()):
        files.append(HeadFile(f"{manifest.target.family.scripts}/{name}", content))
    return files


def describe_head(manifest: Manifest, options: HeadOptions) -> dict[str, object]:
    """Write the options of a head as head.json has them, but for its size. Raises `BadPrefix`."""
    os = manifest.target.os
    return {
        "venvery_head": 1,
        "prefix": check_prefix(options.prefix, os),
        "python": None if options.python is None else check_python(options.python, os),
        "python_version": options.python_version,
        "prompt": options.prompt,
        "relocatable": options.relocatable,
        "encoding": options.encoding,
        "head_size": "@",
        "skipped": [layer.digest for layer in manifest.layers if layer.digest in options.skipped],
    }


def read_head_options(value: Any) -> HeadOptions:
    """Read from a head.json what `head_files` needs; it may be hostile. Raises `VerificationFailed`."""
    texts = (
        [value.get(name) for name in ("prefix", "python", "python_version", "prompt")] if _is_head(value) else []
    )
    if not texts or not all(text is None or isinstance(text, str) for text in texts):
        raise VerificationFailed("the environment's head.json does not say where it was made for")
    prefix, python, version, prompt = texts
    return HeadOptions(prefix, python, version, prompt, relocatable=value.get("relocatable") is True)


def _is_head(value: Any) -> bool:
    return isinstance(value, dict) and value.get("venvery_head") == 1 and isinstance(value.get("prefix"), str)


def _about(about: dict[str, object], others: int) -> bytes:
    """Write head.json with the size of the whole head, `others` being the size of all other members."""
    before, after = json.dumps(about).split('"@"', 1)

    def member(size: int) -> bytes:
        return HeadFile(".venvery/head.json", f"{before}{size:{_SIZE_WIDTH}d}{after}".encode()).encode()

    return member(others + len(member(0)))


def _kernel_runs(manifest: Manifest, python: str | None) -> bool:
    """Tell whether the kernel takes `bin/python` as the interpreter of a script.

    Linux runs a script by a script; others do not, and there `bin/python` is one until its first use.
    """
    return python is not None or manifest.target.platform.startswith(("linux-", "musl-"))


def _pyvenv_cfg(manifest: Manifest, python: str | None, options: HeadOptions) -> HeadFile:
    lines = ["include-system-site-packages = false"]
    if python is not None:
        home = python.rpartition("\\" if manifest.target.os == "nt" else "/")[0] or "/"
        lines.insert(0, f"home = {home}")
        minor, full = manifest.target.python, options.python_version or ""
        lines.append(f"version = {full if full.startswith(f'{minor}.') else minor}")
    if options.relocatable:
        lines.append("relocatable = true")
    if options.prompt:
        lines.append(f"prompt = {options.prompt!r}")
    return HeadFile("pyvenv.cfg", ("\n".join(lines) + "\n").encode())


def _interpreter(manifest: Manifest, python: str | None) -> Iterator[HeadFile]:
    version = manifest.target.python
    if python is None:
        finder = template("python.sh").replace("@PYTHON@", version + manifest.target.threads)
        yield HeadFile("bin/python", finder.encode(), executable=True)
    else:
        yield HeadFile("bin/python", link=python)
    for name in dict.fromkeys(("python3", f"python{version}", f"python{version}{manifest.target.threads}")):
        yield HeadFile(f"bin/{name}", link="python")
    if not manifest.target.platform.startswith("macos-"):
        # As `venv` does: distributions patch Python to install compiled modules there.
        yield HeadFile("lib64", link="lib")


def _scripts(
    manifest: Manifest, parts: HeadParts, prefix: str, python: str | None, *, relocatable: bool
) -> Iterator[HeadFile]:
    if manifest.target.os == "nt":
        here = "<launcher_dir>" if relocatable else prefix + "\\Scripts"
        launchers = dict(
            nt_script(f"{here}\\python.exe", script.name, script.kind, body_of(script)) for script in parts.scripts
        )
        yield from (HeadFile(f"Scripts/{name}", launchers[name], executable=True) for name in sorted(launchers))
        return
    plain = _kernel_runs(manifest, python)
    for script in parts.scripts:
        body = body_of(script)
        content = (
            relocatable_script(body) if relocatable else posix_script(f"{prefix}/bin/python", body, plain=plain)
        )
        yield HeadFile(f"bin/{script.name}", content, executable=True)


def _check_prompt(prompt: str) -> str:
    if len(prompt) > 256 or not prompt.isprintable():
        raise BadPrefix("the prompt is not one short line of printable text", hint="it is shown by the shell")
    return prompt


def _last_part(prefix: str) -> str:
    return prefix.replace("\\", "/").rpartition("/")[2] or prefix
