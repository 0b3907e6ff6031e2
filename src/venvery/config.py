"""The configuration: where the data lies, which sources there are, and how much is allowed.

What is said more closely wins: an option of the command, then the configuration file, then
`VENVERY_INDEX_URL`, then pip's own settings, then the public index. Files are read; nothing is changed.

    data = "/srv/venvery"                     # folders are relative to the configuration file
    database = "postgresql://…"               # in place of a file in the data folder
    host = "127.0.0.1"
    port = 8000
    freshness-seconds = 600
    union = "priority"                        # or "merge": all sources have equal rights
    allowed-urls = ["https://files.example/wheels/"]
    max-size = "50 GB"                        # of the data folder

    [[sources]]                               # in the order of their priority
    name = "internal"
    url = "https://packages.example/simple"   # or path = "wheels"
    kind = "index"                            # index, tree, flat, links; told from url and path when absent

    [[sources]]
    name = "team-a"
    kind = "hosted"                           # people upload to it
    projects = ["acme-*"]                     # these names are looked up here and nowhere else
    shared = ["acme-numpy"]                   # but these may come from elsewhere too, though uploaded here

    [[views]]
    name = "prod"
    sources = ["team-a", "internal"]
    private = true

    [policy]
    blocked = ["evil", "requests==2.31.0", {release = "urllib3<1.26", reason = "CVE-2020-26137"}]
    allowed = ["acme-*", "django<6"]          # nothing but these; everything when absent
    cool-down = "7 days"                      # releases younger than that are not offered
    cool-down-exempt = ["acme-*"]

    [builds]
    sdists = "sandboxed"                      # or "never", or "allowlist" with allow = ["names"]
    no-binary = ["psycopg2"]                  # always built, whatever wheels there are
    build-constraints = ["setuptools<80"]
    memory = "4 GB"

    [builds.packages.psycopg2]
    environment = {PG_CONFIG = "/usr/bin/pg_config"}
    [access]
    anonymous = ["read", "resolve", "build"]  # what needs no token; so it is on 127.0.0.1, else nothing

    [network]
    connect-timeout-seconds = 10

    [limits]
    requirements = 10000
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, NoReturn, cast, get_args

from venvery.catalog.pip_settings import (
    Machine,
    PipSettings,
    SourceWords,
    check_http,
    path_of,
    read_pip_settings,
    sources_of,
    this_machine,
)
from venvery.errors import BadConfiguration, BadInput
from venvery.model.access import parse_scopes
from venvery.model.build_settings import BuildLimits, BuildSettings, PackageBuild, SdistPolicy
from venvery.model.names import NormalizedName, parse_name
from venvery.model.policy import (
    NO_POLICY,
    ReleasePolicy,
    ReleaseRule,
    parse_pattern,
    parse_rule,
    parse_span,
)
from venvery.model.sizes import parse_size
from venvery.model.sources import (
    HOSTED,
    NetworkSettings,
    SourceKind,
    SourceSpec,
    Union,
    ViewSpec,
    redact,
)

__all__ = [
    "DEFAULT_PORT",
    "CommandOptions",
    "Configuration",
    "Limits",
    "Machine",
    "SourceWords",
    "default_data",
    "load_configuration",
    "this_machine",
]

DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for."""

    body_bytes: int = 8 * 1024 * 1024
    requirements: int = 10_000
    targets: int = 32
    solver_decisions: int = 200_000
    solver_seconds: float = 60.0
    file_bytes: int = 16 * 1024**3
    """Of one distribution file that is fetched."""
    hashed_bytes: int = 4 * 1024**3
    """Of files that are fetched to make the hashes of one lock, where the index gives none."""
    upload_bytes: int = 4 * 1024**3
    """Of one distribution file that is uploaded."""
    unpacked_bytes: int = 64 * 1024**3
    """Of one wheel when unpacked."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that is configured, checked."""

    data: Path
    """The data folder, absolute; it need not exist yet."""
    database: str | None = field(default=None, repr=False)
    """The URL of a PostgreSQL database; None: a file in the data folder."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0: one that is free."""
    freshness_seconds: float = 600.0
    """How long a listing may be used before its source is asked again."""
    sources: tuple[SourceSpec, ...] = ()
    """In the order of their priority; at least one is hosted."""
    union: Union = "merge"
    views: tuple[ViewSpec, ...] = ()
    """Beside the default view, which is all sources in their order; unless one of these has its name."""
    allowed_urls: tuple[str, ...] = ()
    """Prefixes that direct references (`name @ URL`) may have; `venvery.model.sources.is_allowed` decides."""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    limits: Limits = field(default_factory=Limits)
    anonymous: frozenset[str] = frozenset()
    """The scopes of those who show no token (`venvery.model.access`)."""
    max_size: int | None = None
    """Bytes that the data folder may have; what was not used for longest is removed beyond it. None: no limit."""
    policy: ReleasePolicy = NO_POLICY
    builds: BuildSettings = field(default_factory=BuildSettings)
    warnings: tuple[str, ...] = ()
    """What a person should be told about the configuration."""

    @property
    def database_at(self) -> str | Path:
        """Where the database is."""
        return self.database or self.data / "venvery.sqlite"

    def has_database(self) -> bool:
        """Tell whether there is a database already; of one on a server nobody knows before it is asked."""
        return self.database is not None or (self.data / "venvery.sqlite").exists()


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """What was said on the command line; None and empty: nothing."""

    data: Path | None = None
    host: str | None = None
    port: int | None = None
    anonymous: tuple[str, ...] | None = None
    """Scopes of those who show no token."""
    words: SourceWords = field(default_factory=SourceWords)
    max_size: int | None = None


