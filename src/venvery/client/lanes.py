"""Lanes: several workers that unpack layers side by side, in threads or in forked processes.

Layers are given out in the order of the stream, each to the lane with the least to do. The bytes lie in slots
of memory that all share: whoever reads the connection fills a slot, a worker empties it and gives it back. Since
bytes are given out in the order in which they came, the lane that everybody waits for always has its bytes.
"""

from __future__ import annotations

import functools
import marshal
import mmap
import os
import struct
import sys
import threading

from venvery.client import errors
from venvery.client.errors import ClientError, LocalError
from venvery.client.store import Damaged
from venvery.client.unpack import CUT, DATA, END, LINK, PLAIN, STOP, UNPACK, ZSTD, Done

TYPE_CHECKING = False
if TYPE_CHECKING:
    import queue
    from typing import Any, Dict, List, Optional, Tuple

    from venvery.client.unpack import Message, Worker

__all__ = ["SLOT", "Lanes", "suits_processes"]

SLOT = 128 << 10
"""Bytes of a slot."""
SLOTS = 512
"""How many bytes may wait for workers, in slots; those that were never needed cost nothing."""
LINKS = 500
"""Files from which on a layer of the store is put in place by several workers."""
_MESSAGE = struct.Struct("<BIII")
_REPORT = struct.Struct("<BIQ")
_GOODBYE, _RESULT, _FREE = range(3)


def suits_processes() -> bool:
    """Tell whether forking is safe and pays here: Linux, more than one CPU, and no thread besides us."""
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return threading.active_count() == 1


class _Slots:
    """Memory that is shared with forked workers; failing wakes whoever waits for a slot."""

    def __init__(self) -> None:
        self._view = memoryview(mmap.mmap(-1, SLOT * SLOTS))
        self._free = list(range(SLOTS - 1, -1, -1))
        self._change = threading.Condition()
        self.failure: Optional[ClientError] = None

    def take(self) -> int:
        """Give a slot to be filled, the one that was emptied last. Raises the first error of any worker."""
        with self._change:
            while not self._free and self.failure is None:
                self._change.wait()
            if self.failure is not None:
                raise self.failure
            return self._free.pop()

    def give_back(self, slot: int) -> None:
        with self._change:
            self._free.append(slot)
            self._change.notify()

    def view(self, slot: int, length: int) -> memoryview:
        return self._view[slot * SLOT : slot * SLOT + length]

    def fail(self, error: ClientError) -> None:
        with self._change:
            if self.failure is None:
                self.failure = error
            self._change.notify_all()


class _Lane:
    """A worker in a thread, and the messages to it."""

    def __init__(self, worker: Worker, slots: _Slots, results: Dict[int, List[Any]]) -> None:
        self.load = 0
        self._worker = worker
        self._slots = slots
        self._results = results
        self._messages: queue.SimpleQueue[Message]

    def start(self) -> None:
        import queue

        self._messages = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def send(self, what: int, index: int, one: int = 0, two: int = 0) -> None:
        self._messages.put((what, index, one, two))

    def wait(self) -> None:
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._slots.fail(LocalError(f"a part of this program stopped: {error!r}"))

    def _serve(self) -> None:
        slots = self._slots
        self._worker.run(self._messages.get, slots.view, slots.give_back, self._report)

    def _report(self, index: int, result: object) -> None:
        self._results.setdefault(index, []).append(result)
        if isinstance(result, ClientError) and not isinstance(result, Damaged):
            self._slots.fail(result)


class _ProcessLane(_Lane):
    """A lane whose worker is a forked process; one thread hears what it says."""

    def fork(self, others: List[_ProcessLane]) -> None:
        """Make the process. To be called before any thread is started."""
        ours, self._feed_end = os.pipe()
        self._hear_end, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(ours)
            os.close(theirs)
            return
        code = 1
        try:
            for lane in [self, *others]:
                os.close(lane._feed_end)
                os.close(lane._hear_end)
            _be_worker(self._worker, self._slots, ours, theirs)
            code = 0
        finally:
            os._exit(code)

    def start(self) -> None:
        self._gone = False
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def send(self, what: int, index: int, one: int = 0, two: int = 0) -> None:
        if self._gone:
            return
        try:
            os.write(self._feed_end, _MESSAGE.pack(what, index, one, two))  # shorter than PIPE_BUF: whole or not
        except BrokenPipeError:
            self._gone = True  # whoever hears it says why

    def _serve(self) -> None:
        with os.fdopen(self._hear_end, "rb") as pipe:
            while True:
                header = pipe.read(_REPORT.size)
                if len(header) < _REPORT.size:
                    self._slots.fail(LocalError("a worker process was killed"))
                    return
                what, index, size = _REPORT.unpack(header)
                if what == _FREE:
                    self._slots.give_back(index)
                elif what == _RESULT:
                    self._report(index, _from_wire(pipe.read(size)))
                else:
                    return

    def wait(self) -> None:
        os.close(self._feed_end)
        super().wait()
        os.waitpid(self.pid, 0)


