"""What pip is told on this machine: its configuration files and `PIP_*` variables, read as pip reads them.

Read without pip: pip's user guide, "Configuration". Sections count as for `pip install`: `[global]`, then
`[install]`, then the environment; of several files the later wins, key by key.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from venvery.errors import BadConfiguration
from venvery.model.sources import SourceSpec, redact, without_credentials

__all__ = [
    "DEFAULT_INDEX_URL",
    "Machine",
    "PipSettings",
    "SourceWords",
    "check_http",
    "configuration_files",
    "path_of",
    "read_pip_settings",
    "sources_of",
    "this_machine",
]

DEFAULT_INDEX_URL = "https://pypi.org/simple"
"""The public index that pip uses when nothing else is said. Nowhere else does venvery name an index."""

_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})
_SECTIONS = ("global", "install", ":env:")


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine the settings depend on."""

    environ: Mapping[str, str]
    home: Path
    prefix: Path
    """`sys.prefix`: a virtualenv may have a pip.conf of its own."""
    platform: str
    """`sys.platform`."""
    folder: Path
    """Where relative paths start: the current folder, absolute."""
    system: Path = Path("/")
    """The root under which the system-wide files of POSIX lie."""


def this_machine() -> Machine:
    """Describe the machine, the user and the folder that this process runs in."""
    return Machine(
        environ=os.environ,
        home=Path(os.path.expanduser("~")),  # noqa: PTH111 (Path.home() raises where there is no home)
        prefix=Path(sys.prefix),
        platform=sys.platform,
        folder=Path.cwd(),
    )