def load_configuration(
    machine: Machine, *, file: Path | None = None, options: CommandOptions | None = None
) -> Configuration:
    """Put the configuration together. Raises `BadConfiguration`, which names the file and the key."""
    options = options or CommandOptions()
    read = _Table.of(machine.folder / file).configuration(machine) if file is not None else _FromFile()
    pip = read_pip_settings(machine)
    sources, warnings = _sources(machine, read, pip, options.words)
    if not any(source.kind == "hosted" for source in sources):
        sources = (HOSTED, *sources)
    data = options.data or read.data
    _check_views(read.views, sources, file)
    host = options.host or read.host or "127.0.0.1"
    return Configuration(
        data=machine.folder / data if data is not None else default_data(machine),
        database=read.database or machine.environ.get("VENVERY_DATABASE") or None,
        host=host,
        port=next((port for port in (options.port, read.port) if port is not None), DEFAULT_PORT),
        freshness_seconds=read.freshness_seconds,
        sources=sources,
        union=read.union,
        views=read.views,
        anonymous=_anonymous(options.anonymous, read.access, host),
        allowed_urls=read.allowed_urls,
        network=replace(_network_of(pip, machine), **read.network),
        limits=read.limits,
        max_size=options.max_size if options.max_size is not None else read.max_size,
        policy=read.policy,
        builds=read.builds,
        warnings=warnings,
    )


def default_data(machine: Machine) -> Path:
    """Give `VENVERY_DATA`, else the platform's folder for the data of programs."""
    environ = machine.environ
    if environ.get("VENVERY_DATA"):
        return machine.folder / environ["VENVERY_DATA"]
    if machine.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return (Path(local) if local else machine.home / "AppData/Local") / "venvery"
    if machine.platform == "darwin":
        return machine.home / "Library/Application Support/venvery"
    shared = environ.get("XDG_DATA_HOME", "")
    absolute = Path(shared) if shared.startswith("/") else machine.home / ".local/share"
    return absolute / "venvery"


def _sources(
    machine: Machine, read: _FromFile, pip: PipSettings, words: SourceWords
) -> tuple[tuple[SourceSpec, ...], tuple[str, ...]]:
    """Choose the sources. To a file's list, options add in front; an index there replaces the file's."""
    if not read.sources:
        own = machine.environ.get("VENVERY_INDEX_URL", "").strip()
        base = SourceWords(index_url=own) if own else pip.words
        return sources_of(base.then(words), machine)
    kept = read.sources
    if words.index_url or words.no_index:
        kept = tuple(source for source in kept if source.kind in ("flat", "links", "hosted"))
    if not words:
        return kept, ()
    first, *others = words.extra_index_urls or (None,)
    asked = words if words.index_url else replace(words, index_url=first, extra_index_urls=tuple(others))
    added, warnings = sources_of(asked if asked.index_url else replace(asked, no_index=True), machine)
    places = {source.location for source in added}
    kept = tuple(source for source in kept if source.location not in places)
    return added + kept, warnings


