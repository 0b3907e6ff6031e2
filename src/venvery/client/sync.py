"""Make a folder exactly the environment that was asked for, or leave it as it is."""

from __future__ import annotations

import os

from venvery.client.state import (
    describe_packages,
    interpreter_identity,
    read_state,
    up_to_date,
    write_state,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set

    from venvery.client.archive import Archive, Manifest, Stream
    from venvery.client.errors import ClientError
    from venvery.client.lanes import Lanes
    from venvery.client.progress import Progress
    from venvery.client.store import Store
    from venvery.client.switch import Place
    from venvery.client.unpack import Done

    OpenArchive = Callable[[Dict[str, Any], List[str]], Stream]

__all__ = ["SyncRequest", "SyncResult", "sync", "up_to_date"]

ATTEMPTS = 4
"""How often a sync goes on after a connection that broke or a damaged layer in the store."""
FEW_LINKS = 6000
"""Files that are linked sooner by this process than by others that have to be made first."""
BYTES_A_FILE = 14
"""Decoding, hashing and writing 2^14 bytes takes about as long as making a file."""
MAX_HAVE = 4000
"""Layers that we name to the server at most."""


class SyncRequest:
    """What to make. `body` is that of `POST /v1/environments`, without `have` and `prefix`."""

    __slots__ = ("body", "digest", "interpreter", "server")

    def __init__(
        self,
        body: Dict[str, Any],
        digest: str,
        interpreter: Optional[str] = None,
        server: str = "",
    ) -> None:
        self.body = body
        self.digest = digest
        """Over the raw inputs; the environment is up to date as long as it stays the same."""
        self.interpreter = interpreter
        """The base interpreter that the environment will use. None: that of another machine."""
        self.server = server

    @property
    def python(self) -> Optional[str]:
        """The path of the base interpreter, as the server is told."""
        python = self.body.get("python")
        return python if isinstance(python, str) and os.path.isabs(python) else None


class SyncResult:
    """What was done."""

    __slots__ = ("changed", "key", "layers", "linked", "received", "warnings")

    def __init__(self, changed: bool, key: str, layers: int, linked: int, received: int) -> None:
        self.changed = changed
        """False when the folder already was that environment."""
        self.key = key
        self.layers = layers
        self.linked = linked
        """Layers that came from the local store."""
        self.received = received
        """Bytes of the answer."""
        self.warnings: List[str] = []


def sync(
    directory: str,
    request: SyncRequest,
    open_archive: OpenArchive,
    *,
    store: Optional[Store] = None,
    progress: Optional[Progress] = None,
    workers: Optional[int] = None,
    processes: Optional[bool] = None,
    force: bool = False,
    approve: Optional[Callable[[str], None]] = None,
) -> SyncResult:
    """Make `directory` the environment of `request`; `open_archive(body, accept)` asks the server.

    `workers` and `processes` choose how layers are unpacked (None: as suits the machine). `force` makes it
    anew although nothing changed. `approve` is shown the staged folder before it takes its place, and may
    raise. Raises `ClientError`; the folder is then as it was.
    """
    from venvery.client.errors import ClientError, LocalError
    from venvery.client.progress import Progress
    from venvery.client.switch import Place, remove_tree

    place = Place(directory)
    progress = progress or Progress()
    with place.lock(lambda: progress.waiting(f"another sync of {place.path} is running; waiting for it")):
        place = Place(directory)  # the one we waited for may have put something there
        place.repair()
        if not force and up_to_date(place.path, request.digest, locked=True):
            state = read_state(place.path) or {}
            return SyncResult(False, str(state.get("key")), 0, 0, 0)
        work = _Sync(place, request, open_archive, store, progress, workers, processes, approve)
        try:
            old = work.make()
        except OSError as error:
            work.discard()
            raise LocalError(f"{place.path} cannot be made: {error.strerror or error}") from error
        except BaseException:
            work.discard()
            raise
        progress.switched(place.path)
        if old is not None:
            remove_tree(old)
    if store is not None and work.stored:
        try:
            store.tidy()
        except (OSError, ClientError):
            pass  # the environment is there; the next run tidies
    return work.result()


class _Sync:
    """One sync under way; what is in place so far survives a broken connection."""

    def __init__(
        self,
        place: Place,
        request: SyncRequest,
        open_archive: OpenArchive,
        store: Optional[Store],
        progress: Progress,
        workers: Optional[int],
        processes: Optional[bool],
        approve: Optional[Callable[[str], None]],
    ) -> None:
        self._approve = approve
        self._place = place
        self._request = request
        self._open_archive = open_archive
        self._store = store
        self._progress = progress
        self._workers = workers
        self._processes = processes
        self._stage: Optional[str] = None
        self._head: Set[bytes] = set()
        """The paths of the head, once it is in place."""
        self._placed: Dict[str, Done] = {}
        self._received = 0
        self._manifest: Optional[Manifest] = None
        self.stored = False

    def make(self) -> Optional[str]:
        """Stage, check, switch. Gives the folder that was replaced."""
        from venvery.client.errors import CutOff
        from venvery.client.store import Damaged

        for attempt in range(ATTEMPTS):
            try:
                self._attempt()
                break
            except Damaged as error:
                last: ClientError = error  # the store has dropped it; now it is asked for
            except CutOff as error:
                last = error
                self._progress.waiting("the connection broke; asking for the rest")
            if attempt == ATTEMPTS - 1:
                raise last
        assert self._stage is not None
        if self._approve is not None:
            self._approve(self._stage)
        old = self._place.switch(self._stage)
        self._stage = None
        return old

    def discard(self) -> None:
        """Remove what was staged."""
        from venvery.client.switch import remove_tree

        if self._stage is not None:
            remove_tree(self._stage)
        self._stage = None
        self._head = set()
        self._placed = {}

    def result(self) -> SyncResult:
        """Say what was done."""
        assert self._manifest is not None
        linked = sum(1 for done in self._placed.values() if done.linked)
        return SyncResult(True, self._manifest.key, len(self._manifest.layers), linked, self._received)

    def _attempt(self) -> None:
        from venvery.client.archive import Archive, accepted_media_types

        have: List[str] = list(self._placed)
        if self._store is not None:
            have += [digest for digest in self._store.digests() if digest not in self._placed][:MAX_HAVE]
        body = {"prefix": self._place.path, **self._request.body, "have": have}
        self._progress.asking(self._request.server or "the server")
        stream = self._open_archive(body, accepted_media_types())
        try:
            archive = Archive(stream)
            try:
                self._take(archive, set(have))
            finally:
                self._received += archive.received
                archive.close()
        finally:
            stream.close()

    def _take(self, archive: Archive, have: Set[str]) -> None:
        """Take in one answer, up to its end."""
        from venvery.client.conflicts import settle
        from venvery.client.errors import ArchiveError

        manifest = archive.manifest
        if not set(archive.head.skipped) <= have:
            raise ArchiveError("the server left out layers that this machine does not have")
        if self._manifest is not None and not self._goes_on(manifest):
            self.discard()
        self._manifest = manifest
        self._take_head(archive)
        self._take_layers(archive)
        assert self._stage is not None
        settle(self._stage, [self._placed[layer.digest] for layer in manifest.layers], self._head)
        self._write_state(archive)

    def _goes_on(self, manifest: Manifest) -> bool:
        """Tell whether what is staged is part of the environment that the server speaks of now."""
        assert self._manifest is not None
        before = [layer.digest for layer in self._manifest.layers]
        return bool(self._head) and before == [layer.digest for layer in manifest.layers]

    def _take_head(self, archive: Archive) -> None:
        from venvery.client.head import write_head

        if self._head:
            for _ in archive.head_members():
                pass  # the same as before
            return
        self.discard()
        self._stage = self._place.stage()
        self._head = write_head(self._stage, archive, self._request.python)

    def _take_layers(self, archive: Archive) -> None:
        from venvery.client.errors import CutOff
        from venvery.client.lanes import Lanes, suits_processes
        from venvery.client.store import Damaged
        from venvery.client.unpack import Worker

        layers, skipped = archive.manifest.layers, set(archive.head.skipped)
        missing = [layer for layer in layers if layer.digest not in skipped]
        self._progress.manifest(len(layers), len(missing), sum(layer.size for layer in missing))
        assert self._stage is not None
        by_itself = self._workers is None and self._processes is None
        if by_itself and not missing and sum(layer.files for layer in layers) < FEW_LINKS:
            workers, processes = 1, False
        else:
            workers = self._workers or min(4, _cpus())
            processes = suits_processes() if self._processes is None else self._processes
        lanes = Lanes(Worker(self._stage, layers, self._store), workers, processes)
        cut: Optional[ClientError] = None
        try:
            self._distribute(archive, lanes)
            archive.finish()
        except CutOff as error:
            cut = error
            lanes.cut()
        except BaseException:
            lanes.cut()
            self._gather(archive, lanes.finish())
            raise
        failed = self._gather(archive, lanes.finish()) or lanes.failure
        if cut is not None and (failed is None or isinstance(failed, (CutOff, Damaged))):
            failed = cut
        if failed is not None:
            raise failed

    def _distribute(self, archive: Archive, lanes: Lanes) -> None:
        skipped = set(archive.head.skipped)
        for index, layer in enumerate(archive.manifest.layers):
            if layer.digest in skipped:
                if layer.digest not in self._placed:
                    lanes.link(index, layer.files or 1)
                continue
            left = archive.length(layer)
            if layer.digest in self._placed:
                archive.skip(left)  # it came whole before the connection broke, and a server need not heed `have`
                continue
            lanes.begin(index, archive.encoding, layer.files + (layer.size >> BYTES_A_FILE) + 1)
            while left:
                room = lanes.room(left)
                archive.fill(room)
                lanes.send(len(room))
                left -= len(room)
                self._progress.received(archive.received)
            lanes.end()

    def _gather(self, archive: Archive, results: Dict[int, Any]) -> Optional[ClientError]:
        """Remember what is in place; give the worst error, the ones that can be mended last."""
        from venvery.client.errors import CutOff
        from venvery.client.store import Damaged
        from venvery.client.unpack import Done

        failed: List[ClientError] = []
        for index, result in sorted(results.items()):
            if isinstance(result, Done):
                self._placed[archive.manifest.layers[index].digest] = result
                self.stored = self.stored or (result.stored and not result.linked)
            else:
                failed.append(result)
        for error in failed:
            if isinstance(error, Damaged) and self._store is not None:
                self._store.distrust(error.digest)
        failed.sort(key=lambda error: isinstance(error, (Damaged, CutOff)))
        return failed[0] if failed else None

    def _write_state(self, archive: Archive) -> None:
        from venvery.client.head import layout

        assert self._stage is not None
        interpreter = self._request.interpreter
        packages, python = layout(archive.manifest.document.get("target"), interpreter)
        write_state(
            self._stage,
            {
                "request": self._request.digest,
                "key": archive.manifest.key,
                "server": self._request.server,
                "directory": self._place.path,
                "python": python,
                "interpreter": interpreter_identity(interpreter) if interpreter else None,
                "packages": describe_packages(self._stage, packages),
                "head": {"python": archive.head.python, "prefix": archive.head.prefix},
            },
        )


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
