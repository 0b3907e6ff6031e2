"""The pages of the simple API: written once for each revision of a listing, kept, and given at once ever after.

An index that fails is never taken for one that does not have a project. Where a listing is held, an older one than
the freshness window allows is given then, and said to be so: what was installed yesterday can be installed today.
(Resolution does not do that: it never answers from what it knows to be old.)
"""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from venvery.catalog.fetch import storage_key
from venvery.catalog.page_writers import Form, Learnt, write_page, write_root
from venvery.catalog.rows import EMPTY_REVISION
from venvery.catalog.sharing import Shared
from venvery.catalog.sidecars import sidecar_key
from venvery.errors import NotFound, SourceFailed, StorageFailed
from venvery.model.digests import hex_of, sha256
from venvery.model.files import Listing
from venvery.model.names import NormalizedName
from venvery.storage.pages import StoredPage

if TYPE_CHECKING:
    from venvery.catalog.catalog import Catalog
    from venvery.services.policing import Policing
    from venvery.storage.database import Database

__all__ = ["Form", "Shown", "SimpleApi"]

MAX_AGE = 60
"""Seconds for which a client may use the page of a mirrored project without asking again."""
PATIENCE = 3.0
"""Seconds that one who asks for a page waits for an index while an older page is at hand."""
TROUBLED = 30.0
"""Seconds for which nobody waits at all after an index failed; it is asked all the same, on the side."""
ROOT_EVERY = 5.0
"""Seconds for which the list of projects is not put together anew."""
MEMORY_LIMIT = 128 * 2**20
"""Bytes of compressed pages that are held in memory."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, and how long it is good for."""

    page: StoredPage
    max_age: int = 0
    """Seconds for which a client need not ask again; 0: it is to ask every time."""
    stale_for: int | None = None
    """Seconds since its listing was last known to be the present one; None: it is that now."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """Which revision of a listing is to be shown."""

    revision: str
    fresh_until: float = 0.0
    stale: Listing | None = None
    checked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A page in memory, and what it is true of."""

    page: StoredPage
    revision: str
    """Of the listing."""
    policy: str
    until: float
    """Seconds since the epoch when a file comes to be offered that was too young before."""


