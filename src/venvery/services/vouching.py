"""Locks that come with a request. A request never chooses a URL to fetch, and so neither does its lock.

Every file that has to be fetched is looked up in the sources of the configuration, by hash and file name; the
source's own URL is the one that is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from venvery.catalog.catalog import Catalog
from venvery.errors import NoUsableFile
from venvery.model.files import DistFile, Listing
from venvery.model.lock import Lock, Pin
from venvery.model.names import NormalizedName
from venvery.model.sources import is_allowed

__all__ = ["vouch"]


async def vouch(
    lock: Lock, catalog: Catalog, allowed_urls: tuple[str, ...], is_there: Callable[[DistFile], bool]
) -> Lock:
    """Give the lock with every file that has yet to be fetched as the sources have it.

    `is_there` tells which files need no fetching. A file that no source has is taken from its own URL only
    where `allowed_urls` has it. Raises `NoUsableFile` for a pin of which nothing is left, and `SourceFailed`.
    """
    wanted = {pin.project for pin in lock.pins if not _needs_nothing(lock, pin, is_there)}
    listings = await catalog.listings(wanted) if wanted else {}
    pins = tuple(
        replace(pin, files=_known(pin, listings, allowed_urls)) if pin.project in wanted else pin
        for pin in lock.pins
    )
    return replace(lock, pins=pins)


def _known(
    pin: Pin, listings: Mapping[NormalizedName, Listing], allowed_urls: tuple[str, ...]
) -> tuple[DistFile, ...]:
    listed = {(file.filename, file.sha256): file for file in listings[pin.project].files}
    by_name = {file.filename: file for file in listings[pin.project].files}
    known = []
    for file in pin.files:
        if (found := listed.get((file.filename, file.sha256))) is not None:
            known.append(found)
        elif file.sha256 is not None and (found := by_name.get(file.filename)) and found.sha256 is None:
            known.append(replace(found, sha256=file.sha256))  # the source gives no hash; the lock's is checked
        elif file.sha256 is not None and is_allowed(file.url, allowed_urls):
            known.append(file)
    if known:
        return tuple(known)
    raise NoUsableFile(
        f"{pin.project} {pin.version}: no source here lists any of the lock's files with the same hash",
        hint="lock again against this server, or check whether a file was replaced upstream",
    )


def _needs_nothing(lock: Lock, pin: Pin, is_there: Callable[[DistFile], bool]) -> bool:
    """Tell whether nothing has to be fetched for a pin: its wheels are there, and one of them is what it takes."""
    if not all(map(is_there, (file for file in pin.files if file.kind == "wheel"))):
        return False
    try:
        return 0 not in pin.targets or bool(lock.wheel_for(pin))
    except NoUsableFile:
        return False  # the source distribution is fetched then