class Lanes:
    """The workers of one sync.

    For each layer: `begin`, then `room` and `send` in turn, `end`; or `link`. Then `finish`.
    """

    def __init__(self, worker: Worker, count: int, processes: bool) -> None:
        self._worker = worker
        self._slots = _Slots()
        self._results: Dict[int, List[Any]] = {}
        kind = _ProcessLane if processes else _Lane
        self._lanes = [kind(worker, self._slots, self._results) for _ in range(count)]
        self._current: Tuple[_Lane, int] = (self._lanes[0], 0)
        self._slot = -1
        for number, lane in enumerate(self._lanes):
            if isinstance(lane, _ProcessLane):
                lane.fork([other for other in self._lanes[:number] if isinstance(other, _ProcessLane)])
        for lane in self._lanes:
            lane.start()

    def begin(self, index: int, encoding: str, work: int) -> None:
        """Start a layer on the lane with the least work."""
        lane = self._least(work)
        self._current = lane, index
        lane.send(UNPACK, index, ZSTD if encoding == "zstd" else PLAIN)

    def room(self, length: int) -> memoryview:
        """Give memory for the next bytes of the current layer, `length` or less. Raises a worker's first error."""
        self._slot = self._slots.take()
        return self._slots.view(self._slot, min(length, SLOT))

    def send(self, length: int) -> None:
        """Hand on the bytes that were put where `room` said."""
        lane, index = self._current
        lane.send(DATA, index, self._slot, length)

    def end(self) -> None:
        """Say that the current layer is whole."""
        lane, index = self._current
        lane.send(END, index)

    def cut(self) -> None:
        """Say that the rest of the current layer will not come."""
        lane, index = self._current
        lane.send(CUT, index)

    def link(self, index: int, work: int) -> None:
        """Have a layer of the store put in place."""
        parts = max(1, min(len(self._lanes), work // LINKS))
        for which in range(parts):
            self._least(work // parts).send(LINK, index, which, parts)

    def finish(self) -> Dict[int, Any]:
        """Wait for all; give what became of each layer: a `Done` or an error."""
        for lane in self._lanes:
            lane.send(STOP, 0)
        for lane in self._lanes:
            lane.wait()
        return {index: self._together(shares) for index, shares in self._results.items()}

    def _together(self, shares: List[Any]) -> Any:
        """Put the shares of a layer together; where one failed, the others are taken back."""
        done = [share for share in shares if isinstance(share, Done)]
        failed = [share for share in shares if not isinstance(share, Done)]
        if failed:
            for share in done:
                self._worker.take_back(share)
            return failed[0]
        return functools.reduce(Done.joined, done)

    @property
    def failure(self) -> Optional[ClientError]:
        """The first error of any worker that is not a damaged layer of the store."""
        return self._slots.failure

    def _least(self, work: int) -> _Lane:
        lane = min(self._lanes, key=lambda lane: lane.load)
        lane.load += work
        return lane


# The other side of a fork


def _be_worker(worker: Worker, slots: _Slots, feed: int, hear: int) -> None:
    with os.fdopen(feed, "rb", buffering=1 << 14) as pipe:

        def receive() -> Message:
            message = pipe.read(_MESSAGE.size)
            if len(message) < _MESSAGE.size:
                os._exit(1)  # the one who fed us is gone
            what, index, one, two = _MESSAGE.unpack(message)
            return what, index, one, two

        def give_back(slot: int) -> None:
            _write(hear, _REPORT.pack(_FREE, slot, 0))

        def report(index: int, result: object) -> None:
            payload = _to_wire(result)
            _write(hear, _REPORT.pack(_RESULT, index, len(payload)) + payload)

        worker.run(receive, slots.view, give_back, report)
    _write(hear, _REPORT.pack(_GOODBYE, 0, 0))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _to_wire(result: object) -> bytes:
    if isinstance(result, Done):
        return marshal.dumps((result.listing, result.conflicts, result.stored, result.linked))
    if isinstance(result, Damaged):
        return marshal.dumps(result.digest)
    assert isinstance(result, ClientError)
    return marshal.dumps([type(result).__name__, str(result), result.hint])


def _from_wire(data: bytes) -> object:
    said = marshal.loads(data)  # of a process that we have forked
    if isinstance(said, str):
        return Damaged(said)
    if isinstance(said, list):
        name, message, hint = said
        return getattr(errors, name, ClientError)(message, hint=hint)
    return Done(*said)
