"""Makes the layers of an environment again, from wheels of an index of one's own choice, and compares digests.

Nothing is taken from the server that made the environment, and nothing from this machine's data folder: wheels
come from the index, are checked against the SHA-256 that the manifest pins, and become layers here.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from venvery.catalog.catalog import Catalog
from venvery.catalog.reporter import Reporter
from venvery.config import Configuration
from venvery.environments import RECIPE, LayerInfo, build_layer, compile_layers, environment_key
from venvery.environments.installed import Installed
from venvery.environments.manifest import PinnedWheel
from venvery.environments.parts import gather_parts
from venvery.errors import NoUsableFile, WrongHash
from venvery.model.files import DistFile, Listing, parse_filename
from venvery.model.names import NormalizedName, normalize
from venvery.model.sources import is_allowed
from venvery.model.targets import short_target
from venvery.services.verifying import find_compiler
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

__all__ = ["Rebuilt", "rebuild"]


@dataclass(slots=True)
class Rebuilt:
    """What came of it."""

    layers: int = 0
    """Layers of the manifest that are what the wheels make."""
    problems: list[str] = field(default_factory=list)


async def rebuild(installed: Installed, configuration: Configuration, report: Reporter | None = None) -> Rebuilt:
    """Make every layer of an environment again and compare. Raises `SourceFailed` when an index fails."""
    manifest = installed.manifest
    if manifest.recipe != RECIPE:
        problem = f"it was made by recipe {manifest.recipe}, and this venvery makes layers by recipe {RECIPE}"
        return Rebuilt(problems=[problem])
    with tempfile.TemporaryDirectory(prefix="venvery-rebuild-") as folder:
        blobs = Blobs.open_folder(Path(folder) / "blobs")
        with Database.open(Path(folder) / "venvery.sqlite") as database:
            async with Catalog(
                configuration.sources,
                database=database,
                blobs=blobs,
                union=configuration.union,
                freshness=configuration.freshness_seconds,
                network=configuration.network,
                reporter=report,
            ) as catalog:
                return await _Rebuilding(installed, catalog, blobs, configuration.allowed_urls).run()


class _Rebuilding:
    def __init__(
        self, installed: Installed, catalog: Catalog, blobs: Blobs, allowed_urls: tuple[str, ...]
    ) -> None:
        self._root = installed.root
        self._manifest = installed.manifest
        self._family = installed.manifest.target.family
        self._catalog = catalog
        self._blobs = blobs
        self._allowed_urls = allowed_urls
        self._rebuilt = Rebuilt()

    async def run(self) -> Rebuilt:
        pins = self._manifest.pins
        listings = await self._catalog.listings([normalize(pin.project) for pin in pins])
        made = await asyncio.gather(*(self._layer(pin, listings) for pin in pins))
        infos = [info for info in made if info is not None]
        if len(infos) == len(pins):
            await asyncio.to_thread(self._compare, infos)
        return self._rebuilt

    async def _layer(self, pin: PinnedWheel, listings: Mapping[NormalizedName, Listing]) -> LayerInfo | None:
        """Make the layer of one pin from the index; None when the index has no such wheel."""
        try:
            digest = await self._catalog.fetch(self._listed(pin, listings))
        except NoUsableFile as error:
            self._rebuilt.problems.append(str(error))
            return None
        except WrongHash as error:
            self._rebuilt.problems.append(f"{pin.filename}: {error}")
            return None
        return await asyncio.to_thread(self._build, pin, digest)

    def _listed(self, pin: PinnedWheel, listings: Mapping[NormalizedName, Listing]) -> DistFile:
        files = listings[normalize(pin.project)].files
        for file in files:
            if file.sha256 == pin.sha256:
                return file
        for file in files:
            if file.filename == pin.filename and file.sha256 is None:
                return _with_hash(file.url, pin, file.source)
        if pin.url is not None and is_allowed(pin.url, self._allowed_urls):
            return _with_hash(pin.url, pin, "direct")
        others = any(file.filename == pin.filename for file in files)
        why = "under that name has another hash" if others else "has not got that wheel"
        raise NoUsableFile(f"{pin.filename} (sha256 {pin.sha256}): the index {why}")

    def _build(self, pin: PinnedWheel, digest: str) -> LayerInfo:
        about = None
        if pin.url is not None:
            about = {"url": pin.url, "archive_info": {"hashes": {"sha256": pin.sha256}}}  # PEP 610
        with self._blobs.open(digest) as wheel:
            return build_layer(wheel, pin.filename, self._family, self._blobs, direct_url=about)

    def _compare(self, infos: list[LayerInfo]) -> None:
        wheels = {(layer.project, layer.digest) for layer in self._manifest.layers if layer.kind == "wheel"}
        for info, pin in zip(infos, self._manifest.pins, strict=True):
            if info.wheel.sha256 != pin.sha256 or (info.project, info.digest) not in wheels:
                self._tell(f"{info.project} {info.version}: its layer is not what {pin.filename} makes")
            else:
                self._rebuilt.layers += 1
        if len(wheels) != len(infos):
            self._tell("the manifest has layers that no pinned wheel makes")
        by_digest = {info.digest: info for info in infos}
        ordered = [by_digest[layer.digest] for layer in self._manifest.layers if layer.digest in by_digest]
        if gather_parts(ordered).digest != self._manifest.parts:
            self._tell("its scripts are not those of the wheels")
        target = self._manifest.target
        if (
            environment_key(short_target(target.python + target.threads, target.platform), infos)
            != self._manifest.key
        ):
            self._tell("its key is not that of its wheels")
        self._compare_bytecode(infos)

    def _compare_bytecode(self, infos: list[LayerInfo]) -> None:
        layers = [layer for layer in self._manifest.layers if layer.kind == "bytecode"]
        if not layers:
            return
        interpreter = find_compiler(self._family, self._root)
        if interpreter is None:
            self._tell(f"its bytecode cannot be made again: there is no Python {self._family.python} here")
            return
        wanted = {layer.of for layer in layers}
        sources = [info for info in infos if info.digest in wanted]
        made = {(info.of, info.digest) for info in compile_layers(sources, self._family, interpreter, self._blobs)}
        for layer in layers:
            if (layer.of, layer.digest) in made:
                self._rebuilt.layers += 1
            else:
                self._tell(f"the bytecode of {layer.project} {layer.version} is not what {interpreter} makes")

    def _tell(self, problem: str) -> None:
        self._rebuilt.problems.append(problem)


def _with_hash(url: str, pin: PinnedWheel, source: str) -> DistFile:
    name = parse_filename(pin.filename)
    if name is None:
        raise NoUsableFile(f"{pin.filename} is not the name of a wheel")
    return DistFile(
        pin.filename, url, name.project, name.version, name.kind, name.tag, name.build, pin.sha256, source=source
    )
