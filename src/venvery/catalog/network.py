"""HTTP as the catalog uses it: shared connections, a limit, retries, credentials that stay where they belong.

One connection per host carries many requests where HTTP/2 is offered. That is polite, and it is what makes
many small requests quick: a front that admits new connections slowly made two hundred of them take ten
seconds over fifty HTTP/1.1 connections and one second over HTTP/2.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from venvery import __version__
from venvery.catalog.reporter import Reporter
from venvery.errors import BadConfiguration, SourceGarbage, SourceUnreachable
from venvery.model.sources import NetworkSettings, redact, without_credentials

if TYPE_CHECKING:
    import httpx2  # imported where it is used: a command that finds everything at hand needs none of it

__all__ = ["Broken", "Network", "Reply", "origin_of"]

CONCURRENCY = 50
"""Requests under way at once, over all hosts."""
LONGEST_WAIT = 60.0
"""Seconds; a `Retry-After` beyond this is not waited for."""
PAGE_LIMIT = 256 * 1024 * 1024
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


class Broken(Exception):
    """A passing failure: worth another attempt."""

    def __init__(
        self, reason: str, *, wait: float | None = None, attempts: int | None = None, cut: bool = False
    ) -> None:
        super().__init__(reason)
        self.cut = cut
        """True when an answer came, but its end did not."""
        self.wait = wait
        """Seconds that the server asked us to wait."""
        self.attempts = attempts
        """How many attempts such a failure is worth at most."""


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
        self._limit = asyncio.Semaphore(CONCURRENCY)
        self._credentials = dict(_credentials(locations))
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Network:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", limit: int = PAGE_LIMIT
    ) -> Reply:
        """Get a whole answer, whatever its status but those that pass. Raises `SourceFailed`."""

        async def once() -> Reply:
            async with asyncio.timeout(self._deadline), self.open(url, headers, method=method) as response:
                body = await _read(response, limit)
                return Reply(
                    response.status_code,
                    response.headers,
                    body,
                    without_credentials(str(response.url)),
                    bool(response.history),
                    _length_is_checked(response),
                )

        return await self.persist(url, once)

    @contextlib.asynccontextmanager
    async def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> AsyncIterator[httpx2.Response]:
        """Open an answer to be streamed, once. Raises `Broken` for what passes, `SourceUnreachable` for TLS."""
        async with self._limit:
            with _plain_failures(url):
                request = self._http().build_request(method, url, headers=headers)
                response = await self._http().send(
                    request, stream=True, auth=self._credentials.get(origin_of(url)), follow_redirects=True
                )
                try:
                    if response.status_code in _PASSING:
                        raise Broken(f"HTTP {response.status_code}", wait=_retry_after(response))
                    yield response
                finally:
                    await response.aclose()

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

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = _client(self._settings)
        return self._client


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


def _client(settings: NetworkSettings) -> httpx2.AsyncClient:
    with ThreadPoolExecutor(1, "authorities") as thread:
        # A file of authorities is read without the interpreter's lock, while the import goes on.
        reading = thread.submit(_tls, settings) if settings.ca_file is not None else None
        import httpx2

        context = _tls(settings) if reading is None else reading.result()
    limits = httpx2.Limits(
        max_connections=settings.max_connections,
        max_keepalive_connections=settings.max_connections,
        keepalive_expiry=30.0,
    )
    mounts: dict[str, httpx2.AsyncBaseTransport | None] = {}
    if settings.trusted_hosts:
        lax = ssl.create_default_context()
        lax.check_hostname = False
        lax.verify_mode = ssl.CERT_NONE
        for host in settings.trusted_hosts:
            mounts[f"https://{host}"] = httpx2.AsyncHTTPTransport(verify=lax, http2=True, limits=limits)
    return httpx2.AsyncClient(
        http2=True,
        verify=context,
        limits=limits,
        proxy=settings.proxy,
        mounts=mounts,
        timeout=httpx2.Timeout(settings.read_timeout, connect=settings.connect_timeout, pool=None),
        headers={"User-Agent": f"venvery/{__version__}"},
        max_redirects=10,
    )


@lru_cache(maxsize=8)
def _tls(settings: NetworkSettings) -> ssl.SSLContext:
    """Make the TLS context of some settings; loading the authorities takes longer than a request."""
    try:
        if settings.ca_file is not None:
            context = ssl.create_default_context(cafile=settings.ca_file)
        else:
            import httpx2

            context = httpx2.create_ssl_context()
        if settings.client_certificate is not None:
            context.load_cert_chain(settings.client_certificate)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"a certificate file cannot be used: {error}") from None
    return context


async def _read(response: httpx2.Response, limit: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise SourceGarbage(
                f"{redact(str(response.url))}: the answer is larger than {limit} bytes",
                url=redact(str(response.url)),
            )
    return b"".join(pieces)


def _length_is_checked(response: httpx2.Response) -> bool:
    return (
        response.http_version == "HTTP/2"
        or "content-length" in response.headers
        or "chunked" in response.headers.get("transfer-encoding", "")
    )


def _retry_after(response: httpx2.Response) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3) as seconds from now."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    import email.utils

    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None


@contextlib.contextmanager
def _plain_failures(url: str) -> Iterator[None]:
    """Sort what the HTTP library raises into what passes and what does not."""
    import httpx2

    try:
        yield
    except httpx2.ConnectError as error:
        if _is_certificate_failure(error):
            raise SourceUnreachable(
                f"{redact(url)}: its certificate is not trusted ({_said(error)})",
                hint="name the authority's certificates with SSL_CERT_FILE, or the host as a trusted host",
                url=redact(url),
            ) from error
        raise Broken(f"cannot connect ({_said(error)})", attempts=3) from error
    except httpx2.TimeoutException as error:
        raise Broken(f"no answer in time ({type(error).__name__})", attempts=2) from error
    except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.CloseError) as error:
        cut = "incomplete" in str(error) or "complete message body" in str(error)
        reason = "the answer is cut off" if cut else f"the connection broke ({_said(error)})"
        raise Broken(reason, cut=cut) from error
    except httpx2.DecodingError as error:
        raise SourceGarbage(f"{redact(url)}: its answer cannot be decompressed", url=redact(url)) from error
    except httpx2.TooManyRedirects as error:
        raise SourceGarbage(f"{redact(url)}: it redirects in circles", url=redact(url)) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SourceUnreachable(f"{redact(url)}: {_said(error)}", url=redact(url)) from error


def _said(error: BaseException) -> str:
    return redact(str(error)) or type(error).__name__


def _is_certificate_failure(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