@dataclass(frozen=True, slots=True)
class SourceWords:
    """Pip's four words for where distributions come from."""

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.index_url or self.extra_index_urls or self.find_links or self.no_index)

    def then(self, closer: SourceWords) -> SourceWords:
        """Add what is said closer to the command: an index replaces the index, the rest adds up."""
        return SourceWords(
            index_url=closer.index_url or self.index_url,
            extra_index_urls=self.extra_index_urls + closer.extra_index_urls,
            find_links=self.find_links + closer.find_links,
            no_index=self.no_index or closer.no_index,
        )


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip is told on this machine; None and empty: nothing."""

    words: SourceWords = field(default_factory=SourceWords)
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    timeout: float | None = None
    retries: int | None = None
    trusted_hosts: tuple[str, ...] = ()


def read_pip_settings(machine: Machine) -> PipSettings:
    """Read the settings that `pip install` would go by.

    Raises `BadConfiguration` for a file that pip could not read either, and for values of the wrong kind.
    """
    sections: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for path in configuration_files(machine):
        for section, values in _read(path).items():
            sections.setdefault(section, {}).update(values)
    sections[":env:"] = dict(_variables(machine.environ))
    said: dict[str, str] = {}
    for name in _SECTIONS:
        said.update({key: value for key, value in sections[name].items() if value})
    retries = _number(said, "retries")
    return PipSettings(
        words=SourceWords(
            index_url=said.get("index-url") or said.get("pypi-url"),
            extra_index_urls=tuple(said.get("extra-index-url", "").split()),
            find_links=tuple(said.get("find-links", "").split()),
            no_index=_truth(said, "no-index"),
        ),
        cert=said.get("cert"),
        client_cert=said.get("client-cert"),
        proxy=said.get("proxy"),
        timeout=_number(said, "timeout"),
        retries=None if retries is None else int(retries),
        trusted_hosts=tuple(said.get("trusted-host", "").split()),
    )


def configuration_files(machine: Machine) -> tuple[Path, ...]:
    """List the files that pip would look for, the weakest first.

    With `PIP_CONFIG_FILE` naming a file that is there, the user's own files are left out; naming the null
    device, all are.
    """
    named = machine.environ.get("PIP_CONFIG_FILE") or None
    if named == os.devnull:
        return ()
    found = list(_system_files(machine))
    if named is None or not (machine.folder / named).exists():
        found += _user_files(machine)
    found.append(machine.prefix / _file_name(machine))
    if named is not None:
        found.append(machine.folder / named)
    return tuple(found)


def _file_name(machine: Machine) -> str:
    return "pip.ini" if machine.platform == "win32" else "pip.conf"


def _system_files(machine: Machine) -> Iterator[Path]:
    if machine.platform == "win32":
        shared = machine.environ.get("PROGRAMDATA")
        if shared:
            yield Path(shared) / "pip" / "pip.ini"
    elif machine.platform == "darwin":
        yield machine.system / "Library/Application Support/pip/pip.conf"
    else:
        folders = machine.environ.get("XDG_CONFIG_DIRS", "").strip()
        listed = [Path(folder) for folder in folders.split(os.pathsep) if folder.strip()]
        for folder in listed or [machine.system / "etc/xdg"]:
            yield folder / "pip" / "pip.conf"
        yield machine.system / "etc/pip.conf"


def _user_files(machine: Machine) -> Iterator[Path]:
    """Give the legacy file first: the newer one overrides it."""
    if machine.platform == "win32":
        yield machine.home / "pip" / "pip.ini"
        roaming = machine.environ.get("APPDATA")
        yield (Path(roaming) if roaming else machine.home / "AppData/Roaming") / "pip" / "pip.ini"
        return
    yield machine.home / ".pip" / "pip.conf"
    support = machine.home / "Library/Application Support/pip"
    if machine.platform == "darwin" and support.is_dir():
        yield support / "pip.conf"
    elif machine.platform == "darwin":
        yield machine.home / ".config/pip/pip.conf"
    else:
        config = machine.environ.get("XDG_CONFIG_HOME", "").strip()
        yield (Path(config) if config else machine.home / ".config") / "pip" / "pip.conf"


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Read one file. One that is not there says nothing; one that may not be read is passed over, as by pip."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"), source=str(path))
    except OSError:
        return {}
    except UnicodeDecodeError:
        raise BadConfiguration(f"pip's configuration {path} is not UTF-8 text") from None
    except configparser.Error as error:
        said = " ".join(str(error).split())
        raise BadConfiguration(f"pip's configuration {path} cannot be read: {said}") from None
    return {section: {_key(name): value for name, value in parser.items(section)} for section in parser.sections()}


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            yield _key(name[4:]), value


def _truth(said: Mapping[str, str], key: str) -> bool:
    value = said.get(key, "no").strip().lower()
    if value not in _TRUE | _FALSE:
        raise BadConfiguration(f"pip's setting {key} must be yes or no, not {value[:80]!r}")
    return value in _TRUE


def _number(said: Mapping[str, str], key: str) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise BadConfiguration(f"pip's setting {key} must be a number, not {value[:80]!r}")
    return number


def sources_of(words: SourceWords, machine: Machine) -> tuple[tuple[SourceSpec, ...], tuple[str, ...]]:
    """Give the sources that pip's words name, and warnings on those left out.

    Files come first, as pip prefers them among equals. A folder that is not there is left out with a warning,
    as by pip. Raises `BadConfiguration` for what is neither a URL that pip could open nor a path.
    """
    indexes: tuple[str, ...] = ()
    if not words.no_index:
        indexes = (words.index_url or DEFAULT_INDEX_URL, *words.extra_index_urls)
    found: dict[str, SourceSpec] = {}
    warnings: list[str] = []
    for reference, is_index in [(link, False) for link in words.find_links] + [(url, True) for url in indexes]:
        source = _source(reference.strip(), is_index, machine)
        if source is None:
            warnings.append(f"{redact(reference)} is left out: there is no such file or folder")
        else:
            found.setdefault(source.location, source)
    return _with_own_names(found.values()), tuple(warnings)


def path_of(reference: str, machine: Machine) -> Path | None:
    """Give the absolute path that a `file:` URL or a path means; None for any other URL."""
    parts = urlsplit(reference)
    if parts.scheme.lower() == "file":
        path = unquote(parts.path)
        if machine.platform == "win32":
            path = path.lstrip("/")
        return Path(path)
    if "://" in reference:
        return None
    if reference == "~" or reference.startswith(("~/", "~\\")):
        return machine.home / reference[2:]
    return machine.folder / reference


def _source(reference: str, is_index: bool, machine: Machine) -> SourceSpec | None:
    path = path_of(reference, machine)
    if path is not None:
        if is_index:
            return SourceSpec(str(path), "tree", str(path)) if path.is_dir() else None
        if path.is_file():
            return SourceSpec(str(path), "links", path.as_uri())
        return SourceSpec(str(path), "flat", str(path)) if path.is_dir() else None
    url = check_http(reference)
    name = redact(without_credentials(url))
    return SourceSpec(name.rstrip("/"), "index", url.rstrip("/")) if is_index else SourceSpec(name, "links", url)


def check_http(url: str) -> str:
    """Check that a URL is one to fetch over HTTP. Raises `BadConfiguration`."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and url.isprintable()
        fine = fine and parts.port != 0 and " " not in url
    except ValueError:
        fine = False
    if not fine:
        raise BadConfiguration(
            f"{redact(url)[:200]!r} is not a URL that packages could come from",
            hint="write http://…, https://… or file:///…",
        )
    return url


def _with_own_names(sources: Iterable[SourceSpec]) -> tuple[SourceSpec, ...]:
    """Number the sources that would share a name: one URL with several user names."""
    taken: Counter[str] = Counter()
    named = []
    for source in sources:
        taken[source.name] += 1
        number = taken[source.name]
        named.append(source if number == 1 else replace(source, name=f"{source.name} ({number})"))
    return tuple(named)
