"""Jobs, watched in a real browser while they run."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.builds.hostile import hostile_sdist
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess
from tests.web.conftest import Open
from venvery.builds.probing import probe

SLOW = """
for number in range(200):
    print("step", number, "<script>document.title='owned'</script>", flush=True)
    time.sleep(0.1)
"""
FAILING = """
print("looking for what is not there", flush=True)
raise SystemExit("fatal: no such thing")
"""


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    probed = probe()
    if probed.sandbox is None:
        pytest.skip(f"no sandbox on this machine: {probed.why_not}")


def _ask_for(server: ServerProcess, project: str) -> threading.Thread:
    """Ask for an environment, and let somebody else wait for it."""

    def ask() -> None:
        asked = urllib.request.Request(
            f"{server.url}/v1/environments", project.encode(), {"Accept": "application/json", "Prefer": "wait=1"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60):
                pass
        except urllib.error.HTTPError as error:
            error.close()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def _job_of(server: ServerProcess, project: str) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server.url}/v1/jobs") as answer:
            for job in json.load(answer)["jobs"]:
                if project in job["title"]:
                    return str(job["id"])
        time.sleep(0.1)
    raise AssertionError(f"nothing was begun for {project}")


@pytest.fixture
def slow(index: IndexServer, server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"slow{abs(hash(request.node.name)) % 10**6}"
    index.world.add(hostile_sdist(name, SLOW))
    asking = _ask_for(server, name)
    yield name
    asking.join(90)


def test_watch_a_build_and_cancel_it(opened: Open, server: ServerProcess, slow: str) -> None:
    window = opened()
    job = _job_of(server, slow)
    window.go("/jobs")
    window.page.get_by_role("link", name=slow).click()
    window.page.wait_for_url(f"**/jobs/{job}")
    log = window.page.locator(".log")
    log.get_by_text("step 3 ").wait_for(timeout=30_000)
    seen = log.locator("li").count()
    log.locator("li").nth(seen + 3).wait_for(state="attached")
    assert window.page.title() != "owned"
    assert "<script>" in log.inner_text()
    window.page.get_by_role("button", name="Cancel").click()
    window.page.get_by_text("cancelled").first.wait_for()
    assert window.page.get_by_role("button", name="Try again").count() == 1
    assert Axe().run(window.page).violations_count == 0
    window.go("/jobs")
    row = window.page.locator("tr", has_text=slow)
    assert "cancelled" in row.inner_text()
    assert window.complaints == []


def test_a_build_that_fails_says_why(opened: Open, index: IndexServer, server: ServerProcess) -> None:
    index.world.add(hostile_sdist("failing", FAILING))
    asking = _ask_for(server, "failing")
    job = _job_of(server, "failing")
    asking.join(60)
    window = opened(java_script_enabled=False)
    deadline = time.monotonic() + 30
    while window.go(f"/jobs/{job}") == 200 and time.monotonic() < deadline:
        if "failed" in window.page.locator(".facts").inner_text():
            break
        time.sleep(0.3)
    assert "no such thing" in window.page.locator(".log").inner_text()
    assert window.page.locator(".no").count() == 1
    assert window.go("/jobs/nothing") == 404
