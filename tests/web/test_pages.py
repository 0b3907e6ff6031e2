"""The pages, in a real browser: what a person does on them, and what must never happen."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.running import ServerProcess
from tests.web.conftest import DESCRIBED, HOSTILE, Open

RESOLVED = "/resolve?requirements=" + quote("django>=1.8\nrequests>=2.7") + "&platform=linux-x86_64"
CLASH = "/resolve?requirements=" + quote("left\nright")
PAGES = ("/", RESOLVED, CLASH, "/environments/nothing", "/nowhere", "/docs", "/packages", "/packages/django")


def _make(opened: Open, requirements: str) -> str:
    """Make an environment as a person does, and give the path of its page."""
    window = opened()
    window.go("/")
    window.page.get_by_label("Requirements").fill(requirements)
    window.page.get_by_role("button", name="Resolve").click()
    window.page.get_by_role("button", name="Make the environment").click()
    window.page.wait_for_url("**/environments/sha256:*")
    assert window.complaints == []
    return window.page.url.removeprefix(window.base)


def test_from_requirements_to_an_environment(opened: Open, server: ServerProcess) -> None:
    path = _make(opened, "django>=1.8\nrequests>=2.7")
    window = opened()
    assert window.go(path) == 200
    assert "django" in window.page.get_by_role("heading", level=1).inner_text()
    told = window.page.locator("pre").first.inner_text()
    assert f"{server.url}/v1/environments/sha256:" in told
    with urllib.request.urlopen(server.url + path.replace("/environments/", "/v1/environments/")) as answer:
        manifest = json.load(answer)
    rows = window.page.locator("tbody th").all_inner_texts()
    assert rows == [pin["project"] for pin in manifest["pins"]]
    window.go("/")
    assert window.page.locator(f'a[href="{path}"]').count() == 1
    assert window.complaints == []


def test_an_answer_is_a_table_and_a_picture(opened: Open) -> None:
    window = opened()
    assert window.go(RESOLVED) == 200
    listed = window.page.locator("tbody th").all_inner_texts()
    drawn = window.page.locator("svg.graph [data-node]").all()
    assert {node.get_attribute("data-node") for node in drawn} == set(listed) > {"django", "requests", "sqlparse"}
    window.page.locator("svg.graph [data-node=sqlparse]").hover()
    marked = window.page.locator("svg.graph .node.marked").all()
    assert {node.get_attribute("data-node") for node in marked} == {"sqlparse", "django"}
    window.page.locator("svg.graph [data-node=sqlparse]").click()
    assert "django" in window.page.get_by_role("heading", name="Why sqlparse").locator("..").inner_text()


@pytest.mark.parametrize("filename", ["requirements.txt", "pylock.toml", "lock.json"])
def test_an_answer_can_be_taken_along(opened: Open, filename: str) -> None:
    window = opened()
    window.go(RESOLVED)
    with window.page.expect_download() as started:
        window.page.locator(f'a[href^="/resolve/{filename}"]').click()
    assert started.value.suggested_filename == filename
    assert "sqlparse" in Path(started.value.path()).read_text(encoding="utf-8")


def test_a_no_says_who_clashes(opened: Open) -> None:
    window = opened()
    assert window.go(CLASH) == 422
    told = window.page.locator(".no").inner_text()
    assert "left" in told
    assert "right" in told
    assert "shared<2" in told
    assert window.page.get_by_role("textbox", name="Requirements").input_value() == "left\nright"


def test_a_mistake_is_told_on_a_page(opened: Open) -> None:
    window = opened()
    assert window.go("/resolve?requirements=" + quote("django>>1")) == 400
    assert "django>>1" in window.page.locator("main").inner_text()
    assert window.go("/nowhere") == 404
    assert "Back to the start" in window.page.locator("main").inner_text()


def test_programs_still_get_problem_documents(server: ServerProcess) -> None:
    for path in ("/nowhere", "/v1/environments/nothing"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.url + path)
        assert caught.value.headers["Content-Type"] == "application/problem+json"
        caught.value.close()


def test_a_large_answer_is_folded(opened: Open) -> None:
    window = opened()
    window.go("/resolve?requirements=large")
    assert window.page.locator("svg.graph [data-node]").count() == 1
    assert "+70" in window.page.locator("svg.graph").inner_html()
    assert window.page.locator("tbody th").count() == 71


def test_a_file_of_requirements_may_be_dropped(opened: Open) -> None:
    window = opened()
    window.go("/")
    window.page.evaluate(
        """() => {
            const dropped = new DataTransfer();
            dropped.items.add(new File(["requests>=2.7\\n"], "requirements.txt"));
            document.querySelector("form.ask").dispatchEvent(new DragEvent("drop", {dataTransfer: dropped}));
        }"""
    )
    window.page.wait_for_function("document.querySelector('textarea').value === 'requests>=2.7\\n'")


def test_the_pages_work_with_scripts_off(opened: Open) -> None:
    window = opened(java_script_enabled=False)
    window.go("/")
    window.page.get_by_label("Requirements").fill("requests>=2.7")
    window.page.get_by_role("button", name="Resolve").click()
    assert "requests" in window.page.locator("tbody").inner_text()
    window.page.get_by_role("button", name="Make the environment").click()
    assert "requests" in window.page.get_by_role("heading", level=1).inner_text()
    assert window.page.locator("[data-copy]:visible").count() == 0


def test_what_a_package_says_stays_text(opened: Open) -> None:
    path = _make(opened, "hostile")
    window = opened()
    dialogs: list[str] = []
    window.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    window.go(path)
    assert HOSTILE in window.page.locator("tbody").inner_text()
    assert window.go("/resolve?requirements=" + quote(HOSTILE)) == 400
    assert HOSTILE[:20] in window.page.locator("main").inner_text()
    assert window.page.title() != "owned"
    assert dialogs == []


@pytest.mark.parametrize("name", [name for name, _kind, _text in DESCRIBED])
def test_a_description_does_nothing(opened: Open, name: str) -> None:
    window = opened()
    dialogs: list[str] = []
    window.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    assert window.go(f"/packages/{name}") == 200
    theirs = window.page.locator(".theirs")
    assert "Fine heading" in theirs.inner_text()
    assert HOSTILE in window.page.locator("main").inner_text()
    assert theirs.locator("script, iframe, form, button, svg, [onerror], [onload]").count() == 0
    assert window.page.locator('[href^="javascript:"], [href^="data:text"]').count() == 0
    assert window.page.title() != "owned"
    assert dialogs == []


def test_a_project_is_found_and_told_of(opened: Open, server: ServerProcess) -> None:
    window = opened()
    window.go("/packages/Requests")
    assert window.page.url == f"{server.url}/packages/requests"
    assert f"{server.url}/simple/ requests" in window.page.locator("pre").first.inner_text()
    versions = window.page.locator("tbody th").all_inner_texts()
    assert versions[0].split()[0] == window.page.locator("h1 .quiet").inner_text()
    window.go("/packages")
    window.page.get_by_role("searchbox").fill("quest")
    window.page.get_by_role("button", name="Find").click()
    window.page.get_by_role("link", name="requests", exact=True).click()
    assert window.page.url == f"{server.url}/packages/requests"
    assert window.go("/packages/nothing-of-that-name") == 404
    assert window.go("/packages/..%2F..%2Fetc") in (400, 404)


def test_no_script_or_style_of_a_page_itself_could_run(opened: Open) -> None:
    window = opened()
    window.go("/")
    window.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
        }"""
    )
    assert window.page.title() != "owned"
    assert any("Content Security Policy" in said for said in window.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_the_page(opened: Open, path: str, scheme: str) -> None:
    window = opened(color_scheme=scheme)
    window.go(path)
    found = Axe().run(window.page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(opened: Open, path: str) -> None:
    window = opened(viewport={"width": 360, "height": 740})
    window.go(path)
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_and_light_differ(opened: Open) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        window = opened(color_scheme=scheme)
        window.go("/")
        seen.add(window.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2
