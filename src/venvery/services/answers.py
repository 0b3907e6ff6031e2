"""Answers that are remembered, each exactly as long as no listing that it rests on has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import isinf

from venvery import __version__
from venvery.catalog.catalog import Catalog
from venvery.errors import VenveryError
from venvery.model.digests import canonical_json, sha256
from venvery.model.lock import Lock
from venvery.model.names import NormalizedName
from venvery.model.requests import NameSet, Options, ResolveRequest
from venvery.model.requirements import Requirement
from venvery.model.sources import UPLOADED
from venvery.resolve.readers import lock_from_document
from venvery.services.locks import LockFormat, render_lock
from venvery.services.policing import Policing
from venvery.storage.answers import NewAnswer
from venvery.storage.database import Database

__all__ = ["Answer", "Answered", "Answers", "request_key"]

MOST_WEIGHT = 256 * 1024**2
"""Bytes of the answers that are held in memory: about 700 of a hundred projects each."""
MOST_STORED = 20_000
"""Answers that are kept in the database; those that were not used for longest go first."""
_UPLOADED = UPLOADED.encode()
_TIDY_EVERY = 256
_WRITE_AFTER = 0.5
"""Seconds for which answers wait to be written down together; whoever asked has them by then."""


class Answer:
    """A lock, the revisions of all listings that were looked at to find it, and what it looks like written."""

    __slots__ = (
        "__weakref__",
        "_rendered",
        "changes",
        "checked_at",
        "ends_at",
        "footprint",
        "fresh_until",
        "lock",
        "policy",
        "weight",
    )

    def __init__(
        self,
        lock: Lock,
        footprint: Mapping[NormalizedName, str],
        *,
        policy: str = "",
        ends_at: datetime | None = None,
    ) -> None:
        self.lock = lock
        self.footprint = footprint
        self.weight = _weight(lock)
        """Bytes that it may come to, every form written."""
        self.policy = policy
        """The identity of the policy on releases under which it was found."""
        self.ends_at = float("inf") if ends_at is None else ends_at.timestamp()
        """When a release that was too new is old enough; from then on it has to be found anew."""
        self.changes = -1
        """`Catalog.changes` when the footprint was last seen to hold."""
        self.fresh_until = 0.0
        self.checked_at = 0.0
        """When the listing that was looked at longest ago was looked at."""
        self._rendered: dict[str, tuple[bytes, bool]] = {}

    def with_lock(self, lock: Lock) -> Answer:
        """Give the same answer with a lock that says more."""
        other = Answer(lock, self.footprint, policy=self.policy)
        other.ends_at = self.ends_at
        return other

    def render(self, form: LockFormat) -> bytes:
        """Write the lock in a form; each form is written once."""
        return self._written(form)[0]

    def names_uploads(self, form: LockFormat) -> bool:
        """Tell whether that has URLs of uploaded files in it, which say nothing of this server's address yet."""
        return self._written(form)[1]

    def _written(self, form: LockFormat) -> tuple[bytes, bool]:
        written = self._rendered.get(form)
        if written is None:
            rendered = render_lock(self.lock, form).encode()
            written = self._rendered[form] = rendered, _UPLOADED in rendered
        return written


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as one request got it."""

    answer: Answer
    answers: Answers
    """Those of its view, which know how long it holds."""
    remembered: bool
    """False when it was computed for this request, or for an equal one at the same time."""

    @property
    def lock(self) -> Lock:
        """The lock itself."""
        return self.answer.lock


class Answers:
    """Remembers answers, in memory and in the database. Belongs to one event loop, as the catalog does."""

    def __init__(self, catalog: Catalog, database: Database, policing: Policing) -> None:
        self._catalog = catalog
        self._policing = policing
        self._database = database
        self.most_weight = MOST_WEIGHT
        """Bytes that all answers in memory may weigh together; the newest stays whatever it weighs."""
        self._held: OrderedDict[str, Answer] = OrderedDict()
        self._weight = 0
        self._unwritten: dict[str, Answer] = {}
        self._writing: asyncio.Task[None] | None = None
        self._written = _TIDY_EVERY - 1  # the first one tidies: many a process writes no more
        self._in_haste = asyncio.Event()

    def holds_now(self, answer: Answer) -> bool:
        """Tell, without looking at a single listing, whether an answer certainly still holds.

        It does while it is fresh, no listing of the catalog has changed since it was last checked, and the policy
        on releases is the one that it was found under.
        """
        return (
            answer.changes == self._catalog.changes
            and self._catalog.clock() < answer.fresh_until
            and answer.policy == self._policing.identity
        )

    def age(self, answer: Answer) -> float:
        """Give the seconds since the least recently checked listing of an answer was checked."""
        return max(0.0, self._catalog.clock() - answer.checked_at) if answer.footprint else 0.0

    async def get(self, key: str) -> Answer | None:
        """Give the answer that is remembered for a request, once its listings are fresh and found unchanged.

        Raises `SourceFailed` when a source that must be asked again fails.
        """
        answer = self._held.get(key)
        if answer is not None:
            self._held.move_to_end(key)
            if self.holds_now(answer):
                return answer
        else:
            answer = await asyncio.to_thread(self._load, key)
            if answer is None:
                return None
            self._hold(key, answer)
        if await self._still_holds(answer):
            return answer
        if self._held.get(key) is answer:
            self._let_go(key)
        return None

    def put(self, key: str, answer: Answer) -> None:
        """Remember an answer that was just computed."""
        self._check_now(answer)
        self._hold(key, answer)
        self._unwritten[key] = answer
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def flush(self) -> None:
        """Wait until all answers are in the database."""
        self._in_haste.set()
        if self._writing is not None:
            await self._writing
        self._in_haste.clear()

    def _hold(self, key: str, answer: Answer) -> None:
        if key in self._held:
            self._let_go(key)
        self._held[key] = answer
        self._weight += answer.weight
        while len(self._held) > 1 and self._weight > self.most_weight:
            self._let_go(next(iter(self._held)))

    def _let_go(self, key: str) -> None:
        self._weight -= self._held.pop(key).weight

    async def _still_holds(self, answer: Answer) -> bool:
        """Ask again for every listing that is past the freshness window, all at once, and compare revisions."""
        if answer.policy != self._policing.identity or self._catalog.clock() >= answer.ends_at:
            return False
        changes = self._catalog.changes
        stamps = await self._catalog.stamps(answer.footprint)
        for project, revision in answer.footprint.items():
            stamp = stamps.get(project)
            if stamp is None or stamp.revision != revision:
                return False
        answer.changes = changes  # as it was before: what changed meanwhile is looked at next time
        answer.fresh_until = min([answer.ends_at, *(stamp.fresh_until for stamp in stamps.values())])
        answer.checked_at = min((stamp.checked_at for stamp in stamps.values()), default=0.0)
        return True

    def _check_now(self, answer: Answer) -> None:
        """Note since when, and for how long, a new answer holds; if a listing changed meanwhile: not at all."""
        stamps = self._catalog.peek_stamps(answer.footprint)
        known = [stamp for stamp in stamps if stamp is not None]
        answer.checked_at = min([stamp.checked_at for stamp in known], default=self._catalog.clock())
        if [stamp.revision for stamp in known] == list(answer.footprint.values()):
            answer.changes = self._catalog.changes
            answer.fresh_until = min([answer.ends_at, *(stamp.fresh_until for stamp in known)])

    def _load(self, key: str) -> Answer | None:
        stored = self._database.answers.get(key)
        if stored is None:
            return None
        try:
            lock = lock_from_document(stored.lock)
        except VenveryError:
            return None  # written by a venvery that writes locks otherwise
        self._database.answers.touch(key)
        return Answer(
            lock,
            {NormalizedName(project): seen for project, seen in stored.footprint.items()},
            policy=self._policing.identity,  # it is part of what the request is known by
            ends_at=None if stored.ends_at is None else datetime.fromtimestamp(stored.ends_at, UTC),
        )

    async def _write(self) -> None:
        while self._unwritten:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._in_haste.wait(), _WRITE_AFTER)
            answers, self._unwritten = self._unwritten, {}
            with suppress(VenveryError):  # they are right all the same; the next process computes them again
                await asyncio.to_thread(self._store, answers)

    def _store(self, answers: Mapping[str, Answer]) -> None:
        self._database.answers.put_many({key: _new(answer) for key, answer in answers.items()})
        if self._written % _TIDY_EVERY + len(answers) >= _TIDY_EVERY:
            self._database.answers.keep_newest(MOST_STORED)
        self._written += len(answers)


def _new(answer: Answer) -> NewAnswer:
    return NewAnswer(
        answer.render("json"),
        {str(project): seen for project, seen in answer.footprint.items()},
        None if isinf(answer.ends_at) else answer.ends_at,
    )


def _weight(lock: Lock) -> int:
    """Estimate the bytes of a lock with everything that is made from it; sparing one look at each part of it."""
    parts = sum(1 + len(pin.files) + len(pin.edges) for pin in lock.pins)
    return 4096 + 1024 * (parts + len(lock.requirements))


def request_key(request: ResolveRequest, catalog: str, said: tuple[str, ...] = ()) -> str:
    """Give a digest of everything that decides what a lock holds, but for what the sources have.

    `catalog` names the sources; `said` are warnings that the lock carries. Where a requirement was written
    counts, for the lock tells it.
    """
    return sha256(
        canonical_json(
            [
                __version__,
                catalog,
                [_requirement(one) for one in request.requirements],
                [_requirement(one) for one in request.constraints],
                [[target.fingerprint, target.short] for target in request.targets],
                _options(request.options),
                said,
            ]
        )
    )


def _requirement(one: Requirement) -> list[object]:
    return [one.text, one.origin, one.hashes]


def _options(options: Options) -> list[object]:
    return [[field.name, _plain(getattr(options, field.name))] for field in fields(options)]


def _plain(value: object) -> object:
    """Write an option's value so that equal values are written equally."""
    if isinstance(value, NameSet):
        return [value.every, sorted(value.names)]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Requirement):
        return _requirement(value)
    return value if value is None else str(value)
