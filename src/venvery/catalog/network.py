"""HTTP as the catalog uses it: shared connections, a limit, retries, credentials that stay where they belong.

One connection per host carries many requests where HTTP/2 is offered. That is polite, and it is what makes
many small requests quick: a front that admits new connections slowly made two hundred of them take ten
seconds over fifty HTTP/1.1 connections and one second over HTTP/2.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from venvery.catalog.broken import Broken
from venvery.catalog.reporter import Reporter
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.sources import NetworkSettings, redact, without_credentials

if TYPE_CHECKING:
    # imported where it is used: a command that finds everything at hand needs no libcurl
    from venvery.catalog.transfers import Transfer, Transfers

__all__ = ["Network", "Reply", "origin_of"]

LONGEST_WAIT = 60.0
"""Seconds; a `Retry-After` beyond this is not waited for."""
PAGE_LIMIT = 256 * 1024 * 1024
_MOST_REDIRECTS = 10
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    """Where it came from in the end, after redirects, without credentials."""
    redirected: bool = False
    checked_length: bool = True
    """False when nothing in the transfer would have shown that the end is missing."""


T = TypeVar("T")


class Network:
    """All HTTP of one catalog."""

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        locations: Iterable[str] = (),
        reporter: Reporter | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._reporter = reporter or Reporter()
        self._sleep = sleep
        self._jitter = jitter
        self._deadline = 4 * settings.read_timeout
        """Seconds for a whole answer that is read into memory, however steadily it drips."""
        self._limit = asyncio.Semaphore(settings.max_connections)
        self._credentials = dict(_credentials(locations))
        self._transfers: Transfers | None = None

    async def __aenter__(self) -> Network:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transfers is not None:
            transfers, self._transfers = self._transfers, None
            await transfers.close()

    async def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", limit: int = PAGE_LIMIT
    ) -> Reply:
        """Get a whole answer, whatever its status but those that pass. Raises `SourceFailed`."""

        async def once() -> Reply:
            async with asyncio.timeout(self._deadline), self.open(url, headers, method=method) as answer:
                body = await answer.read(limit)
                return Reply(
                    answer.status,
                    answer.headers,
                    body,
                    without_credentials(answer.url),
                    answer.url != url,
                    answer.checked_length,
                )

        return await self.persist(url, once)

    @contextlib.asynccontextmanager
    async def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> AsyncIterator[Transfer]:
        """Open an answer to be read, once. Raises `Broken` for what passes, `SourceFailed` for what does not."""
        url = url.partition("#")[0]
        async with self._limit:
            answer = await self._follow(method, url, headers or {})
            try:
                if answer.status in _PASSING:
                    raise Broken(f"HTTP {answer.status}", wait=_retry_after(answer.headers))
                yield answer
            finally:
                answer.close()

    async def _follow(self, method: str, url: str, headers: Mapping[str, str]) -> Transfer:
        """Send a request to where redirects lead in the end; every origin gets its own credentials only."""
        if self._transfers is None:
            from venvery.catalog.transfers import Transfers

            self._transfers = Transfers(self._settings)
        place = url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._transfers.open(method, place, headers, self._credentials.get(origin_of(place)))
            if answer.redirect is None:
                return answer
            answer.close()
            place = answer.redirect.partition("#")[0]
            if not place.startswith(("https://", "http://")):
                raise SourceUnreachable(f"{redact(url)}: it redirects to {redact(place)[:200]}", url=redact(url))
        raise SourceGarbage(f"{redact(url)}: it redirects in circles", url=redact(url))

    async def persist(self, url: str, once: Callable[[], Awaitable[T]]) -> T:
        """Do something until it goes well or is not worth another attempt. Raises `SourceUnreachable`."""
        attempt = 0
        while True:
            try:
                return await once()
            except TimeoutError:
                broken = Broken(f"no whole answer within {self._deadline:g} s", attempts=1)
            except Broken as error:
                broken = error
            attempt += 1
            most = self._settings.retries + 1 if broken.attempts is None else broken.attempts
            wait = self._wait(attempt, broken)
            if attempt >= min(most, self._settings.retries + 1) or wait > LONGEST_WAIT:
                kind = SourceGarbage if broken.cut else SourceUnreachable
                raise kind(f"{redact(url)}: {broken}", url=redact(url)) from broken.__cause__
            self._reporter.retrying(redact(url), str(broken), wait)
            await self._sleep(wait)

    def _wait(self, attempt: int, broken: Broken) -> float:
        """Give the seconds before the next attempt: doubling, spread out, and what the server asks for."""
        backoff: float = 0.25 * 2.0 ** (attempt - 1) * (0.5 + self._jitter())
        return max(backoff, broken.wait or 0.0)


def origin_of(url: str) -> str:
    """Give `scheme://host:port` of a URL, without credentials."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return f"{parts.scheme}://{parts.hostname or ''}:{port or {'http': 80, 'https': 443}.get(parts.scheme, 0)}"


def _credentials(locations: Iterable[str]) -> Iterable[tuple[str, tuple[str, str]]]:
    for location in locations:
        parts = urlsplit(location)
        if parts.username is not None or parts.password is not None:
            yield origin_of(location), (unquote(parts.username or ""), unquote(parts.password or ""))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3) as seconds from now."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    import email.utils

    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
