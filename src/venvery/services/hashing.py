"""Hashes for locks where the sources give none: the files that will be installed are fetched and hashed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from venvery.catalog.catalog import Catalog
from venvery.errors import LimitExceeded, NoUsableFile
from venvery.model.digests import hex_of
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin
from venvery.resolve.wording import joined

__all__ = ["lacks_hashes", "with_hashes"]

STRONG = frozenset({"sha256", "sha384", "sha512"})
"""Hashes that every installer takes (pip's `--hash`)."""
_AT_ONCE = 8
_NAMED = 5


def lacks_hashes(lock: Lock) -> bool:
    """Tell whether a file that would be installed has no hash that an installer takes."""
    return next(_bare(lock), None) is not None


async def with_hashes(lock: Lock, catalog: Catalog, most: int) -> Lock:
    """Give the lock with a hash for each file that its targets would install; further files stay as they are.

    What is fetched is kept, as the files of environments are. Raises `LimitExceeded` past `most` bytes,
    `SourceFailed`, `StorageFailed`.
    """
    wanted = {file.key: file for file in _bare(lock)}
    if not wanted:
        return lock
    found: dict[str, str] = {}
    files = list(wanted.values())
    _check(sum(file.size or 0 for file in files), most)
    size = 0
    for start in range(0, len(files), _AT_ONCE):
        batch = files[start : start + _AT_ONCE]
        for file, digest in zip(batch, await catalog.fetch_all(batch), strict=True):
            found[file.key] = hex_of(digest)
            size += catalog.size_of(digest)
        _check(size, most)
    pins = tuple(_hashed(pin, found) for pin in lock.pins)
    names = sorted({str(file.project) for file in files})
    more = [f"{len(names) - _NAMED} further projects"] if len(names) > _NAMED else []
    said = (
        f"there is no usable hash in the index for {joined([*names[:_NAMED], *more])}: "
        "the hashes in this lock were made from the files as they were fetched now"
    )
    return replace(lock, pins=pins, warnings=(*lock.warnings, said))


def _check(size: int, most: int) -> None:
    if size > most:
        raise LimitExceeded(
            f"the index gives no hashes, and to make them more than {most} bytes would have to be fetched",
            hint="ask for the lock as JSON, which needs no hashes, or raise hashed-bytes in the configuration",
            limit="hashed-bytes",
            most=most,
        )


def _bare(lock: Lock) -> Iterator[DistFile]:
    """Give the files that the targets would install and that have no strong hash."""
    for pin in lock.pins:
        for target in pin.targets:
            file = _chosen(lock, pin, target)
            if file is not None and file.sha256 is None and not any(name in STRONG for name, _ in file.hashes):
                yield file


def _chosen(lock: Lock, pin: Pin, target: int) -> DistFile | None:
    try:
        return lock.wheel_for(pin, target)
    except NoUsableFile:
        return next((file for file in pin.files if file.kind == "sdist"), None)


def _hashed(pin: Pin, found: Mapping[str, str]) -> Pin:
    if not any(file.key in found for file in pin.files):
        return pin
    files = (replace(file, sha256=found[file.key]) if file.key in found else file for file in pin.files)
    return replace(pin, files=tuple(files))
