"""`/metrics`: what Prometheus reads is what happened."""

from __future__ import annotations

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.support.running import Venvery


def _ask(url: str, data: bytes | None = None) -> bytes:
    try:
        with urllib.request.urlopen(url, data) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        return error.read()


def test_requests_are_counted_by_route_and_status(venvery: Venvery) -> None:
    with venvery.serve() as server:
        sizes = [len(_ask(f"{server.url}/v1/resolve", b"requests>=2.7\n")) for _ in range(3)]
        for path in ("/v1/layers/sha256:no", "/v1/layers/sha256:neither", "/nowhere/1", "/nowhere/2"):
            _ask(server.url + path)
        told = _ask(f"{server.url}/metrics").decode()
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }
    assert values["venvery_http_requests_total", "POST", "/v1/resolve", "200"] == 3
    assert values["venvery_http_sent_bytes_total", "/v1/resolve"] == sum(sizes)
    assert values["venvery_http_request_seconds_count", "/v1/resolve"] == 3
    layers = [
        value
        for key, value in values.items()
        if key[:3] == ("venvery_http_requests_total", "GET", "/v1/layers/{digest}")
    ]
    assert layers == [2]
    assert values["venvery_http_requests_total", "GET", "none", "404"] == 2
    assert values["process_resident_memory_bytes",] > 1e6
