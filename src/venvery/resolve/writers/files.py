"""What the writers say about the files of a pin: which of them count, their hashes, how they are reached."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from venvery.errors import BadLock
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.requirements import Requirement
from venvery.model.versions import Version

__all__ = ["direct_references", "files_of", "hashes_of"]

_UNSAFE = frozenset({"md5", "sha1"})


def files_of(pin: Pin, *, allowed: Collection[str] = hashlib.algorithms_guaranteed) -> tuple[DistFile, ...]:
    """Give the pin's files, without those that the request's own hashes rule out.

    Nor are those among them that nobody could verify, as long as there are others.
    """
    files = pin.files
    if pin.hashes:
        files = tuple(file for file in files if file.sha256 is None or f"sha256:{file.sha256}" in pin.hashes)
    known = (file for file in files if file.sha256 or any(name in allowed for name, _value in file.hashes))
    return tuple(known) or files


def hashes_of(file: DistFile, *, allowed: Collection[str] = hashlib.algorithms_guaranteed) -> dict[str, str]:
    """Give the hashes to write for a file: its SHA-256, else all that it has of the allowed algorithms.

    Raises `BadLock`, naming the file, when there is none: a lock that cannot be verified is none.
    """
    if file.sha256 is not None:
        return {"sha256": file.sha256}
    known = {algorithm: value for algorithm, value in sorted(file.hashes) if algorithm in allowed}
    strong = {algorithm: value for algorithm, value in known.items() if algorithm not in _UNSAFE}
    if not known:
        kinds = ", ".join(sorted(algorithm for algorithm, _ in file.hashes))
        raise BadLock(
            f"{file.filename} has no hash that can be written"
            + (f" (its source gives {kinds} only)" if kinds else ""),
            hint="the source that lists it should give SHA-256 hashes",
        )
    return strong or known


def direct_references(lock: Lock) -> dict[tuple[NormalizedName, Version], Requirement]:
    """Give the request's `name @ URL` for each pin that stands for one; an index answers for all others."""
    found: dict[tuple[NormalizedName, Version], Requirement] = {}
    for requirement in lock.requirements:
        if requirement.url:
            urls = {requirement.url, requirement.url.split("#")[0]}
            for pin in lock.pins:
                if pin.project == requirement.project and any(file.url in urls for file in pin.files):
                    found.setdefault((pin.project, pin.version), requirement)
    return found
