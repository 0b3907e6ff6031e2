"""Sources: where distributions come from, and how politely an HTTP source is asked.

A source is an HTTP index (PEP 503, 691), a directory tree in PEP 503 form, a flat directory of files, an HTML
page of links (pip's `--find-links URL`), or one that is hosted here, which people upload to. A view is some of
them, in an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from venvery.model.policy import covers

__all__ = [
    "DEFAULT_VIEW",
    "DIRECT",
    "HOSTED",
    "UPLOADED",
    "NetworkSettings",
    "SourceKind",
    "SourceSpec",
    "Union",
    "ViewSpec",
    "is_allowed",
    "redact",
    "sources_for",
    "without_credentials",
]

DIRECT = "direct"
"""The source name of files that a requirement names by URL."""

UPLOADED = "venvery:/files/"
"""How the URLs of uploaded files begin inside, before project, SHA-256 and file name: as `/files/` does here,
whatever address this server has."""
DEFAULT_VIEW = "default"
"""The name of the view that a request means when it names none."""

SourceKind = Literal["index", "tree", "flat", "links", "hosted"]
Union = Literal["merge", "priority"]
"""`merge`: all have equal rights, as pip has it. `priority`: the first that knows a project owns it."""

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")
_CLIMBS = re.compile(r"/\.\.?(?:/|\Z)|%2e|%2f|%5c|\\|\s", re.IGNORECASE)
_SECRET = re.compile(
    r"(?P<key>[?&][^=&\s#]*(?:token|secret|password|signature|credential|auth|api[-_]?key|sig)[^=&\s#]*=)"
    r"[^&\s#]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Hide the credentials of every URL in `text`, so that it may be shown."""
    return _SECRET.sub(r"\g<key>****", _USERINFO.sub(r"\g<scheme>****@", text))


def without_credentials(url: str) -> str:
    """Take user name and password out of a URL, so that it may be written into a lock."""
    return _USERINFO.sub(r"\g<scheme>", url, count=1) if "@" in url else url


def is_allowed(url: str, prefixes: Iterable[str]) -> bool:
    """Tell whether a direct reference lies under one of the allowed URL prefixes.

    A URL with credentials, or whose path climbs or hides what it is (`..`, `%2e`, `%2f`, a backslash), lies
    nowhere.
    """
    path = url.split("?", 1)[0].split("#", 1)[0]
    if not url.isprintable() or _USERINFO.match(url) or _CLIMBS.search(path):
        return False
    return any(url.startswith(prefix) for prefix in prefixes)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One configured source."""

    name: str
    """What it is called in answers and messages; unique among the sources."""
    kind: SourceKind
    location: str = field(repr=False)
    """`index`: the URL of the root, without trailing slash. `links`: the URL of the page. `tree`, `flat`: an
    absolute path. `hosted`: its name. A URL may carry credentials: show `shown`, never this."""
    projects: tuple[str, ...] = ()
    """Patterns of the names that are looked up here and, of all sources, only here; empty: any other name."""
    shared: tuple[str, ...] = ()
    """Of a hosted source: patterns of names that other sources may have too, in spite of its owning them."""

    @property
    def shown(self) -> str:
        """The location, fit to be shown."""
        return redact(self.location)

    def __str__(self) -> str:
        return self.name if self.name == self.shown else f"{self.name} ({self.shown})"


def sources_for(project: str, specs: Sequence[SourceSpec]) -> list[SourceSpec]:
    """Give the sources in which a project is looked up: those that name it, else those that name none."""
    naming = [spec for spec in specs if any(covers(pattern, project) for pattern in spec.projects)]
    return naming or [spec for spec in specs if not spec.projects]


HOSTED = SourceSpec("hosted", "hosted", "hosted")
"""The hosted source that there is when the configuration names none."""


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One configured view: some of the sources, in the order of their priority."""

    name: str
    sources: tuple[str, ...]
    """Names of sources."""
    union: Union
    private: bool = False
    """Whether whoever reads it has to prove the right to."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How HTTP sources are asked. Times in seconds."""

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    max_connections: int = 32
    retries: int = 4
    """How often a request is sent again after 429, 5xx or a broken connection."""
    ca_file: str | None = None
    """A PEM bundle of certificate authorities to trust in place of the system's."""
    client_certificate: str | None = None
    """A PEM file with a certificate and its key, for indexes that ask for one."""
    proxy: str | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()
    """`host` or `host:port` whose certificate is not checked, as pip's `--trusted-host` has it."""
