"""What is counted, for Prometheus: requests by route and status, how long they took, bytes sent, what is held.

Routes are told by their template, `/v1/layers/{digest}`, so that there are few of them.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Measured", "Metrics"]

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class _Told:
    """What is known of one route and status."""

    __slots__ = ("bytes", "method", "route", "seconds", "status", "within")

    def __init__(self, method: str, route: str, status: int) -> None:
        self.method = method
        self.route = route
        self.status = status
        self.seconds = 0.0
        self.bytes = 0
        self.within = [0] * (len(_SECONDS) + 1)
        """How many answers took up to each of `_SECONDS`, and how many longer than all of them."""


class Metrics(Collector):
    """The counters of one server. Counting is plain arithmetic; sums are made when somebody looks."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, int], _Told] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(self)

    def count(self, method: str, route: str, status: int, seconds: float, sent: int) -> None:
        """Count a request that was answered. Belongs to one event loop."""
        key = (method if method in _METHODS else "other", route, status)
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _Told(*key)
        told.seconds += seconds
        told.bytes += sent
        told.within[bisect_left(_SECONDS, seconds)] += 1

    def collect(self) -> Iterable[Metric]:
        """Give what was counted."""
        requests = CounterMetricFamily(
            "venvery_http_requests", "Requests that were answered.", labels=["method", "route", "status"]
        )
        took = HistogramMetricFamily(
            "venvery_http_request_seconds", "Seconds until an answer was sent whole.", labels=["route"]
        )
        sent = CounterMetricFamily("venvery_http_sent_bytes", "Bytes of answers.", labels=["route"])
        routes: dict[str, list[_Told]] = {}
        for told in self._told.values():
            requests.add_metric([told.method, told.route, str(told.status)], sum(told.within))
            routes.setdefault(told.route, []).append(told)
        for route, all_told in routes.items():
            within = accumulate(map(sum, zip(*(told.within for told in all_told), strict=True)))
            limits = [*map(str, _SECONDS), "+Inf"]
            took.add_metric(
                [route], list(zip(limits, within, strict=True)), sum(told.seconds for told in all_told)
            )
            sent.add_metric([route], sum(told.bytes for told in all_told))
        return requests, took, sent

    def route(self) -> Route:
        """Give the route that shows the counters."""

        async def show(_request: Request) -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

        return Route("/metrics", show, methods=["GET"])


class Measured:
    """ASGI middleware that counts every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, sent = self._clock(), 500, 0

        async def noting(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.count(scope["method"], _route_of(scope), status, self._clock() - begun, sent)


def _route_of(scope: Scope) -> str:
    """Name the route that answered; what no route knows is one name, whatever was asked for."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or scope.get("venvery.route") or "none"
