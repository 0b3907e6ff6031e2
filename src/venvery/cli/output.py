"""What a command puts out: on stdout, or in a file that is whole or as it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from venvery.errors import StorageFailed

__all__ = ["write_out"]


def write_out(data: str | bytes, output: str | None) -> None:
    """Write to a file, or to stdout when none is named. Raises `StorageFailed`."""
    raw = data.encode() if isinstance(data, str) else data
    if output is None:
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return
    path = Path(output)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(raw)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageFailed(f"{output} cannot be written: {error.strerror}") from None
