"""Which form a client gets."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from venvery.server.negotiation import choose

FORMS = ["application/json", "application/yaml", "text/plain"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/plain"),
        ("text/plain", "text/plain"),
        ("application/yaml;q=0.9, application/json;q=0.5", "application/yaml"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0, */*", "application/yaml"),
        ("TEXT/PLAIN", "text/plain"),
        ("text/yaml", "application/yaml"),
        ("application/json;q=nonsense, text/plain;q=0.1", "text/plain"),
    ],
)
def test_the_best_that_both_know(accept: str | None, form: str) -> None:
    assert choose(accept, FORMS, {"text/yaml": "application/yaml"}) == form


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/html"])
def test_nothing_fits(accept: str) -> None:
    with pytest.raises(HTTPException) as refused:
        choose(accept, FORMS)
    assert refused.value.status_code == 406
    assert "application/json" in refused.value.detail
