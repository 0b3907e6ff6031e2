"""Lanes: several workers that unpack layers side by side, in threads or in forked processes.

Layers are given out in the order of the stream, each to the lane with the least to do. What was read but
not yet taken by a worker is bounded; since bytes are given out in the order in which they came, the lane
that everybody waits for always has its bytes already.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import struct
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple

from venvery.client import errors
from venvery.client.errors import ClientError, LocalError
from venvery.client.store import Damaged
from venvery.client.unpack import CUT, DATA, END, LINK, STOP, UNPACK, Done, Message, Worker

__all__ = ["Lanes", "suits_processes"]

BUFFERED = 64 << 20
"""Bytes that may wait for workers."""
LINKS = 500
"""Files from which on a layer of the store is put in place by several workers."""
_MESSAGE = struct.Struct("<BIQ")


def suits_processes() -> bool:
    """Tell whether forking is safe and pays here: Linux, more than one CPU, and no thread besides us."""
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return threading.active_count() == 1


class _Budget:
    """A bounded number of bytes under way; failing it wakes whoever waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._change = threading.Condition()
        self.failure: Optional[ClientError] = None

    def take(self, count: int) -> None:
        with self._change:
            while self._used and self._used + count > self._limit and self.failure is None:
                self._change.wait()
            self._used += count

    def give(self, count: int) -> None:
        with self._change:
            self._used -= count
            self._change.notify_all()

    def fail(self, error: ClientError) -> None:
        with self._change:
            if self.failure is None:
                self.failure = error
            self._change.notify_all()


