"""Looks at everything that venvery needs on this machine, and says what it found. Changes nothing."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from venvery import __version__
from venvery.builds.probing import probe
from venvery.catalog.catalog import Catalog
from venvery.catalog.pip_settings import Machine, configuration_files, read_pip_settings
from venvery.client.errors import ClientError
from venvery.client.interpreter import find_python, this_interpreter
from venvery.client.store import default_folder
from venvery.config import Configuration
from venvery.errors import SourceFailed, VenveryError
from venvery.model.files import Listing
from venvery.model.names import normalize
from venvery.model.sizes import show_size
from venvery.model.sources import SourceSpec, redact
from venvery.services.keeping import Keeper
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

__all__ = ["Finding", "examine"]

State = Literal["ok", "warning", "problem"]

LITTLE_SPACE = 2_000_000_000
"""Bytes of free space below which there is a warning."""
OLDEST, FREE_THREADS, AHEAD = 7, 13, 5
"""Minor versions of Python 3: the oldest that is looked for, the first without the lock, and how far ahead."""
PROBE = normalize("pip")
"""The project that a source is asked for: whether it has it or not, the source answers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    says: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write as `doctor --json` prints it."""
        about = {"subject": self.subject, "state": self.state, "says": self.says}
        return about | ({"hint": self.hint} if self.hint else {})


async def examine(configuration: Configuration | None, machine: Machine, server: str | None) -> list[Finding]:
    """Look at everything, in the order in which a person should mend it.

    Without a configuration, which is one that cannot be read, what depends on it is left out.
    """
    here = this_interpreter()
    found = [Finding("venvery", "ok", f"{__version__} on Python {here.version}{here.threads}, {here.platform}")]
    found += _pip(machine)
    if configuration is not None:
        folder = list(_data_folder(configuration))
        found += folder
        if not any(finding.state == "problem" for finding in folder):
            found += await _sources(configuration)
    found += _interpreters()
    found += _sandbox()
    found += _store(machine.environ, machine.folder)
    if server is not None:
        found.append(_server(server))
    return found


def _pip(machine: Machine) -> Iterator[Finding]:
    """Say which of pip's settings count here."""
    try:
        settings = read_pip_settings(machine)
    except VenveryError as error:
        yield Finding("pip settings", "problem", str(error), error.hint)
        return
    words = settings.words
    said = [
        *(f"index-url {redact(words.index_url)}" for _ in [0] if words.index_url),
        *(f"extra-index-url {redact(url)}" for url in words.extra_index_urls),
        *(f"find-links {redact(place)}" for place in words.find_links),
        *("no-index" for _ in [0] if words.no_index),
        *(f"proxy {redact(settings.proxy)}" for _ in [0] if settings.proxy),
        *(f"cert {settings.cert}" for _ in [0] if settings.cert),
        *(f"trusted-host {host}" for host in settings.trusted_hosts),
    ]
    files = [str(path) for path in configuration_files(machine) if path.exists()]
    where = f" (from {', '.join([*files, *_variables(machine.environ)])})" if said else ""
    yield Finding("pip settings", "ok", (", ".join(said) or "none that count here") + where)


def _variables(environ: Mapping[str, str]) -> list[str]:
    return sorted(name for name in environ if name.startswith("PIP_") and name != "PIP_CONFIG_FILE")


def _data_folder(configuration: Configuration) -> Iterator[Finding]:
    """Check that the data folder can be written, locked and read, and how full it is."""
    folder = configuration.data
    if not folder.exists():
        yield from _room(folder, f"{folder} is not there yet; the first command makes it")
        return
    try:
        with Database.open(configuration.database_at) as database:
            blobs = Blobs.open_folder(folder / "blobs")
            with blobs.leases.removing(wait=5.0):
                pass
            environments = database.environments.count()
            size = Keeper(folder, database, blobs).size()
    except (VenveryError, OSError) as error:
        yield Finding("data folder", "problem", f"{folder}: {error}", getattr(error, "hint", None))
        return
    if not os.access(folder, os.W_OK):
        yield Finding("data folder", "problem", f"{folder} cannot be written")
        return
    most = configuration.max_size
    limit = "no limit is set" if most is None else f"the limit is {show_size(most)}"
    yield from _room(folder, f"{folder} holds {show_size(size)}, environments: {environments}; {limit}")
    if most is not None and size > most:
        hint = "a running server makes room by itself; else run venvery prune"
        yield Finding("data folder", "warning", f"it holds {show_size(size)}, more than its limit", hint)


