"""A server with a tiny world, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Watched, find_chromium, open_browser
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.tiny import tiny_world
from tests.support.wheels import make_wheel

HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>"\'&<b>'

EVIL = """<script>document.title = "owned"</script> [link](javascript:alert(1)) <img src=x onerror="alert(1)">
<iframe src="https://outside.example/"></iframe> ![picture](https://outside.example/x.png)
<a href="data:text/html,x">y</a> <svg onload="alert(1)"></svg>
<form action="https://outside.example/"><button>send</button></form>
"""
EVIL_RST = f"""Fine heading
============

.. raw:: html

   {EVIL.splitlines()[0]}

`x <javascript:alert(1)>`_"""
DESCRIBED = (
    ("evil-markdown", "text/markdown", f"# Fine heading\n\n{EVIL}"),
    ("evil-rst", "text/x-rst", EVIL_RST),
    ("evil-text", "text/plain", f"Fine heading\n{EVIL}"),
)

Open = Callable[..., Watched]


@pytest.fixture(scope="package")
def index() -> Iterator[IndexServer]:
    world = tiny_world()
    metadata = f"Metadata-Version: 2.4\nName: hostile\nVersion: 1.0\nLicense-Expression: {HOSTILE}\n".encode()
    world.add(make_wheel("hostile", "1.0", metadata=metadata))
    for name, kind, text in DESCRIBED:
        metadata = (
            f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nSummary: {HOSTILE}\nClassifier: {HOSTILE}\n"
            f"Project-URL: {HOSTILE}, javascript:alert(1)\nDescription-Content-Type: {kind}\n\n{text}\n"
        )
        world.add(make_wheel(name, "1.0", metadata=metadata.encode()))
    for number in range(70):
        world.add(make_wheel(f"leaf-{number}", "1.0"))
    world.add(make_wheel("large", "1.0", requires=[f"leaf-{number}" for number in range(70)]))
    world.add(make_wheel("left", "1.0", requires=["shared<2"]))
    world.add(make_wheel("right", "1.0", requires=["shared>=2"]))
    for version in ("1.0", "2.0"):
        world.add(make_wheel("shared", version))
    with IndexServer(world) as running:
        yield running


@pytest.fixture(scope="package")
def server(index: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    venvery = Venvery(tmp_path_factory.mktemp("web"), index_url=index.url)
    with venvery.serve() as running:
        yield running
    assert "Traceback" not in running.said, running.said


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine")
    with open_browser() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, server: ServerProcess) -> Iterator[Open]:
    """Give a function that opens a browser window; no window may ask for anything outside the server."""
    windows: list[Watched] = []

    def start(**options: Any) -> Watched:
        windows.append(Watched(browser, server.url, **options))
        return windows[-1]

    yield start
    for window in windows:
        window.context.close()
        assert window.outside == []
