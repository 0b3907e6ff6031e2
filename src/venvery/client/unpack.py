"""Layers to files: what one worker does with one layer, verified by its digest while it passes.

A worker is told what to do by messages (`lanes` carries them, to a thread or to another process).
"""

from __future__ import annotations

import hashlib
import os

from venvery.client.archive import decode_zstd_frames
from venvery.client.errors import ArchiveError, ClientError, CutOff, LocalError
from venvery.client.tarball import Window, members
from venvery.client.tree import open_tree, sentence_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    import queue
    from typing import Any, Callable, Generator, Iterator, List, Optional, Sequence, Tuple

    from venvery.client.archive import Layer
    from venvery.client.store import Store
    from venvery.client.tree import Listing, Tree

    Conflict = Tuple[bytes, bytes]
    """(path, where its content lies instead)"""
    Message = Tuple[int, int, int, int]

__all__ = ["CONFLICTS", "CUT", "DATA", "END", "LINK", "PLAIN", "STOP", "UNPACK", "ZSTD", "Done", "Worker"]

STOP, UNPACK, DATA, END, CUT, LINK = range(6)
"""Messages to a worker: (what, index of the layer, two numbers).

The numbers of UNPACK: the encoding; of DATA: a slot and how many bytes are in it; of LINK: which share of the
layer's folders, of how many.
"""
PLAIN, ZSTD = range(2)

CONFLICTS = b".venvery/conflicts"
"""Where a file goes whose place another layer has taken, until all layers are there."""

LARGE = 32 << 20
"""Bytes from which on a layer is hashed by a thread of its own."""
AHEAD = 32
"""Chunks that may wait to be hashed."""
_MODES = (0o644, 0o755)


class Done:
    """A layer that is in place."""

    __slots__ = ("conflicts", "linked", "listing", "stored")

    def __init__(self, listing: Listing, conflicts: List[Conflict], stored: bool, linked: bool) -> None:
        self.listing = listing
        self.conflicts = conflicts
        self.stored = stored
        """Whether the layer store has it now."""
        self.linked = linked

    def joined(self, other: Done) -> Done:
        """Put two shares of a layer together; they have no folder in common."""
        return Done({**self.listing, **other.listing}, self.conflicts + other.conflicts, self.stored, self.linked)


class Worker:
    """Puts layers into the staged folder, one after the other."""

    def __init__(self, stage: str, layers: Sequence[Layer], store: Optional[Store]) -> None:
        self._stage = stage
        self._layers = layers
        self._store = store

    def run(
        self,
        receive: Callable[[], Message],
        take: Callable[[int, int], memoryview],
        give_back: Callable[[int], None],
        report: Callable[[int, object], None],
    ) -> None:
        """Do what the messages say until STOP; report a `Done` or an error for each layer.

        `take` gives so many bytes of a slot, which is given back when they are not needed any more.
        """

        def data() -> Generator[memoryview, None, None]:
            while True:
                what, _, slot, length = receive()
                if what == END:
                    return
                if what == CUT:
                    raise CutOff("the archive ended before its end")
                try:
                    yield take(slot, length)
                finally:
                    give_back(slot)

        while True:
            what, index, one, two = receive()
            if what == STOP:
                return
            if what == DATA:
                give_back(one)  # of a layer that is refused already
                continue
            try:
                if what == LINK:
                    report(index, self.link(index, one, two))
                elif what == UNPACK:
                    pieces = data()
                    try:
                        report(index, self.unpack(index, one == ZSTD, pieces))
                    finally:
                        pieces.close()
            except ClientError as error:
                report(index, error)
            except ValueError as error:  # a name that this system cannot have
                report(index, ArchiveError(f"{self._layers[index].name} cannot be unpacked: {error}"))
            except OSError as error:
                what_failed = f"{self._layers[index].name} cannot be written to {self._stage}"
                report(index, sentence_for(error, what_failed))

    def unpack(self, index: int, zstd: bool, pieces: Iterator[memoryview]) -> Done:
        """Unpack and verify one layer, then offer it to the store. Raises `ClientError`, `OSError`."""
        layer = self._layers[index]
        tree = open_tree(self._stage)
        listing: Listing = {}
        conflicts: List[Conflict] = []
        try:
            chunks = decode_zstd_frames(layer.frames, pieces) if zstd else map(bytes, pieces)
            write_layer(tree, verified(layer, chunks), listing, conflicts, index)
            stored = self._store is not None and self._store.add(layer, tree, listing, conflicts)
            return Done(listing, conflicts, stored, False)
        except BaseException:
            _take_back(tree, listing, conflicts)
            raise
        finally:
            tree.close()

    def link(self, index: int, which: int = 0, parts: int = 1) -> Done:
        """Put a layer of the store, or a share of it, in place. Raises `store.Damaged`."""
        assert self._store is not None
        tree = open_tree(self._stage)
        listing: Listing = {}
        conflicts: List[Conflict] = []
        aside = aside_prefix(index) + b"%d-" % which
        try:
            self._store.place(self._layers[index], tree, listing, conflicts, aside, (which, parts))
            return Done(listing, conflicts, True, True)
        except BaseException:
            _take_back(tree, listing, conflicts)
            raise
        finally:
            tree.close()

    def take_back(self, done: Done) -> None:
        """Remove what was put in place."""
        tree = open_tree(self._stage)
        try:
            _take_back(tree, done.listing, done.conflicts)
        finally:
            tree.close()