def _room(folder: Path, says: str) -> Iterator[Finding]:
    """Say how much space there is where a folder lies, or will lie."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(place, os.W_OK):
        yield Finding("data folder", "problem", f"{folder} cannot be made: {place} cannot be written")
        return
    free = shutil.disk_usage(place).free
    little = free < LITTLE_SPACE
    hint = "free some, run venvery prune, or set max-size" if little else None
    yield Finding("data folder", "warning" if little else "ok", f"{says}; {show_size(free)} are free", hint)


async def _sources(configuration: Configuration) -> list[Finding]:
    """Ask every source for a project."""
    others = [spec for spec in configuration.sources if spec.kind != "hosted"]
    found = [*_hosted(configuration), *await _shadowed(configuration)]
    if not others:
        hint = "name one with --index-url or --find-links"
        found.append(Finding("sources", "warning", "there is no source but what is hosted here", hint))
    return found + list(await asyncio.gather(*(_source(spec, configuration) for spec in others)))


def _hosted(configuration: Configuration) -> Iterator[Finding]:
    """Say what the hosted sources hold; what no source of the configuration has still owns its names."""
    holders: dict[str, int] = {spec.name: 0 for spec in configuration.sources if spec.kind == "hosted"}
    configured = list(holders)
    if configuration.has_database():
        with Database.open(configuration.database_at) as database:
            for source, _project in database.hosted.names():
                holders[source] = holders.get(source, 0) + 1
    for source, count in holders.items():
        if source in configured:
            yield Finding(f"source {source}", "ok", f"hosted here; projects: {count}")
        else:
            says = f"hosted here, but not in the configuration; its {count} projects come from nowhere else either"
            yield Finding(f"source {source}", "warning", says, "name it in the configuration, as kind hosted")


async def _shadowed(configuration: Configuration) -> list[Finding]:
    """Name what is hosted here and known elsewhere too, and say who wins; nobody is asked."""
    if not configuration.has_database():
        return []
    with Database.open(configuration.database_at) as database:
        blobs = Blobs(configuration.data / "blobs")
        async with Catalog(configuration.sources, database=database, blobs=blobs) as catalog:
            try:
                shadowed = await asyncio.to_thread(catalog.shadowed)
            except SourceFailed:
                return []  # it is told of that source by itself
    return [Finding(f"name {one.project}", "ok", str(one)) for one in shadowed]


async def _source(spec: SourceSpec, configuration: Configuration) -> Finding:
    subject = f"source {spec}"
    try:
        with tempfile.TemporaryDirectory() as folder:  # what is remembered must not speak for one that is down
            listing = await _ask(spec, configuration, Path(folder))
    except SourceFailed as error:
        return Finding(subject, "problem", f"{spec.kind}: {error}", error.hint)
    except VenveryError as error:
        return Finding(subject, "problem", str(error), error.hint)
    has = f"it lists {len(listing.files)} files of {PROBE}" if listing.known else f"it has no {PROBE}"
    return Finding(subject, "ok", f"{spec.kind} answers; {has}")


async def _ask(spec: SourceSpec, configuration: Configuration, folder: Path) -> Listing:
    with Database.open(folder / "venvery.sqlite") as database:
        network = replace(configuration.network, retries=min(1, configuration.network.retries))
        async with Catalog([spec], database=database, blobs=Blobs(folder / "blobs"), network=network) as catalog:
            return (await catalog.listings([PROBE]))[PROBE]


def _interpreters() -> Iterator[Finding]:
    """Say for which Pythons bytecode can be compiled here."""
    found = {}
    for minor in range(OLDEST, sys.version_info[1] + AHEAD):
        for threads in ("", "t") if minor >= FREE_THREADS else ("",):
            with suppress(ClientError):
                python = find_python(f"3.{minor}{threads}")
                found[f"{python.version}{python.threads}"] = python.executable
    listed = ", ".join(f"{version} ({path})" for version, path in found.items())
    yield Finding("interpreters", "ok", f"bytecode can be compiled for {listed}")


def _sandbox() -> Iterator[Finding]:
    """Say which layers of the sandbox for source builds work here, and what follows."""
    probed = probe()
    for layer in probed.layers:
        yield Finding(f"sandbox, {layer.name}", "ok" if layer.works else "warning", layer.says, layer.hint)
    if probed.why_not is None:
        yield Finding("source builds", "ok", "source distributions are built in the sandbox")
    else:
        yield Finding("source builds", "warning", f"source distributions are refused: {probed.why_not}")


def _store(environ: Mapping[str, str], beside: Path) -> Iterator[Finding]:
    """Check the client's store of layers, and whether environments can be linked to it from here."""
    folder = Path(default_folder(dict(environ)))
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(place, os.W_OK):
        hint = "without it sync works, and fetches every layer each time; VENVERY_CACHE_DIR names another folder"
        yield Finding("layer store", "warning", f"{folder} cannot be written", hint)
    elif place.stat().st_dev != beside.stat().st_dev:
        hint = "put it on the same file system with VENVERY_CACHE_DIR"
        yield Finding("layer store", "warning", f"{folder} is on another disk: files are copied, not linked", hint)
    else:
        kept = _count_layers(folder)
        yield Finding("layer store", "ok", f"{folder} holds {kept} layers; files are linked from there")


def _count_layers(folder: Path) -> int:
    try:
        return sum(1 for _ in (folder / "store-2" / "layers").iterdir())
    except OSError:
        return 0


def _server(url: str) -> Finding:
    """Ask the server whether it is ready."""
    shown = redact(url)
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10.0):
            pass
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace")
        return Finding("server", "problem", f"{shown} is not ready: HTTP {error.code} {said}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Finding("server", "problem", f"{shown}: {reason or type(error).__name__}", "is it running there?")
    return Finding("server", "ok", f"{shown} is ready")