def _anonymous(said: tuple[str, ...] | None, read: frozenset[str] | None, host: str) -> frozenset[str]:
    """Tell what needs no token: what is said, else everything but uploads where only this machine can ask."""
    if said is not None:
        return parse_scopes(said, anonymous=True)
    if read is not None:
        return read
    return frozenset({"read", "resolve", "build"}) if _is_loopback(host) else frozenset()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_views(views: tuple[ViewSpec, ...], sources: tuple[SourceSpec, ...], file: Path | None) -> None:
    """See to it that every view is made of sources that there are. Raises `BadConfiguration`."""
    names = [source.name for source in sources]
    for place, view in enumerate(views):
        for name in view.sources:
            if name not in names:
                raise BadConfiguration(
                    f"{file}: views[{place}].sources names {redact(name)!r}, and there is no such source",
                    hint=f"sources: {', '.join(map(redact, names))}",
                )


def _network_of(pip: PipSettings, machine: Machine) -> NetworkSettings:
    """Take over what pip knows of the way to the indexes: certificates, proxy, patience."""
    said: dict[str, Any] = {
        "ca_file": _absolute(pip.cert, machine),
        "client_certificate": _absolute(pip.client_cert, machine),
        "proxy": pip.proxy,
        "read_timeout": pip.timeout or None,
        "connect_timeout": pip.timeout or None,
        "retries": pip.retries,
        "trusted_hosts": pip.trusted_hosts,
    }
    return NetworkSettings(**{name: value for name, value in said.items() if value is not None})


def _absolute(path: str | None, machine: Machine) -> str | None:
    found = path_of(path, machine) if path else None
    return str(found) if found is not None else None


@dataclass(frozen=True, slots=True)
class _FromFile:
    """What the configuration file says."""

    data: Path | None = None
    database: str | None = None
    host: str | None = None
    port: int | None = None
    freshness_seconds: float = 600.0
    sources: tuple[SourceSpec, ...] = ()
    union: Union = "merge"
    views: tuple[ViewSpec, ...] = ()
    allowed_urls: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    max_size: int | None = None
    policy: ReleasePolicy = NO_POLICY
    builds: BuildSettings = field(default_factory=BuildSettings)
    access: frozenset[str] | None = None
    """What those may do who show no token; None: nothing is said."""


_Kind = Literal["text", "number", "whole number", "list of texts", "yes or no"]

_NETWORK = {
    "connect-timeout-seconds": ("connect_timeout", "number"),
    "read-timeout-seconds": ("read_timeout", "number"),
    "max-connections": ("max_connections", "whole number"),
    "retries": ("retries", "whole number"),
    "ca-file": ("ca_file", "text"),
    "client-certificate": ("client_certificate", "text"),
    "proxy": ("proxy", "text"),
    "trusted-hosts": ("trusted_hosts", "list of texts"),
}


_BUILD_LIMITS: Mapping[str, tuple[str, _Kind | Literal["size"]]] = {
    "memory": ("memory_bytes", "size"),
    "disk": ("disk_bytes", "size"),
    "wheel-size": ("output_bytes", "size"),
    "log-size": ("log_bytes", "size"),
    "processes": ("processes", "whole number"),
    "cpu-seconds": ("cpu_seconds", "whole number"),
    "wall-seconds": ("wall_seconds", "number"),
    "cpus": ("cpus", "number"),
}
_BUILDS = ("sdists", "allow", "no-binary", "build-constraints", "packages", "concurrency")


