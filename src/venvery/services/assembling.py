"""Lock to environment: fetches the wheels, builds the layers that are missing, writes the manifest down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from venvery.catalog.catalog import Catalog
from venvery.environments import RECIPE, LayerInfo, Manifest, build_layer, compile_layers, make_manifest
from venvery.errors import BadInput, NotFound, NoUsableFile, StorageFailed
from venvery.model.digests import hex_of, sha256
from venvery.model.files import DistFile
from venvery.model.lock import Lock, Pin
from venvery.model.sources import DIRECT
from venvery.model.targets import Family
from venvery.resolve.readers import lock_from_document
from venvery.resolve.writers import lock_to_document
from venvery.services.at_hand import AtHand
from venvery.services.once import Once
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database
from venvery.storage.environments import StoredEnvironment
from venvery.storage.kept_blobs import KeptBlobs
from venvery.storage.leases import Lease

__all__ = ["Assembled", "Assembler", "chosen_only"]


_TRIES = 3
_MUCH_TO_COMPILE = 4 << 20
"""Bytes of layers for which another start of the interpreter pays."""
_MOST_COMPILERS = 4
_ASK_ANEW = "ask for it with POST /v1/environments"


@dataclass(frozen=True, slots=True)
class Assembled:
    """An environment that is ready to be sent: its manifest, and its layers with what the head needs of them."""

    manifest: Manifest
    layers: tuple[LayerInfo, ...]
    warnings: tuple[str, ...] = ()
    """What the one who asked should know."""


class Assembler:
    """Makes environments from locks. Every layer is built once, however many ask for it at once."""

    def __init__(
        self,
        catalog: Catalog,
        database: Database,
        blobs: Blobs,
        *,
        find_interpreter: Callable[[Family], str | None],
        workers: int = 2,
    ) -> None:
        self._catalog = catalog
        self._database = database
        self._blobs = blobs
        self._find_interpreter = find_interpreter
        self._once = Once()
        self._at_hand = AtHand()
        self._processors = asyncio.Semaphore(workers)
        self._workers = workers

    async def assemble(
        self, lock: Lock, target: int = 0, *, bytecode: bool = True, written: Lock | None = None
    ) -> Assembled:
        """Make the environment of one target of a lock; what was made before is not made again.

        `written` is the lock to remember, where it is not `lock` itself. Raises `NoUsableFile`,
        `SourceFailed`, `WrongHash` or `StorageFailed`.
        """
        found = self.at_hand(written or lock, target, bytecode=bytecode)
        if found is not None:
            return found
        for _ in range(_TRIES):
            with suppress(_Removed):
                made = await self._assemble(lock, target, bytecode, written or lock)
                self._at_hand.put_lock(written or lock, target, made, bytecode=bytecode)
                return made
        raise StorageFailed(
            "what an environment needs is removed faster than it can be put together",
            hint="the data folder is too small for what it is asked for: raise max-size",
        )

    async def _assemble(self, lock: Lock, target: int, bytecode: bool, written: Lock) -> Assembled:
        family = lock.targets[target].family
        pins = lock.pins_for(target)
        wheels = [lock.wheel_for(pin, target) for pin in pins]  # all must be there before anything is fetched
        layers = await _all(self._layer(wheel, family) for wheel in wheels)
        for pin, layer in zip(pins, layers, strict=True):
            if pin.hashes and f"sha256:{layer.wheel.sha256}" not in pin.hashes:
                raise NoUsableFile(f"{layer.wheel.filename} is none of the files that the request's hashes allow")
        compiled = await self._bytecode(layers, family) if bytecode else []
        manifest = make_manifest(lock, target, layers, compiled)
        await asyncio.to_thread(self._remember, manifest, written, whole=bytecode)
        return Assembled(manifest, (*layers, *compiled), lock.warnings)

    def at_hand(self, lock: Lock, target: int = 0, *, bytecode: bool) -> Assembled | None:
        """Give the environment of a lock, the very object, where it was made a moment ago; None: `assemble` it."""
        return self._if_whole(self._at_hand.of_lock(lock, target, bytecode=bytecode))

    def keep_at_hand(self, lock: Lock, made: Assembled, *, bytecode: bool) -> None:
        """Say that this is the environment of a lock, the very object."""
        self._at_hand.put_lock(lock, 0, made, bytecode=bytecode)

    def _if_whole(self, made: Assembled | None) -> Assembled | None:
        """Give an environment if all of its layers are still there; it is used now."""
        if made is None:
            return None
        if not all(map(self._has, made.layers)):
            self._at_hand.forget(made.manifest.key)
            return None
        self._database.environments.touch(made.manifest.key)
        return made

    def _remember(self, manifest: Manifest, lock: Lock, *, whole: bool) -> None:
        """Write an environment down; one that was asked for without its bytecode does not replace a whole one."""
        if whole or self._database.environments.get(manifest.key) is None:
            self._database.environments.put(manifest.key, manifest.to_json(), lock_to_document(lock))

    def has(self, wheel: DistFile, family: Family) -> bool:
        """Tell whether the layer of a wheel is there already."""
        return (
            wheel.sha256 is not None
            and self._stored(wheel.sha256, family, _recipe(_direct_url(wheel))) is not None
        )

    def known(self, key: str) -> Assembled | None:
        """Give an environment that was assembled before; None when it has to be assembled anew.

        Raises `NotFound` when it never was.
        """
        found = self._if_whole(self._at_hand.of_key(key))
        if found is None:
            manifest = Manifest.from_json(self._remembered(key).manifest)
            self._database.environments.touch(key)
            try:
                found = Assembled(manifest, self._layers([layer.digest for layer in manifest.layers]))
            except NotFound:
                return None
            self._at_hand.put_key(found)
        return found

    def recipe(self, key: str) -> tuple[Lock, bool]:
        """Give the lock that an environment was assembled from, and whether it had bytecode.

        Raises `NotFound`, also when this venvery reads locks otherwise than the one that wrote it.
        """
        stored = self._remembered(key)
        try:
            lock = lock_from_document(stored.lock)
        except BadInput:
            raise NotFound(f"the environment {key} was made by another venvery", hint=_ASK_ANEW) from None
        return lock, any(layer.kind == "bytecode" for layer in Manifest.from_json(stored.manifest).layers)

    def _remembered(self, key: str) -> StoredEnvironment:
        stored = self._database.environments.get(key)
        if stored is None:
            raise NotFound(f"no environment is known under {key}", hint=_ASK_ANEW)
        return stored

    def hold_what_is_there(self, lock: Lock, *, wheels: bool) -> tuple[Lease, frozenset[str]]:
        """Take a lease on the layers of a lock's first target that are there, with `wheels` on wheels too.

        Gives the keys of the files that need no fetching while the lease lasts.
        """
        family, there, blobs = lock.targets[0].family, set(), []
        with self._blobs.leases.begin():
            for wheel in (file for pin in lock.pins for file in pin.files if file.kind == "wheel" and file.sha256):
                layer = self._stored(str(wheel.sha256), family, _recipe(_direct_url(wheel)))
                if layer is not None:
                    blobs += [layer.zstd.digest, layer.deflate.digest]
                elif wheels and self._blobs.use(f"sha256:{wheel.sha256}"):
                    blobs.append(f"sha256:{wheel.sha256}")
                else:
                    continue
                there.add(wheel.key)
            return self._blobs.leases.take(blobs), frozenset(there)

    def layer(self, digest: str) -> LayerInfo:
        """Give a layer by its digest. Raises `NotFound`."""
        return self._layers([digest])[0]

    def _layers(self, digests: Sequence[str]) -> tuple[LayerInfo, ...]:
        found = []
        for digest, text in zip(digests, self._database.layers.by_digests(digests), strict=True):
            layer = None if text is None else _read_layer(text)
            if layer is None or not self._has(layer):
                raise NotFound(f"no layer is known under {digest}", hint="ask for its environment anew")
            found.append(layer)
        return tuple(found)

    async def _layer(self, wheel: DistFile, family: Family) -> LayerInfo:
        """Give the layer of a wheel, building it when nobody has."""
        if wheel.sha256 is not None and (layer := self._stored(wheel.sha256, family, _recipe(_direct_url(wheel)))):
            return layer
        return await self._once.do((wheel.key, family), lambda: self._build(wheel, family))

    async def _build(self, wheel: DistFile, family: Family) -> LayerInfo:
        digest = await self._catalog.fetch(wheel)
        if layer := self._stored(hex_of(digest), family, _recipe(_direct_url(wheel))):
            return layer

        def build() -> LayerInfo:
            url = _direct_url(wheel)
            about = (
                {"url": url, "archive_info": {"hashes": {"sha256": hex_of(digest)}}} if url else None
            )  # PEP 610
            with KeptBlobs(self._blobs) as blobs, _removed(), blobs.open(digest) as file:
                layer = build_layer(file, wheel.filename, family, blobs, direct_url=about)
                self._database.layers.put(
                    hex_of(digest), str(family), _recipe(_direct_url(wheel)), layer.to_json()
                )
            return layer

        async with self._processors:
            return await asyncio.to_thread(build)

    async def _bytecode(self, layers: Sequence[LayerInfo], family: Family) -> list[LayerInfo]:
        """Give the bytecode of layers, compiling what is missing."""
        interpreter = await asyncio.to_thread(self._find_interpreter, family)
        if interpreter is None:
            return []  # only the very interpreter can compile for itself; the first import does it then
        return await self._once.do(
            ("bytecode", family, *sorted(layer.digest for layer in layers)),
            lambda: self._compile(layers, family, interpreter),
        )

    async def _compile(self, layers: Sequence[LayerInfo], family: Family, interpreter: str) -> list[LayerInfo]:
        def recipe(layer: LayerInfo) -> str:
            return f"{_recipe(layer.direct_url)}+bytecode"

        def compile_share(share: Sequence[LayerInfo]) -> list[LayerInfo]:
            with KeptBlobs(self._blobs) as blobs, _removed():
                blobs.need(layer.zstd.digest for layer in share)
                made = compile_layers(share, family, interpreter, blobs)
                for layer, info in zip(share, made, strict=True):
                    self._database.layers.put(layer.wheel.sha256, str(family), recipe(layer), info.to_json())
            return made

        def compile_missing() -> list[LayerInfo]:
            found = [self._stored(layer.wheel.sha256, family, recipe(layer)) for layer in layers]
            missing = [layer for layer, made in zip(layers, found, strict=True) if made is None]
            shares = _shares(missing, self._workers)
            with ThreadPoolExecutor(len(shares) or 1, "compile") as threads:
                made = [info for infos in threads.map(compile_share, shares) for info in infos]
            return [info for info in found if info is not None] + made

        async with self._processors:
            return await asyncio.to_thread(compile_missing)

    def _stored(self, wheel: str, family: Family, recipe: str) -> LayerInfo | None:
        """Give a layer that was made before, if its bytes are there too."""
        stored = self._database.layers.get(wheel, str(family), recipe)
        if stored is None:
            return None
        layer = LayerInfo.from_json(stored)
        return layer if self._has(layer) else None

    def _has(self, layer: LayerInfo) -> bool:
        """Tell whether the bytes of a layer are there in both encodings, and note that they are used."""
        return self._blobs.use(layer.zstd.digest) and self._blobs.use(layer.deflate.digest)


def _shares(layers: Sequence[LayerInfo], workers: int) -> list[list[LayerInfo]]:
    """Share layers out to as many interpreters as pay: several where there is much to compile and many cores."""
    most = min(workers, _MOST_COMPILERS, 1 + sum(layer.size for layer in layers) // _MUCH_TO_COMPILE)
    shares: list[list[LayerInfo]] = [[] for _ in range(most)]
    for layer in sorted(layers, key=lambda layer: -layer.size):  # the largest first, each to whoever has least
        min(shares, key=lambda share: sum(one.size for one in share)).append(layer)
    return [share for share in shares if share]


def chosen_only(lock: Lock) -> Lock:
    """Leave of a lock what its first target uses: of each pin the one wheel, or what one is built from.

    Raises `NoUsableFile`.
    """

    def chosen(pin: Pin) -> tuple[DistFile, ...]:
        try:
            return (lock.wheel_for(pin, 0),)
        except NoUsableFile:
            if sdists := tuple(file for file in pin.files if file.kind == "sdist"):
                return sdists
            raise

    return replace(lock, pins=tuple(replace(pin, files=chosen(pin)) for pin in lock.pins_for(0)))


@lru_cache(maxsize=4096)
def _read_layer(text: str) -> LayerInfo:
    """Read a stored layer; the same ones are asked for again and again."""
    return LayerInfo.from_json(json.loads(text))


def _recipe(direct_url: str | None) -> str:
    """Name how a layer is made; one of a pin that names a URL has a direct_url.json that others lack."""
    return str(RECIPE) if direct_url is None else f"{RECIPE}+direct:{hex_of(sha256(direct_url.encode()))[:32]}"


def _direct_url(wheel: DistFile) -> str | None:
    return wheel.url if wheel.source == DIRECT else None


class _Removed(Exception):
    """What was there a moment ago was removed to make room."""


@contextmanager
def _removed() -> Iterator[None]:
    try:
        yield
    except NotFound as gone:
        raise _Removed from gone


async def _all(work: Any) -> list[Any]:
    """Run everything at once; when one fails the others are stopped before the error goes on."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