def verified(layer: Layer, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the bytes of a layer; at their end they must have been the right ones."""
    digest: Any = _AsideDigest() if layer.size >= LARGE else hashlib.sha256()
    left = layer.size
    try:
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            yield chunk
    finally:
        found = digest.hexdigest()
    if left or "sha256:" + found != layer.digest:
        raise ArchiveError(f"{layer.name} is not what the manifest promised: its digest is another")


class _AsideDigest:
    """A SHA-256 that another thread computes: a huge layer is not decoded, hashed and written by one alone."""

    def __init__(self) -> None:
        import queue
        import threading

        self._digest = hashlib.sha256()
        self._chunks: queue.Queue[Optional[bytes]] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def _compute(self) -> None:
        for chunk in iter(self._chunks.get, None):
            self._digest.update(chunk)

    def update(self, chunk: bytes) -> None:
        self._chunks.put(chunk)

    def hexdigest(self) -> str:
        """Give the digest of all that was added; to be called once."""
        self._chunks.put(None)
        self._thread.join()
        return self._digest.hexdigest()


def aside_prefix(index: int) -> bytes:
    """Give the start of the names under which a layer's conflicting files lie."""
    return b"%s/%d-" % (CONFLICTS, index)


def write_layer(
    tree: Tree, chunks: Iterator[bytes], listing: Listing, conflicts: List[Conflict], index: int
) -> None:
    """Write the members of one layer; `listing` and `conflicts` grow as files are made."""
    window = Window(chunks)
    folder: Optional[bytes] = None
    files: List[Tuple[bytes, int]] = []
    write, close, create = os.write, os.close, tree.create
    for kind, name, mode, size, _ in members(window):
        if kind == b"5":
            check_place(name)
            tree.folder(name)
            listing.setdefault(name, [])
            continue
        if kind != b"0" or mode not in _MODES:
            raise ArchiveError(f"a layer has a member that is no plain file ({_shown(name)})")
        parent, _, base = name.rpartition(b"/")
        if parent != folder:
            check_place(name)
            folder = parent
            files = listing.setdefault(parent, [])
        try:
            descriptor = create(name, mode)
            files.append((base, size))
        except FileExistsError:
            descriptor = _set_aside(tree, name, mode, listing, conflicts, index)
        try:
            at = window.at
            if len(window.data) - at >= size:
                # Nearly always: the whole content is in memory.
                window.at = at + size
                if size and write(descriptor, window.view[at : at + size]) != size:
                    raise LocalError(f"the disk is full ({_shown(name)})")
            else:
                for piece in window.take(size):
                    _write(descriptor, piece)
        finally:
            close(descriptor)
        missing = -size % 512
        if len(window.data) - window.at >= missing:
            window.at += missing
        else:
            window.pad(size)


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def check_place(name: bytes) -> None:
    """Refuse what no layer may write: our own records and what makes the folder an environment."""
    first = name.split(b"/", 1)[0].lower()
    if first in (b".venvery", b"pyvenv.cfg"):
        raise ArchiveError(f"a layer would write {_shown(name)}, which is not its to write")


def _set_aside(tree: Tree, name: bytes, mode: int, listing: Listing, conflicts: List[Conflict], index: int) -> int:
    """Open another place for a file whose own is taken; which of them wins is decided at the end."""
    parent, _, base = name.rpartition(b"/")
    if any(base == other for other, _ in listing.get(parent, ())) or any(name == c[0] for c in conflicts):
        raise ArchiveError(f"a layer has {_shown(name)} twice")
    aside = b"%s%d" % (aside_prefix(index), len(conflicts))
    descriptor = tree.create(aside, mode)
    conflicts.append((name, aside))
    return descriptor


def _take_back(tree: Tree, listing: Listing, conflicts: List[Conflict]) -> None:
    """Remove the files of a layer that did not come whole."""
    for parent, files in listing.items():
        for base, _ in files:
            _remove(tree, parent + b"/" + base if parent else base)
    for _, aside in conflicts:
        _remove(tree, aside)


def _remove(tree: Tree, path: bytes) -> None:
    try:
        tree.unlink(path)
    except OSError:
        pass  # the staged folder is removed as a whole then


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))[:120]
