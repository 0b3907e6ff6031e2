"""The house: one data folder with all that works on it. HTTP routes and commands call what is here."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from venvery.catalog.catalog import Catalog
from venvery.catalog.reporter import Reporter
from venvery.client.errors import ClientError
from venvery.client.interpreter import find_python, this_interpreter
from venvery.config import Configuration, Limits
from venvery.errors import (
    AnswerIsNo,
    BadInput,
    BadPrefix,
    NotAllowed,
    NotFound,
    NotKnown,
    NoUsableFile,
    StorageFailed,
    Unsatisfiable,
    VenveryError,
)
from venvery.model.access import EVERYTHING
from venvery.model.build_settings import BuildSettings
from venvery.model.digests import canonical_json, sha256
from venvery.model.names import normalize
from venvery.model.policy import NO_POLICY, ReleasePolicy, ReleaseRule
from venvery.model.requests import NameSet
from venvery.model.sources import ViewSpec
from venvery.model.targets import Family, Target
from venvery.model.versions import parse_version
from venvery.services.answers import Answer, Answered, request_key
from venvery.services.bench import Bench
from venvery.services.documents import Asked, Defaults, Place, check_most, read_body, split_pins
from venvery.services.once import Once
from venvery.services.policing import Policing
from venvery.services.reach import Reach
from venvery.services.rights import VISITOR, Rights
from venvery.services.views import View, Views
from venvery.services.vouching import vouch
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

if TYPE_CHECKING:
    # Imported where they are used: resolving alone needs none of them, and is to start quickly.
    from venvery.environments import Archive, Encoding
    from venvery.model.files import CoreMetadata, DistFile, NoMetadata
    from venvery.model.jobs import Job
    from venvery.model.lock import Lock
    from venvery.model.requests import ResolveRequest
    from venvery.services.assembling import Assembled, Assembler
    from venvery.services.attesting import Attester
    from venvery.services.build_requests import JobDesk
    from venvery.services.building import Builds
    from venvery.services.carrying import Carried
    from venvery.services.keeping import Keeper, Pruned
    from venvery.services.known_environments import KnownEnvironment
    from venvery.services.mirroring import Mirrored
    from venvery.services.outdated import Outdated
    from venvery.services.projects import Projects
    from venvery.services.publishing import Publisher
    from venvery.services.serving import Serving
    from venvery.services.worlds import World
    from venvery.storage.blobs import Incoming, Stored
    from venvery.storage.leases import Lease

_PLAIN = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"
"""Left as it is in a header; anything else that is not a letter or digit is percent-encoded."""

__all__ = ["House", "Sendable", "open_house"]


@dataclass(frozen=True, slots=True)
class Sendable:
    """An archive, and what is to be said of it before it is sent."""

    archive: Archive
    headers: Mapping[str, str] = field(default_factory=dict)
    lease: Lease | None = None
    """Keeps what the archive is read from where it is; to be released when it was sent, or will not be."""

    def close(self) -> None:
        """Say that it was sent, or will not be."""
        if self.lease is not None:
            self.lease.release()


class House:
    """Everything that venvery can do on one data folder."""

    def __init__(
        self,
        catalog: Catalog,
        database: Database,
        blobs: Blobs,
        *,
        allowed_urls: tuple[str, ...],
        defaults: Defaults,
        trusts_locks: bool = False,
        limits: Limits | None = None,
        keys: Path | None = None,
        policy: ReleasePolicy = NO_POLICY,
        views: Sequence[ViewSpec] = (),
        builds: BuildSettings | None = None,
        anonymous: Iterable[str] = (),
    ) -> None:
        self._keys = keys
        self._build_settings = builds or BuildSettings()
        self.limits = limits or Limits()
        self._database = database
        self._blobs = blobs
        self.defaults = defaults
        self.catalog = catalog
        """That of the default view, unless the configuration has a view of that name."""
        self._allowed_urls = allowed_urls
        self._trusts_locks = trusts_locks
        self._bench = Bench(self.limits)
        self.policing = Policing(policy, clock=catalog.clock)
        self.views = Views(
            catalog,
            views,
            database=database,
            bench=self._bench,
            policing=self.policing,
            allowed_urls=allowed_urls,
            build_metadata=self._build_metadata if self._build_settings.sdists != "never" else None,
            builds=self._build_settings.identity,
        )
        self._servings: dict[str | None, Serving] = {}
        self.rights = Rights(database, anonymous)
        self.journal = database.journal
        self.blocks = database.blocks
        self.reach = Reach(database, (view.spec for view in self.views.all()), catalog.clock)
        if catalog.ownership is not None:
            catalog.ownership.tell_of_blocks(self._read_blocks)
        self._read_blocks()
        self._once = Once()
        self._keeper: tuple[Keeper, int] | None = None

    def _read_blocks(self) -> None:
        """Take over what administrators have blocked by now."""
        blocks = self._database.blocks.all()
        self.policing.block(ReleaseRule(one.pattern, one.specifier, one.reason) for one in blocks)

    @cached_property
    def publisher(self) -> Publisher:
        """Changes what is hosted here."""
        from venvery.services.publishing import Publisher

        sources = self.catalog.sources
        return Publisher(self._database, self._blobs, sources, most=self.limits.upload_bytes)

    @cached_property
    def _assembler(self) -> Assembler:
        from venvery.services.assembling import Assembler

        return Assembler(
            self.catalog,
            self._database,
            self._blobs,
            find_interpreter=_interpreter_of,
            workers=os.cpu_count() or 1,
        )

    @cached_property
    def attester(self) -> Attester:
        """Signs what is made here; its keys are beside the blobs where no other folder is said."""
        from venvery.services.attesting import Attester
        from venvery.services.keys import ServerKeys

        return Attester(ServerKeys(self._keys or self._blobs.root.parent / "keys"))

    @cached_property
    def builds(self) -> Builds:
        """Builds source distributions."""
        from venvery.services.building import Builds

        folder = self._blobs.root.parent / "builds"
        return Builds(self, self._database, self._blobs, self._build_settings, folder)

    @cached_property
    def projects(self) -> Projects:
        """Looks projects up, for people."""
        from venvery.services.projects import Projects

        return Projects(self, self._database, self._blobs)

    def read(self, body: Mapping[str, Any]) -> Asked:
        """Read a request body; a target that it leaves out is this machine's.

        Raises `BadInput` or `LimitExceeded`, and `NotKnown` or `NotAllowed` when its view is not for the visitor.
        """
        asked = read_body(body, self.defaults, self.limits)
        known = self.views.get(asked.view).catalog.source_names
        for project, source in asked.resolve.options.sources:
            if source not in known:
                raise BadInput(
                    f"{project} is to come from {source[:80]!r}, which is none of the sources here",
                    hint=f"sources: {', '.join(known)}",
                )
        return asked

    async def resolve(self, asked: Asked, *, hashes: bool = False) -> Answered:
        """Find the lock that answers a request: remembered while that is right, else computed, once for all.

        `hashes`: every file that would be installed needs one; where the sources give none, they are made here.
        Raises `Unsatisfiable`, `SourceFailed` and others.
        """
        policy = self.policing.identity
        asked = replace(asked, resolve=self.policing.put_into(self._from_source(asked.resolve)))
        view = self.views.get(asked.view)
        view.catalog.notice()
        key = request_key(asked.resolve, sha256(canonical_json([view.identity, policy])), asked.warnings)
        answer = await view.answers.get(key)
        if answer is not None:
            if hashes:
                answer = await self._hashed(key, answer, view)
            return Answered(answer, view.answers, remembered=True)
        # Who asks after an upload does not wait for an answer that was begun before it.
        work = (key, view.catalog.changes)
        answer = await self._once.do(work, lambda: self._compute(key, asked, policy, view))
        if hashes:
            answer = await self._hashed(key, answer, view)
        return Answered(answer, view.answers, remembered=False)

    @cached_property
    def jobs(self) -> JobDesk:
        """Shows jobs."""
        from venvery.services.build_requests import JobDesk

        return JobDesk(self._database, self._blobs)

    def incoming_source(self) -> Incoming:
        """Take in a source that someone sends."""
        return self._blobs.incoming()

    async def submit_source(
        self, stored: Stored, filename: str, target: Target, config_settings: Mapping[str, Any]
    ) -> Job:
        """Have a source built that was taken in. Raises `BadInput`, `BuildRefused`, `BuildFailed`."""
        from venvery.services.build_requests import submit_source

        return await submit_source(self.builds, self._database, stored, filename, target, config_settings)

    async def _build_metadata(self, sdist: DistFile, target: Target) -> CoreMetadata | NoMetadata:
        return await self.builds.metadata(sdist, target)

    def _from_source(self, request: ResolveRequest) -> ResolveRequest:
        """Put the projects into a request that the configuration takes from source only."""
        always = self._build_settings.no_binary
        if not always:
            return request
        options = request.options
        no_binary = NameSet(options.no_binary.every, options.no_binary.names | always)
        return replace(request, options=replace(options, no_binary=no_binary))

    async def _compute(self, key: str, asked: Asked, policy: str, view: View) -> Answer:
        try:
            resolution = await view.resolver.resolve(asked.resolve)
        except Unsatisfiable as error:
            from venvery.services.suggesting import advise

            raise await advise(error, view.catalog) from None
        lock = replace(resolution.lock, warnings=resolution.lock.warnings + asked.warnings)
        answer = Answer(lock, resolution.footprint, policy=policy, ends_at=resolution.ends_at)
        view.answers.put(key, answer)
        return answer

    async def _hashed(self, key: str, answer: Answer, view: View) -> Answer:
        """Give an answer whose lock has all hashes that an installer needs, and remember it so."""
        from venvery.services.hashing import lacks_hashes, with_hashes

        if not lacks_hashes(answer.lock):
            return answer

        async def fetch() -> Answer:
            lock = await with_hashes(answer.lock, view.catalog, self.limits.hashed_bytes)
            hashed = answer.with_lock(lock)
            view.answers.put(key, hashed)
            return hashed

        return await self._once.do(("hashes", key, view.catalog.changes), fetch)

    async def outdated(self, body: Mapping[str, Any]) -> Outdated:
        """Tell what is newer than the lock in a body: `lock`, `pylock` or `pins`, beside what a request has.

        Raises as `read` and `resolve` do.
        """
        from venvery.services.outdated import compare, request_for

        asked, lock = await asyncio.to_thread(self._read_lock, body)

        async def resolve(request: ResolveRequest) -> Lock:
            return (await self.resolve(replace(asked, resolve=request, lock=None))).lock

        request = request_for(lock, asked.resolve)
        check_most("requirements", len(request.requirements), self.limits.requirements)
        catalog = self.views.get(asked.view).catalog
        listings = await catalog.listings(pin.project for pin in lock.pins)
        return await compare(lock, request, resolve, listings)

    async def record(self, body: Mapping[str, Any]) -> World:
        """Record the part of the catalog that a request touches. Raises as `read` does, and `SourceFailed`."""
        from venvery.services.worlds import record

        asked = self.read(body)
        view = self.views.get(asked.view)
        with suppress(AnswerIsNo):  # that there is no answer is worth recording too
            await view.resolver.resolve(asked.resolve)
        return await record(view.catalog, asked.resolve, body)

    def _read_lock(self, body: Mapping[str, Any]) -> tuple[Asked, Lock]:
        from venvery.services.lock_files import read_lock

        pins, rest = split_pins(body)
        asked = self.read(rest)
        if pins is not None:
            return asked, read_lock(pins, origin="pins", targets=asked.resolve.targets)
        if asked.lock is None:
            raise BadInput("the request has no lock", hint='send "lock", "pylock" or "pins"')
        return asked, asked.lock

    async def mirror(
        self, body: Mapping[str, Any], targets: Sequence[Mapping[str, Any]], *, all_files: bool = False
    ) -> Mirrored:
        """Fetch ahead what a body's requirements come to on some targets. Raises as `mirroring.mirror` does."""
        from venvery.services.mirroring import mirror

        return await mirror(self, self._blobs, body, targets, all_files=all_files)

    async def export(self, path: Path, *, view: str | None, have: frozenset[str]) -> Carried:
        """Write what is here of what a view lists into one file, asking no index. Raises `StorageFailed`."""
        from venvery.services.carrying import write_export

        serving = self.serving(view)
        catalog = self.views.get(view).catalog
        names = await asyncio.to_thread(catalog.names)
        held = [found.listing for name in names if (found := await catalog.held(name)) is not None]
        listed = [(listing, await serving.simple.learnt(listing)) for listing in held]
        return await asyncio.to_thread(write_export, path, listed, self._blobs, have)

    async def take_in(self, path: Path, *, source: str | None, who: str) -> Carried:
        """List an export's files in a hosted source; the first one for None. Raises as `carrying.take_in` does."""
        from venvery.services.carrying import take_in

        hosted = [spec.name for spec in self.catalog.sources if spec.kind == "hosted"]
        into = source or (hosted[0] if hosted else "")
        if into not in hosted:
            raise NotFound(
                f"there is no hosted source {into!r}", hint='name one in the configuration, with kind = "hosted"'
            )
        return await asyncio.to_thread(take_in, path, self._database, self._blobs, source=into, who=who)

    def inventory(self) -> str:
        """Write down which uploaded and imported files are here."""
        from venvery.services.carrying import inventory

        return inventory(self._database)

    def serving(self, view: str | None = None) -> Serving:
        """Give a view as an index; None: the default one.

        Raises `NotFound`, and `NotKnown` or `NotAllowed` when it is not for the visitor.
        """
        seen = self.views.get(view)
        serving = self._servings.get(view)
        if serving is None:
            from venvery.services.serving import Serving

            serving = Serving(seen.catalog, self._database, self._blobs, self.policing)
            self._servings[view] = serving
        return serving

    async def close(self) -> None:
        """End what is under way, and keep what was learnt."""
        for serving in self._servings.values():
            await serving.stop()
        if "builds" in self.__dict__:
            await self.builds.close()
        await self._once.stop()
        self._bench.close()
        self.rights.close()
        for view in self.views.all():
            await view.answers.flush()

    async def environment(self, asked: Asked) -> Assembled:
        """Make the environment that a request asks for, from its lock or from its requirements.

        What has to be built for it is built first; `building.watching` hears of each job that is waited for.
        """
        made = await self._environment(asked)
        view, who = self.views.get(asked.view).name, VISITOR.get().name
        if VISITOR.get() is not EVERYTHING and not self.reach.is_noted(made.manifest.key, view, who):
            await asyncio.to_thread(self.reach.note, made.manifest.key, view, who)
        return made

    async def _environment(self, asked: Asked) -> Assembled:
        lock = asked.lock
        if lock is None:
            lock = (await self.resolve(asked)).lock
        else:
            self.policing.check(lock)
            # What is at hand came perhaps through a view that is not for the visitor.
            made = None if self.reach.guards else self._assembler.at_hand(lock, bytecode=asked.place.bytecode)
            if made is not None:
                return made
            if not self._trusts_locks:
                bytecode = asked.place.bytecode
                made = await self._assemble_vouched(lock, asked.view, bytecode=bytecode)
                self._assembler.keep_at_hand(lock, made, bytecode=bytecode)
                return made
        return await self._assemble(lock, bytecode=asked.place.bytecode)

    async def _assemble(self, lock: Lock, *, bytecode: bool, written: Lock | None = None) -> Assembled:
        """Assemble a lock; a pin that has no wheel for the target gets one that is built from its sdist."""
        try:
            return await self._assembler.assemble(lock, bytecode=bytecode, written=written)
        except NoUsableFile:
            completed = await self.builds.complete(lock)
            if completed is lock:
                raise
        return await self._assembler.assemble(completed, bytecode=bytecode, written=written or lock)

    async def _assemble_vouched(
        self,
        lock: Lock,
        view: str | None,
        *,
        bytecode: bool,
        written: Lock | None = None,
    ) -> Assembled:
        """Assemble from a lock whose URLs nobody vouches for: what is not there is looked up in the sources.

        `written` is the lock that we remember, where this is an environment of ours: only then do wheels that
        are there count, for a digest is no permission.
        """
        lease, there = await asyncio.to_thread(
            self._assembler.hold_what_is_there, lock, wheels=written is not None
        )
        try:
            catalog = self.views.get(view).catalog
            if written is None and self.reach.guards:
                there = frozenset()  # what is here came perhaps through a view that is not for the visitor
            vouched = await vouch(lock, catalog, self._allowed_urls, lambda file: file.key in there)
            return await self._assemble(vouched, bytecode=bytecode, written=written)
        finally:
            lease.release()

    async def known_environment(self, key: str) -> Assembled:
        """Give an environment that was made before, making anew what was removed since.

        Raises `NotFound`, and `NotKnown` or `NotAllowed` when it is not for the visitor, or has what is blocked.
        """
        visitor = VISITOR.get()
        view = await asyncio.to_thread(self.reach.view_of, key, visitor) if self.reach.guards else None
        made = await self._known(key, view)
        for pin in made.manifest.pins:
            self.policing.admit(normalize(pin.project), parse_version(pin.version))
        if visitor is not EVERYTHING and not self.reach.is_noted(key, view, visitor.name):
            await asyncio.to_thread(self.reach.note, key, view, visitor.name)
        return made

    async def _known(self, key: str, view: str | None) -> Assembled:
        made = await asyncio.to_thread(self._assembler.known, key)
        if made is None:
            made = await self._once.do(("environment", key), lambda: self._remake(key, view))
        return made

    async def _remake(self, key: str, view: str | None) -> Assembled:
        """Make an environment anew from the lock that it was made from: the same wheels, by their hashes."""
        from venvery.services.assembling import chosen_only

        written, bytecode = await asyncio.to_thread(self._assembler.recipe, key)
        lock = chosen_only(written)
        made = await (
            self._assemble(lock, bytecode=bytecode, written=written)
            if self._trusts_locks
            else self._assemble_vouched(lock, view, bytecode=bytecode, written=written)
        )
        if made.manifest.key != key:
            raise NotFound(
                f"the environment {key} is made otherwise by now", hint="ask for it with POST /v1/environments"
            )
        return made

    def describe_environment(self, key: str) -> KnownEnvironment:
        """Describe an environment that was made before, without making it anew. Raises as `known_environment`."""
        from venvery.services.known_environments import describe

        if self.reach.guards:
            self.reach.view_of(key, VISITOR.get())
        return describe(self._database, key)

    def recent_environments(self, most: int) -> list[KnownEnvironment]:
        """Describe the environments that were used last."""
        from venvery.services.known_environments import newest

        found = newest(self._database, most * 8 if self.reach.guards else most)
        return [known for known in found if self._shows(known.manifest.key)][:most]

    def find_environments(self, contains: str) -> list[dict[str, Any]]:
        """Find the environments that contain a release, of those that are for the visitor. Raises `BadInput`."""
        from venvery.services.finding import find_environments

        who = VISITOR.get().may("admin")
        return find_environments(self._database, contains, shows=self._shows, tells_who=who)

    def _shows(self, key: str) -> bool:
        """Tell whether an environment is for the visitor."""
        if not self.reach.guards:
            return True
        try:
            self.reach.view_of(key, VISITOR.get())
        except (NotFound, NotKnown, NotAllowed):
            return False
        return True

    async def sendable(self, made: Assembled, place: Place, encoding: Encoding) -> Sendable:
        """Give the archive of an environment, and see to it that nothing of it is removed until it was sent.

        Whoever gets it closes it. Raises `BadPrefix`, `StorageFailed`, and what making it anew raises.
        """
        for _ in range(3):
            sendable = self.archive(made, place, encoding)
            try:
                return replace(sendable, lease=await asyncio.to_thread(self._blobs.hold, sendable.archive.blobs))
            except NotFound:  # removed since it was looked at
                made = replace(await self.known_environment(made.manifest.key), warnings=made.warnings)
        raise StorageFailed(
            "layers are removed faster than they can be sent",
            hint="the data folder is too small for what it is asked for: raise max-size",
        )

    def check_place(self, place: Place, target: Target) -> None:
        """Check, before any work is done, that an archive could be made for this place. Raises `BadPrefix`."""
        from venvery.environments import check_prefix, check_python

        system = target.family.os
        if place.prefix is None:
            raise BadPrefix(
                "an archive needs to know where the environment will live",
                hint="add prefix=/absolute/path to the query, or ask for application/json to get the manifest",
            )
        check_prefix(place.prefix, system)
        if place.python is not None:
            check_python(place.python, system)

    def archive(self, made: Assembled, place: Place, encoding: Encoding) -> Sendable:
        """Give the archive of an environment for the place where it will live. Raises `BadPrefix`."""
        from venvery.environments import Archive, HeadOptions, make_head

        if place.prefix is None:
            raise BadPrefix(
                "an archive needs to know where the environment will live", hint="add prefix=/absolute/path"
            )
        skipped = place.have & {layer.digest for layer in made.manifest.layers}
        options = HeadOptions(
            prefix=place.prefix,
            python=place.python,
            python_version=place.python_version,
            prompt=place.prompt,
            relocatable=place.relocatable,
            encoding=encoding,
            skipped=skipped,
        )
        head = make_head(made.manifest, made.layers, options, self.attester.documents(made.manifest))
        return Sendable(
            Archive(made.manifest, head, self._blobs, encoding, skipped),
            {"Venvery-Environment": made.manifest.key}
            | ({"Venvery-Warnings": quote("; ".join(made.warnings), safe=_PLAIN)[:4000]} if made.warnings else {}),
        )

    async def layer(self, digest: str, encoding: Encoding) -> Sendable:
        """Give one layer alone. Raises `NotFound`, `NotKnown` or `NotAllowed` when it is not for the visitor."""
        from venvery.environments import layer_archive

        if self.reach.guards:
            await asyncio.to_thread(self.reach.admit_layer, digest, VISITOR.get())
        info = await asyncio.to_thread(self._assembler.layer, digest)
        archive = layer_archive(info, self._blobs, encoding)
        return Sendable(archive, lease=await asyncio.to_thread(self._blobs.hold, archive.blobs))

    def keep_within(self, folder: Path, most: int) -> None:
        """Say that the data folder may hold `most` bytes; `evict` sees to it."""
        from venvery.services.keeping import Keeper

        self._keeper = Keeper(folder, self._database, self._blobs), most

    async def evict(self) -> Pruned | None:
        """Keep the data folder within its size; None when nothing had to be done. Raises `StorageFailed`."""
        if self._keeper is None:
            return None
        keeper, most = self._keeper
        return await asyncio.to_thread(keeper.evict, most)

    async def why_not_ready(self) -> str | None:
        """Tell why no work can be done here; None when it can."""
        try:
            await asyncio.to_thread(self._database.environments.count)
        except VenveryError as error:
            return str(error)
        return None