class _Lane:
    """A queue of messages and whoever takes them."""

    def __init__(self, worker: Worker, budget: _Budget, results: Dict[int, List[Any]]) -> None:
        self.load = 0
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._worker = worker
        self._budget = budget
        self._results = results
        self._threads: List[threading.Thread] = []

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._guarded, daemon=True)]
        self._threads[0].start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _guarded(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            self._budget.fail(LocalError(f"a part of this program stopped: {error!r}"))

    def _serve(self) -> None:
        self._worker.run(self._receive, self._report)

    def _receive(self) -> Message:
        message = self.messages.get()
        if message[0] == DATA:
            self._budget.give(len(message[2]))
        return message

    def _report(self, index: int, result: object) -> None:
        self._results.setdefault(index, []).append(result)
        if isinstance(result, ClientError) and not isinstance(result, Damaged):
            self._budget.fail(result)


class _ProcessLane(_Lane):
    """A lane whose worker is a forked process; one thread feeds it, one hears it."""

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
            _be_worker(self._worker, ours, theirs)
            code = 0
        finally:
            os._exit(code)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._guarded, daemon=True),
            threading.Thread(target=self._hear, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        try:
            while True:
                message = self._receive()
                _write_message(self._feed_end, *message)
                if message[0] == STOP:
                    return
        except BrokenPipeError:
            pass  # whoever hears it says why
        finally:
            os.close(self._feed_end)

    def _hear(self) -> None:
        with os.fdopen(self._hear_end, "rb") as pipe:
            while True:
                header = pipe.read(_MESSAGE.size)
                if len(header) < _MESSAGE.size:
                    break
                what, index, size = _MESSAGE.unpack(header)
                if what == STOP:
                    self._said_goodbye = True
                    break
                self._report(index, _from_wire(pipe.read(size)))
        if not getattr(self, "_said_goodbye", False):
            self._budget.fail(LocalError("a worker process was killed"))

    def wait(self) -> None:
        super().wait()
        os.waitpid(self.pid, 0)


class Lanes:
    """The workers of one sync. Use: `begin`, `feed`…, `end` for each layer; `link`; then `finish`."""

    def __init__(self, worker: Worker, count: int, processes: bool) -> None:
        self._worker = worker
        self._budget = _Budget(BUFFERED)
        self._results: Dict[int, List[Any]] = {}
        kind = _ProcessLane if processes else _Lane
        self._lanes = [kind(worker, self._budget, self._results) for _ in range(count)]
        self._current: Tuple[_Lane, int] = (self._lanes[0], 0)
        for number, lane in enumerate(self._lanes):
            if isinstance(lane, _ProcessLane):
                lane.fork([other for other in self._lanes[:number] if isinstance(other, _ProcessLane)])
        for lane in self._lanes:
            lane.start()

    def begin(self, index: int, encoding: str, work: int) -> None:
        """Start a layer on the lane with the least work."""
        lane = self._least(work)
        self._current = lane, index
        lane.messages.put((UNPACK, index, encoding.encode()))

    def feed(self, piece: bytes) -> None:
        """Hand on a piece of the current layer. Raises the first error of any worker."""
        self._budget.take(len(piece))
        if self._budget.failure is not None:
            raise self._budget.failure
        lane, index = self._current
        lane.messages.put((DATA, index, piece))

    def end(self) -> None:
        """Say that the current layer is whole."""
        lane, index = self._current
        lane.messages.put((END, index, b""))

    def cut(self) -> None:
        """Say that the rest of the current layer will not come."""
        lane, index = self._current
        lane.messages.put((CUT, index, b""))

    def link(self, index: int, work: int) -> None:
        """Have a layer of the store put in place."""
        parts = max(1, min(len(self._lanes), work // LINKS))
        for which in range(parts):
            self._least(work // parts).messages.put((LINK, index, bytes([which, parts])))

    def finish(self) -> Dict[int, Any]:
        """Wait for all; give what became of each layer: a `Done` or an error."""
        for lane in self._lanes:
            lane.messages.put((STOP, 0, b""))
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
        return self._budget.failure

    def _least(self, work: int) -> _Lane:
        lane = min(self._lanes, key=lambda lane: lane.load)
        lane.load += work
        return lane


# The other side of a fork


def _be_worker(worker: Worker, feed: int, hear: int) -> None:
    with os.fdopen(feed, "rb", buffering=1 << 16) as pipe:

        def receive() -> Message:
            header = pipe.read(_MESSAGE.size)
            if len(header) < _MESSAGE.size:
                os._exit(1)  # the one who fed us is gone
            what, index, size = _MESSAGE.unpack(header)
            return what, index, pipe.read(size)

        def report(index: int, result: object) -> None:
            _write_message(hear, DATA, index, _to_wire(result))

        worker.run(receive, report)
    _write_message(hear, STOP, 0, b"")


def _write_message(descriptor: int, what: int, index: int, payload: bytes) -> None:
    view = memoryview(_MESSAGE.pack(what, index, len(payload)) + payload)
    while view:
        view = view[os.write(descriptor, view) :]


def _to_wire(result: object) -> bytes:
    if isinstance(result, Done):
        listing = {
            k.decode("latin-1"): [[n.decode("latin-1"), s] for n, s in v] for k, v in result.listing.items()
        }
        conflicts = [[a.decode("latin-1"), b.decode("latin-1")] for a, b in result.conflicts]
        return json.dumps({"listing": listing, "conflicts": conflicts, "done": result[2:]}).encode()
    if isinstance(result, Damaged):
        return json.dumps({"damaged": result.digest}).encode()
    assert isinstance(result, ClientError)
    return json.dumps({"error": [type(result).__name__, str(result), result.hint]}).encode()


def _from_wire(data: bytes) -> object:
    said = json.loads(data)
    if "damaged" in said:
        return Damaged(said["damaged"])
    if "error" in said:
        name, message, hint = said["error"]
        return getattr(errors, name, ClientError)(message, hint=hint)
    listing = {k.encode("latin-1"): [(n.encode("latin-1"), s) for n, s in v] for k, v in said["listing"].items()}
    conflicts = [(a.encode("latin-1"), b.encode("latin-1")) for a, b in said["conflicts"]]
    return Done(listing, conflicts, *said["done"])
