"""The head of an archive: the few files and links that were made for this place alone."""

from __future__ import annotations

import os
import re

from venvery.client.errors import ArchiveError
from venvery.client.tree import check_path, open_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Set

    from venvery.client.archive import Archive
    from venvery.client.tarball import Member
    from venvery.client.tree import Tree

__all__ = ["layout", "write_head"]

_PYTHON = re.compile(rb"(?:bin/)?(python(?:3(?:\.\d+t?)?)?)\Z")
_OURS = (b".venvery/sync.json", b".venvery/sync.json.new", b".venvery/conflicts")


def write_head(stage: str, archive: Archive, python: Optional[str]) -> Set[bytes]:
    """Write the head into the staged folder and give the paths in it. Raises `ArchiveError`, `OSError`.

    Links may lead only from `bin/python…` to each other or to the base interpreter `python`, and from
    `lib64` to `lib`.
    """
    tree = open_tree(stage)
    written: Set[bytes] = set()
    try:
        for name, content in archive.documents:
            _write(tree, (b"0", name, 0o644, len(content), b""), content, python)
            written.add(name)
        for member, content in archive.head_members():
            name = member[1]
            check_path(name)
            if name.startswith(_OURS):
                raise ArchiveError("the head of the archive would write this client's own records")
            try:
                _write(tree, member, content, python or archive.head.python)
            except FileExistsError:
                raise ArchiveError(f"the head of the archive has {_shown(name)} twice") from None
            written.add(name)
    finally:
        tree.close()
    if b"pyvenv.cfg" not in written:
        raise ArchiveError("the archive is no virtualenv: it has no pyvenv.cfg")
    return written


def _write(tree: Tree, member: Member, content: bytes, python: Optional[str]) -> None:
    kind, name, mode, _, link = member
    if kind == b"5":
        tree.folder(name)
    elif kind == b"2":
        _check_link(name, link, python)
        tree.folder(name.rpartition(b"/")[0])
        os.symlink(link.decode("utf-8", "surrogateescape"), tree.path(name))
    elif mode not in (0o644, 0o755):
        raise ArchiveError(f"the head of the archive has a file of an odd mode ({_shown(name)})")
    else:
        descriptor = tree.create(name, mode)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)


def _check_link(name: bytes, link: bytes, python: Optional[str]) -> None:
    if name == b"lib64" and link == b"lib":
        return
    if name.startswith(b"bin/") and _PYTHON.match(name):
        target = _PYTHON.match(link)
        if target is not None and link == target[1] and name != b"bin/" + link:
            return
        if python and link in (os.fsencode(python), os.fsencode(os.path.normpath(python))):
            return
    raise ArchiveError(f"the archive has a link that may not be: {_shown(name)} to {_shown(link)}")


def layout(target: Any, python: Optional[str]) -> "tuple[str, Optional[str]]":
    """Give the packages folder of an environment and the path of its interpreter, both relative.

    The interpreter is None where the environment is not for this machine. Raises `ArchiveError`.
    """
    if not isinstance(target, dict):
        raise ArchiveError("the archive's manifest names no target")
    if target.get("os") == "nt":
        return "Lib/site-packages", "Scripts/python.exe" if python else None
    version = f"{target.get('python')}{target.get('threads') or ''}"
    if not re.match(r"3\.\d+t?\Z", version):
        raise ArchiveError("the archive's manifest names no Python version")
    return f"lib/python{version}/site-packages", "bin/python" if python else None


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))[:120]
