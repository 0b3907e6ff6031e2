"""Signing in with a token, and bringing files, in a real browser."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Watched
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import BuiltFile, make_wheel


@pytest.fixture(scope="module")
def venvery_of(index: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> Venvery:
    return Venvery(tmp_path_factory.mktemp("upload"), index_url=index.url)


@pytest.fixture(scope="module")
def own(venvery_of: Venvery) -> Iterator[tuple[ServerProcess, str]]:
    """Run a server, and make a token that may upload and nothing else."""
    with venvery_of.serve() as running:
        made = venvery_of("token", "create", "--scope", "upload:hosted", "--expires", "1d")
        yield running, made.check().stdout.strip()
    assert "Traceback" not in running.said, running.said


@pytest.fixture
def window(own: tuple[ServerProcess, str], browser: Browser) -> Iterator[Watched]:
    window = Watched(browser, own[0].url)
    yield window
    window.context.close()
    assert window.outside == []


def _sign_in(window: Watched, token: str) -> None:
    window.go("/sign-in")
    window.page.get_by_label("Token").fill(token)
    window.page.get_by_role("button", name="Sign in").click()
    window.page.wait_for_url("**/upload")


def _drop(window: Watched, *files: BuiltFile) -> None:
    window.page.evaluate(
        """(files) => {
            const dropped = new DataTransfer();
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                dropped.items.add(new File([bytes], name));
            }
            const form = document.querySelector("[data-upload]");
            form.dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true}));
        }""",
        [[file.filename, base64.b64encode(file.data).decode()] for file in files],
    )


def test_upload_by_drop_and_use_it(window: Watched, own: tuple[ServerProcess, str]) -> None:
    _sign_in(window, own[1])
    good, other = make_wheel("dropped", "1.2"), make_wheel("other", "2.0", requires=["dropped>=1"])
    bad = BuiltFile("broken-1.0-py3-none-any.whl", b"this is no wheel", b"")
    _drop(window, good, bad, other)
    items = window.page.locator(".results li")
    items.nth(2).get_by_text("Published").wait_for()
    assert "dropped 1.2" in items.nth(0).inner_text()
    assert "✕" in items.nth(1).inner_text()
    assert "zip" in items.nth(1).inner_text().lower()
    window.page.get_by_role("link", name="dropped 1.2").click()
    assert window.page.locator("tbody th").first.inner_text() == "1.2"
    window.go("/resolve?requirements=other")
    assert set(window.page.locator("tbody th").all_inner_texts()) == {"other", "dropped"}


def test_the_same_and_other_bytes_under_one_name(window: Watched, own: tuple[ServerProcess, str]) -> None:
    _sign_in(window, own[1])
    first = make_wheel("twice", "1.0")
    changed = make_wheel("twice", "1.0", files={"twice.py": "other = True\n"})
    _drop(window, first, first, changed)
    items = window.page.locator(".results li")
    items.nth(2).locator("progress").wait_for(state="detached")
    texts = items.all_inner_texts()
    assert "Published" in texts[0]
    assert "there already" in texts[1]
    assert "File already exists" in texts[2]


def test_shadowed_names_are_shown_to_administrators(
    window: Watched, own: tuple[ServerProcess, str], venvery_of: Venvery
) -> None:
    assert window.go("/sources") == 401
    window.go("/resolve?requirements=django")  # so it is known that the index has it
    _sign_in(window, own[1])
    _drop(window, make_wheel("django", "99.0"))
    window.page.get_by_text("Published").wait_for()
    assert window.go("/sources") == 403
    admin = venvery_of("token", "create", "--scope", "admin").check().stdout.strip()
    _sign_in(window, admin)
    row = window.page.locator("tr", has_text="django")
    for _ in range(40):  # what was learnt of the index is written down a moment later
        window.go("/sources")
        if row.count():
            break
        window.page.wait_for_timeout(250)
    assert "django comes from hosted, and never from" in row.inner_text()


def test_nobody_uploads_without_a_token(window: Watched) -> None:
    window.go("/upload")
    assert window.page.locator("input[type=file]").count() == 0
    window.page.get_by_role("link", name="Sign in").click()
    window.page.get_by_label("Token").fill("venvery-made-up")
    window.page.get_by_role("button", name="Sign in").click()
    assert "not known" in window.page.get_by_role("alert").inner_text()
    assert window.context.cookies() == []


def test_scripts_do_not_see_the_token_and_signing_out_forgets_it(
    window: Watched, own: tuple[ServerProcess, str]
) -> None:
    _sign_in(window, own[1])
    (cookie,) = window.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert window.page.evaluate("document.cookie") == ""
    window.go("/sign-in")
    window.page.get_by_role("button", name="Sign out").click()
    assert window.context.cookies() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example"},
        {},
    ],
)
def test_another_site_cannot_use_the_cookie(own: tuple[ServerProcess, str], headers: dict[str, str]) -> None:
    server, token = own
    cookie = {"Cookie": f"venvery-token={token}"}
    asked = urllib.request.Request(f"{server.url}/v1/releases/yank", b"{}", {**cookie, **headers}, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked)
    assert caught.value.code == 403
    assert b"another site" in caught.value.read()


def test_a_revoked_token_in_the_browser_does_not_lock_anyone_out(own: tuple[ServerProcess, str]) -> None:
    asked = urllib.request.Request(f"{own[0].url}/sign-in", headers={"Cookie": "venvery-token=venvery-old"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
