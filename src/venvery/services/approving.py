"""Before a synced environment takes its place: is it signed by the right server?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from venvery.errors import VerificationFailed
from venvery.services.known_keys import KnownKeys

__all__ = ["approver"]


def approver(server: str, pinned: Sequence[str], known: KnownKeys) -> Callable[[str], None]:
    """Give the check of a folder that is staged but not yet in place; it raises `VerificationFailed`.

    Its layers were compared with its manifest while they were unpacked. With `pinned` keys the manifest's
    signature is verified. Else the key of a server is noted when it is first seen, which costs nothing, and only
    another one than the known has to prove itself.
    """

    def approve(folder: str) -> None:
        root = Path(folder)
        if not pinned:
            claimed = _claimed(root)
            believed = known.of(server)
            if claimed is None and not believed:
                return  # a server that does not sign, and never did
            if claimed is not None and not believed:
                known.add(server, frozenset({claimed}))
                return
            if claimed in believed:
                return
        _verify(root, server, pinned, known)

    return approve


def _claimed(root: Path) -> str | None:
    """Read which key an environment says that it is signed with."""
    from venvery.model.keys import is_key

    try:
        envelope = json.loads((root / ".venvery" / "provenance.json").read_bytes())
        key = envelope["signatures"][0]["keyid"]
    except (OSError, KeyError, IndexError, TypeError, ValueError, RecursionError):
        return None
    return key if is_key(key) else None


def _verify(root: Path, server: str, pinned: Sequence[str], known: KnownKeys) -> None:
    from venvery.environments.installed import open_installed
    from venvery.services.verifying import check_signature

    try:
        check_signature(server, open_installed(root), pinned, known, None)
    except VerificationFailed as error:
        raise VerificationFailed(f"what {server} sent is not used: {error}", hint=error.hint) from error