@asynccontextmanager
async def open_house(
    configuration: Configuration, *, report: Reporter | None = None, trusts_locks: bool = False
) -> AsyncIterator[House]:
    """Open the house on a configuration's data folder and sources; closed at the end of the context.

    `trusts_locks`: the URLs in a lock are used as they are, for the one who asks is the one who runs this.
    """
    database = Database.open(configuration.database_at)
    try:
        blobs = Blobs.open_folder(configuration.data / "blobs")
        async with Catalog(
            configuration.sources,
            database=database,
            blobs=blobs,
            union=configuration.union,
            freshness=configuration.freshness_seconds,
            network=configuration.network,
            reporter=report,
        ) as catalog:
            house = House(
                catalog,
                database,
                blobs,
                allowed_urls=configuration.allowed_urls,
                defaults=_this_machine(),
                trusts_locks=trusts_locks,
                limits=configuration.limits,
                keys=configuration.data / "keys",
                policy=configuration.policy,
                views=configuration.views,
                builds=configuration.builds,
                anonymous=configuration.anonymous,
            )
            if configuration.max_size is not None:
                house.keep_within(configuration.data, configuration.max_size)
            try:
                yield house
            finally:
                await house.close()
    finally:
        database.close()


def _this_machine() -> Defaults:
    """Name the target of a request that names none: this machine, by names that mean the same elsewhere."""
    here = this_interpreter()
    libc = re.sub(r"^manylinux_\d+_\d+_", "linux-", re.sub(r"^musllinux_\d+_\d+_", "musl-", here.platform))
    platform = re.sub(r"^macosx_\d+_\d+_", "macos-", libc)
    return Defaults(".".join(here.version.split(".")[:2]) + here.threads, platform)


@lru_cache(maxsize=64)
def _interpreter_of(family: Family) -> str | None:
    """Find an interpreter of a family on this machine, which can compile bytecode for it."""
    try:
        found = find_python(family.python)
    except ClientError:
        return None
    return found.executable