class _Table:
    """A table of the configuration file, and the way to it."""

    def __init__(self, values: Mapping[str, Any], file: Path, path: str, known: tuple[str, ...]) -> None:
        self.values = {key.replace("_", "-"): value for key, value in values.items()}
        self.file, self.path = file, path
        for key in self.values:
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"keys here: {', '.join(known)}"
                self.fail(key, "is not a key that venvery knows", hint=hint)

    @classmethod
    def of(cls, file: Path) -> _Table:
        """Read a configuration file."""
        try:
            values = tomllib.loads(file.read_text("utf-8-sig"))
        except OSError as error:
            raise BadConfiguration(f"{file} cannot be read: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadConfiguration(f"{file} is not TOML: {error}") from None
        known = tuple(name.name.replace("_", "-") for name in fields(_FromFile))
        return cls(values, file, "", known)

    def configuration(self, machine: Machine) -> _FromFile:
        sources = self.sources(machine)
        union = self.union("priority" if sources else "merge")
        port = self.take("port", "whole number")
        if port is not None and port > 65535:
            self.fail("port", "must be between 0 and 65535")
        data = self.take("data", "text")
        return _FromFile(
            data=self.file.parent / data if data else None,
            database=self.database(),
            host=self.take("host", "text"),
            port=port,
            freshness_seconds=self.take("freshness-seconds", "number", 600.0),
            sources=sources,
            union=union,
            views=self.views(union),
            allowed_urls=tuple(self.prefix(url) for url in self.take("allowed-urls", "list of texts", ())),
            network=self.network(machine),
            limits=self.limits(),
            max_size=self.size("max-size"),
            policy=self.policy(),
            builds=self.builds(),
            access=self.anonymous(),
        )

    def database(self) -> str | None:
        """Give the URL of a database; never in a message, for it may hold a password."""
        url = self.take("database", "text")
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            self.fail("database", "must be a postgresql:// URL", hint="leave it out for a file in the data folder")
        return cast("str | None", url)

    def take(self, key: str, kind: _Kind, default: Any = None) -> Any:
        """Give a checked value; the default when the key is absent. No number is negative here."""
        value = self.values.get(key)
        if value is None:
            return default
        number = isinstance(value, int | float) and not isinstance(value, bool)
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        fine = {
            "text": isinstance(value, str) and bool(value),
            "number": number and 0 <= value < float("inf"),
            "whole number": number and isinstance(value, int) and value >= 0,
            "list of texts": texts,
            "yes or no": isinstance(value, bool),
        }
        if not fine[kind]:
            self.fail(key, f"must be {'true or false' if kind == 'yes or no' else f'a {kind}'}")
        return tuple(value) if texts else value

    def size(self, key: str) -> int | None:
        """Give a number of bytes: a whole number, or a text such as `50 GB`."""
        value = self.values.get(key)
        if not isinstance(value, str):
            return cast("int | None", self.take(key, "whole number"))
        try:
            return parse_size(value)
        except BadInput as error:
            self.fail(key, f"is unusable: {error}", hint=error.hint)

    def table(self, key: str, known: tuple[str, ...]) -> _Table:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, "must be a table")
        return _Table(value, self.file, f"{self.path}{key}.", known)

    def union(self, default: Union) -> Union:
        union = self.take("union", "text", default)
        if union not in get_args(Union):
            self.fail("union", 'must be "merge" or "priority"')
        return cast("Union", union)

    def views(self, union: Union) -> tuple[ViewSpec, ...]:
        tables = self.tables("views", ("name", "sources", "private", "union"))
        found: list[ViewSpec] = []
        for table in tables:
            name = table.label("name")
            if name in (view.name for view in found):
                table.fail("name", f"is taken already: {name}")
            sources = table.take("sources", "list of texts")
            if not sources or len(set(sources)) != len(sources):
                table.fail("sources", "must name one source or more, each once")
            found.append(ViewSpec(name, sources, table.union(union), table.take("private", "yes or no", False)))
        return tuple(found)

    def tables(self, key: str, known: tuple[str, ...]) -> list[_Table]:
        listed = self.values.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            self.fail(key, f"must be a list of tables: write [[{key}]]")
        return [_Table(item, self.file, f"{key}[{n}].", known) for n, item in enumerate(listed)]

    def label(self, key: str) -> str:
        """Give a name that may stand in a URL."""
        name = self.take(key, "text")
        if name is None:
            self.fail(key, "is missing")
        if not _LABEL.match(name):
            self.fail(key, "must be of letters, digits, dashes, underscores and dots, and at most 64 of them")
        return cast("str", name)

    def sources(self, machine: Machine) -> tuple[SourceSpec, ...]:
        tables = self.tables("sources", ("name", "kind", "url", "path", "projects", "shared"))
        found = tuple(table.source(machine) for table in tables)
        names = [source.name for source in found]
        for place, name in enumerate(names):
            if name in names[:place]:
                tables[place].fail("name", f"is taken already: {name}")
        return found

    def source(self, machine: Machine) -> SourceSpec:
        name, url, path = (self.take(key, "text") for key in ("name", "url", "path"))
        kind = self.take("kind", "text")
        if name is None:
            self.fail("name", "is missing")
        if kind not in (None, *get_args(SourceKind)):
            self.fail("kind", f"must be one of {', '.join(get_args(SourceKind))}")
        if kind == "hosted":
            if url or path:
                self.fail("url" if url else "path", "is not for a hosted source: its files are in the data folder")
            label = self.label("name")
            return SourceSpec(label, "hosted", label, self.patterns("projects"), self.patterns("shared"))
        if "shared" in self.values:
            self.fail("shared", "is for hosted sources only")
        if (url is None) == (path is None):
            self.fail("url", "is missing" if url is None else "and path exclude each other", hint=_URL_OR_PATH)
        patterns = self.patterns("projects")
        place = path_of(url or path, replace(machine, folder=self.file.parent))
        if place is None:
            if kind in ("tree", "flat"):
                self.fail("kind", f"{kind} needs a path")
            checked = self.http("url" if url else "path", url or path)
            location = checked if kind == "links" else checked.rstrip("/")
            return SourceSpec(name, kind or "index", location, patterns)
        if kind == "index":
            self.fail("kind", "index needs an http or https URL", hint="a directory is a tree or flat")
        if not place.is_dir():
            self.fail("path" if path else "url", f"is not a folder: {place}")
        return SourceSpec(name, kind or _kind_of(place), str(place), patterns)

    def patterns(self, key: str) -> tuple[str, ...]:
        """Give project names in which `*` stands for anything."""
        try:
            return tuple(map(parse_pattern, self.take(key, "list of texts", ())))
        except BadInput as error:
            self.fail(key, f"is unusable: {error}", hint=error.hint)

    def builds(self) -> BuildSettings:
        table = self.table("builds", (*_BUILDS, *_BUILD_LIMITS))
        sdists = table.take("sdists", "text", "sandboxed")
        if sdists not in get_args(SdistPolicy):
            table.fail("sdists", f"must be one of {', '.join(get_args(SdistPolicy))}")
        limits = {
            name: table.size(key) if kind == "size" else table.take(key, kind)
            for key, (name, kind) in _BUILD_LIMITS.items()
        }
        packages = table.take_table("packages")
        return BuildSettings(
            sdists=sdists,
            allow=table.names("allow"),
            no_binary=table.names("no-binary"),
            constraints=table.take("build-constraints", "list of texts", ()),
            packages=dict(table.package_build(name) for name in packages),
            concurrency=table.take("concurrency", "whole number", 0),
            limits=BuildLimits(**{name: value for name, value in limits.items() if value is not None}),
        )

    def package_build(self, name: str) -> tuple[NormalizedName, PackageBuild]:
        """Read one table of `[builds.packages]`."""
        table = _Table(
            {name: self.take_table("packages")[name]},
            self.file,
            f"{self.path}packages.",
            (name.replace("_", "-"),),
        ).table(name.replace("_", "-"), ("environment", "config-settings", "build-requires"))
        environment, settings = table.take_table("environment"), table.take_table("config-settings")
        for variable, value in environment.items():
            if not isinstance(value, str) or not variable.isidentifier() or "\0" in value:
                table.fail("environment", f"has a variable {variable!r} that is no name with a text")
        for setting, value in settings.items():
            several = isinstance(value, list) and all(isinstance(item, str) for item in value)
            if not (isinstance(value, str) or several):
                table.fail("config-settings", f"has {setting!r}, which is neither a text nor a list of texts")
        try:
            project = parse_name(name)
        except BadInput as error:
            self.fail("packages", f"has a name that is none: {error}")
        return project, PackageBuild(environment, settings, table.take("build-requires", "list of texts", ()))

    def take_table(self, key: str) -> Mapping[str, Any]:
        """Give a table whose keys are anybody's."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, "must be a table")
        return value

    def names(self, key: str) -> frozenset[NormalizedName]:
        """Give a list of projects."""
        try:
            return frozenset(parse_name(name) for name in self.take(key, "list of texts", ()))
        except BadInput as error:
            self.fail(key, f"has a name that is none: {error}")

    def policy(self) -> ReleasePolicy:
        table = self.table("policy", ("blocked", "allowed", "cool-down", "cool-down-exempt"))
        return ReleasePolicy(
            blocked=table.rules("blocked") or (),
            allowed=table.rules("allowed"),
            cool_down=table.span("cool-down"),
            cool_down_exempt=table.patterns("cool-down-exempt"),
        )

    def anonymous(self) -> frozenset[str] | None:
        """Give the scopes of those who show no token."""
        table = self.table("access", ("anonymous",))
        said = table.take("anonymous", "list of texts")
        try:
            return None if said is None else parse_scopes(said, anonymous=True)
        except BadInput as error:
            table.fail("anonymous", f"is unusable: {error}", hint=error.hint)

    def rules(self, key: str) -> tuple[ReleaseRule, ...] | None:
        """Give releases, each as a text or as a table with a reason."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str | dict) for item in value):
            self.fail(key, "must be a list of releases", hint='as in ["evil", "requests==2.31.0"]')
        try:
            return tuple(map(parse_rule, value))
        except BadInput as error:
            self.fail(key, f"is unusable: {error}", hint=error.hint)

    def span(self, key: str) -> timedelta | None:
        """Give a span of time: a text such as `7 days`, or a number of days; None for none."""
        value = self.values.get(key)
        if not isinstance(value, str):
            value = self.take(key, "number")
        try:
            return parse_span(str(value)) or None if value is not None else None
        except BadInput as error:
            self.fail(key, f"is unusable: {error}", hint=error.hint)

    def http(self, key: str, url: str) -> str:
        try:
            return check_http(url)
        except BadConfiguration as error:
            self.fail(key, f"is unusable: {error}", hint=error.hint)

    def prefix(self, url: str) -> str:
        """Check an allowed prefix: it must say the host to its end, or it would allow hosts like it too."""
        scheme, _, rest = url.partition("://")
        if scheme not in ("http", "https", "file") or "/" not in rest or not url.isprintable():
            self.fail("allowed-urls", f"{url[:200]!r} is not a URL prefix", hint="as in https://files.example/")
        if "@" in rest.split("/")[0]:
            self.fail("allowed-urls", "must not hold credentials")
        return url

    def network(self, machine: Machine) -> dict[str, Any]:
        table = self.table("network", tuple(_NETWORK))
        said = {name: table.take(key, kind) for key, (name, kind) in _NETWORK.items()}  # type: ignore[arg-type]
        for name in ("ca_file", "client_certificate"):
            said[name] = _absolute(said[name], replace(machine, folder=self.file.parent))
        if said["max_connections"] == 0:
            table.fail("max-connections", "must be at least 1")
        return {name: value for name, value in said.items() if value is not None}

    def limits(self) -> Limits:
        names = {name.name.replace("_", "-"): name for name in fields(Limits)}
        table = self.table("limits", tuple(names))
        said = {
            field.name: table.take(key, "number" if isinstance(field.default, float) else "whole number")
            for key, field in names.items()
        }
        return Limits(**{name: value for name, value in said.items() if value is not None})

    def fail(self, key: str, said: str, *, hint: str | None = None) -> NoReturn:
        raise BadConfiguration(f"{self.file}: {self.path}{key} {said}", hint=hint, key=f"{self.path}{key}")


_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_URL_OR_PATH = "a source has either a url or a path"


def _kind_of(folder: Path) -> SourceKind:
    """Tell a tree of folders from a flat folder of files by what lies in it; an empty one is flat."""
    inside = list(folder.iterdir())
    files = any(path.name.endswith((".whl", ".tar.gz", ".zip")) for path in inside)
    return "tree" if not files and any(path.is_dir() for path in inside) else "flat"