class SimpleApi:
    """The pages of one view."""

    def __init__(self, catalog: Catalog, database: Database, policing: Policing) -> None:
        self._catalog = catalog
        self._database = database
        self._policing = policing
        self._view = catalog.identity
        self._pages: OrderedDict[tuple[NormalizedName, Form], _Kept] = OrderedDict()
        self._bytes = 0
        self._writing: Shared[tuple[NormalizedName, Form, str, str], _Kept] = Shared()
        self._roots: dict[Form, tuple[float, int, StoredPage]] = {}
        self._asking: set[asyncio.Future[Any]] = set()
        self._troubled_until = 0.0

    async def stop(self) -> None:
        """End what is under way."""
        await self._writing.stop()
        for asking in list(self._asking):
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def peek(self, project: NormalizedName, form: Form) -> Shown | None:
        """Give a page that is held in memory and surely right; else None. Never waits."""
        self._catalog.notice()
        stamp = self._catalog.peek_stamp(project)
        kept = None if stamp is None else self._kept(project, form, stamp.revision)
        if stamp is None or kept is None:
            return None
        self._pages.move_to_end((project, form))
        return self._shown(kept, _Looked(stamp.revision, stamp.fresh_until))

    async def page(self, project: NormalizedName, form: Form) -> Shown:
        """Give a project's page. Raises `NotFound` when no source has it, `SourceFailed`, `StorageFailed`."""
        shown = self.peek(project, form)
        if shown is not None:
            return shown
        looked = await self._look(project)
        if looked.revision == EMPTY_REVISION:
            raise NotFound(f"no source has a project {project}")
        kept = self._kept(project, form, looked.revision)
        if kept is None:
            key = project, form, looked.revision, self._policing.identity
            kept = await self._writing.get(key, lambda: self._get(project, form, looked))
            self._remember(project, form, kept)
        return self._shown(kept, looked)

    async def listing(self, project: NormalizedName) -> Listing:
        """Give a listing as it is, whatever of it the policy offers. Raises as `page` does."""
        listing = self._catalog.peek_listing(project)
        if listing is None:
            looked = await self._look(project)
            listing = looked.stale or (await self._catalog.listings([project]))[project]
        if not listing.known:
            raise NotFound(f"no source has a project {project}")
        return listing

    async def offered(self, project: NormalizedName) -> Listing:
        """Give the listing that a page is written from. Raises as `page` does."""
        return self._policing.offered(await self.listing(project))[0]

    async def root(self, form: Form) -> Shown:
        """Give the list of projects: those that are held here, and those that indexes were asked for before."""
        now, changes = self._catalog.clock(), self._catalog.changes
        made_at, counted, page = self._roots.get(form, (0.0, -1, None))
        if page is None or counted != changes or not 0 <= now - made_at < ROOT_EVERY:
            seen = self._catalog.revisions()
            revisions = {name: self._ruled(one) for name, one in seen.items() if one != EMPTY_REVISION}
            page = await asyncio.to_thread(self._write_root, form, revisions)
            self._roots[form] = now, changes, page
        return Shown(page)

    async def learnt(self, listing: Listing) -> Learnt:
        """Give what is known of a listing's files beyond what it says itself."""
        return await asyncio.to_thread(self._learnt, listing)

    def serial(self, listing: Listing) -> int:
        """Give the number of a listing's last change. Raises `StorageFailed`."""
        return self._database.pages.serial(self._view, listing.project, self._ruled(listing.revision))

    def forget(self, project: NormalizedName) -> None:
        """Write a project's pages anew: more is known of its files. Raises `StorageFailed`."""
        self._database.pages.forget(self._view, project)
        for form in get_args(Form):
            kept = self._pages.pop((project, form), None)
            self._bytes -= len(kept.page.body) if kept is not None else 0

    def _kept(self, project: NormalizedName, form: Form, revision: str) -> _Kept | None:
        kept = self._pages.get((project, form))
        if kept is None or kept.revision != revision or kept.policy != self._policing.identity:
            return None
        return kept if self._catalog.clock() < kept.until else None

    def _ruled(self, revision: str) -> str:
        """Give what names a page: the revision of its listing, with the policy where there is one."""
        return sha256(f"{revision} {self._policing.identity}".encode()) if self._policing.policy else revision

    def _shown(self, kept: _Kept, looked: _Looked) -> Shown:
        now = self._catalog.clock()
        if looked.stale is not None:
            return Shown(kept.page, stale_for=max(0, int(now - looked.checked_at)))
        fresh_for = min(kept.page.max_age, looked.fresh_until - now, kept.until - now)
        return Shown(kept.page, int(max(0.0, fresh_for)))

    async def _look(self, project: NormalizedName) -> _Looked:
        """Find which revision is to be shown: the present one, or the last one when that cannot be told."""
        stamp = self._catalog.peek_stamp(project)
        if stamp is not None:
            return _Looked(stamp.revision, stamp.fresh_until)
        asking = asyncio.ensure_future(self._ask(project))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        patience = 0.0 if self._catalog.clock() < self._troubled_until else PATIENCE
        await asyncio.wait({asking}, timeout=patience)
        if asking.done() and asking.exception() is None:
            return await asking
        held = await self._catalog.held(project)
        if held is None:
            return await asyncio.shield(asking)
        self._troubled_until = max(self._troubled_until, self._catalog.clock() + TROUBLED)
        return _Looked(held.listing.revision, 0.0, held.listing, held.checked_at)

    async def _ask(self, project: NormalizedName) -> _Looked:
        stamp = (await self._catalog.stamps([project]))[project]
        return _Looked(stamp.revision, stamp.fresh_until)

    def _asked(self, asking: asyncio.Future[Any]) -> None:
        self._asking.discard(asking)
        if asking.cancelled():
            return
        if isinstance(asking.exception(), SourceFailed | StorageFailed):
            self._troubled_until = self._catalog.clock() + TROUBLED
        elif asking.exception() is None:
            self._troubled_until = 0.0

    async def _get(self, project: NormalizedName, form: Form, looked: _Looked) -> _Kept:
        """Get a page from the database, else write it."""
        policy = self._policing.identity
        page = await asyncio.to_thread(self._database.pages.get, self._view, project, form)
        if page is not None and page.revision == self._ruled(looked.revision):
            return _Kept(page, looked.revision, policy, float("inf"))
        listing = looked.stale or (await self._catalog.listings([project]))[project]
        offered, until = self._policing.offered(listing)
        page = await asyncio.to_thread(self._write, offered, form, lasting=until == float("inf"))
        return _Kept(page, listing.revision, policy, until)

    def _write(self, listing: Listing, form: Form, *, lasting: bool) -> StoredPage:
        """Write a page; one that will grow by itself, as files come of age, is not kept in the database."""
        serial = self.serial(listing)
        body = write_page(listing, form, self._learnt(listing), serial)
        sources = {file.source for file in listing.files}
        mirrored = bool(sources) and not any(self._catalog.is_local(source) for source in sources)
        page = _stored(self._ruled(listing.revision), serial, MAX_AGE if mirrored else 0, body)
        if lasting:
            self._database.pages.put(self._view, listing.project, form, page)
        return page

    def _write_root(self, form: Form, revisions: Mapping[NormalizedName, str]) -> StoredPage:
        names = sorted({*revisions, *self._catalog.names()})
        serials = self._database.pages.serials(self._view, names, revisions)
        last = max(serials.values(), default=0)
        return _stored("", last, 0, write_root(((name, serials[name]) for name in names), form, last))

    def _learnt(self, listing: Listing) -> Learnt:
        bare = [storage_key(file) for file in listing.files if file.sha256 is None]
        wheels = [sidecar_key(file) for file in listing.files if file.kind == "wheel" and not file.core_metadata]
        files = self._database.files.get_many(bare) if bare else {}
        metadata = self._database.files.get_many(wheels) if wheels else {}
        return Learnt(
            {key: (hex_of(one.digest), one.size) for key, one in files.items()},
            {key: hex_of(one.digest) for key, one in metadata.items()},
        )

    def _remember(self, project: NormalizedName, form: Form, kept: _Kept) -> None:
        before = self._pages.pop((project, form), None)
        self._bytes += len(kept.page.body) - (len(before.page.body) if before is not None else 0)
        self._pages[project, form] = kept
        while self._bytes > MEMORY_LIMIT and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= len(oldest.page.body)


def _stored(revision: str, serial: int, max_age: int, body: bytes) -> StoredPage:
    return StoredPage(revision, hex_of(sha256(body))[:32], serial, max_age, gzip.compress(body, 6, mtime=0))
