"""Files that several layers have at the same place: the later layer in the stream wins, as with `tar -x`.

Layers are unpacked side by side, so whoever came first took the place and the others set theirs aside.
"""

from __future__ import annotations

import os
import stat

from venvery.client.errors import ArchiveError, LocalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Sequence, Set, Tuple

    from venvery.client.unpack import Done

__all__ = ["settle"]


def settle(stage: str, layers: Sequence[Done], head: Set[bytes]) -> None:
    """Give every place to the last layer that has it. `layers` are in the order of the stream.

    Raises `ArchiveError` where a layer would replace a link of the head.
    """
    contenders: Dict[bytes, List[Tuple[int, bytes]]] = {}
    for rank, done in enumerate(layers):
        for path, aside in done.conflicts:
            contenders.setdefault(path, []).append((rank, aside))
    if not contenders:
        return
    import shutil

    from venvery.client.unpack import CONFLICTS

    owners = _owners(layers, set(contenders))
    for path, waiting in sorted(contenders.items()):
        place = _full(stage, path)
        owner = owners.get(path)
        if owner is None and path not in head:
            raise LocalError(f"{_shown(path)} and another file differ only in upper and lower case")
        if not stat.S_ISREG(os.lstat(place).st_mode):
            raise ArchiveError(f"a layer would replace {_shown(path)}, which is no plain file")
        rank, aside = max(waiting)
        if owner is None or rank > owner:
            os.replace(_full(stage, aside), place)
    shutil.rmtree(_full(stage, CONFLICTS))


def _owners(layers: Sequence[Done], wanted: Set[bytes]) -> Dict[bytes, int]:
    """Find which layer's file lies at each place now; a place of the head has none."""
    owners: Dict[bytes, int] = {}
    folders = {path.rpartition(b"/")[0] for path in wanted}
    for rank, done in enumerate(layers):
        for folder in folders & done.listing.keys():
            for name, _ in done.listing[folder]:
                path = folder + b"/" + name if folder else name
                if path in wanted:
                    owners[path] = rank
    return owners


def _full(stage: str, path: bytes) -> str:
    return os.path.join(stage, *path.decode("utf-8", "surrogateescape").split("/"))


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))[:120]
