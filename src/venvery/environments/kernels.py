"""Jupyter kernel specifications: data files that have to name the environment's own interpreter.

A wheel's `kernel.json` starts `python`, since its builder could not know better. Only a Jupyter that runs in
the same environment reads that as its own interpreter; any other program (an editor, a Jupyter elsewhere that
was told of this folder) takes the first `python` on PATH, which is this environment's only while it is
activated. So the file is written per prefix with the interpreter's full path, which is what
`python -m ipykernel install --sys-prefix` writes.

Other data files are left as they are: a wheel has no placeholder for the prefix, and a path in one that does
not exist cannot be told from one that was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["KernelSpec", "is_kernel_spec", "placed_kernel", "read_kernel_spec", "starts_a_program"]

LARGEST = 1 << 20
"""Bytes of a kernel.json that is looked at."""

_PATH = re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json\Z")
_PYTHON = re.compile(r"pythonw?(3(\.\d+)?)?(\.exe)?\Z")


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A kernel.json whose first word depends on the prefix, so that the head has to write it."""

    path: str
    """Relative to the environment."""
    body: bytes
    """As the wheel has it."""


def is_kernel_spec(path: str, size: int) -> bool:
    """Tell by its place in the environment whether a data file is a kernel specification."""
    return size <= LARGEST and _PATH.match(path) is not None


def read_kernel_spec(path: str, body: bytes, scripts: Collection[str]) -> KernelSpec | None:
    """Read a kernel specification; None when it does not start Python or one of the wheel's own `scripts`."""
    program = _program(_document(body))
    if program is None or not (_PYTHON.match(program) or program in scripts):
        return None
    return KernelSpec(path, body)


def starts_a_program(body: bytes) -> bool:
    """Tell whether a file has the form of a kernel specification."""
    return _program(_document(body)) is not None


def placed_kernel(spec: KernelSpec, prefix: str, os: Literal["posix", "nt"]) -> bytes:
    """Write the kernel.json of an environment that lives in `prefix`."""
    document = _document(spec.body)
    program = document["argv"][0]
    if _PYTHON.match(program):
        program = "python" if os == "posix" else ("pythonw.exe" if "w" in program else "python.exe")
    folder = f"{prefix}/bin/" if os == "posix" else f"{prefix}\\Scripts\\"
    document["argv"][0] = folder + program
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _program(document: Any) -> str | None:
    argv = document.get("argv") if isinstance(document, dict) else None
    if not isinstance(argv, list) or not argv or not isinstance(argv[0], str):
        return None
    return argv[0]


def _document(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
