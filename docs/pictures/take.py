"""Take the pictures of the pages in the documentation anew.

    .venv/bin/python docs/pictures/take.py

Needs Chromium, and the index that pip is configured for.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.browser import Watched, open_browser  # noqa: E402
from tests.support.public_index import configured_index  # noqa: E402
from tests.support.running import Venvery  # noqa: E402

ASKED = "django>=1.8\nrequests>=2.7\nfastapi"
PAGES = {
    "home": "/",
    "resolve": f"/resolve?requirements={quote(ASKED)}&python=3.11&platform=linux-x86_64",
    "conflict": "/resolve?requirements=" + quote("urllib3<1.25\nboto3>1.30"),
    "package": "/packages/requests",
}


def main() -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        settings = Path(folder) / "venvery.toml"
        settings.write_text(f'[[sources]]\nname = "upstream"\nurl = "{configured_index()}"\n', encoding="utf-8")
        with Venvery(Path(folder)).serve("--config", settings) as server:
            window = Watched(browser, server.url, viewport={"width": 1100, "height": 760}, color_scheme="light")
            window.page.set_default_timeout(60_000)
            window.go("/resolve?requirements=" + quote(ASKED))
            window.page.get_by_role("button", name="Make the environment").click()
            window.page.wait_for_url("**/environments/sha256:*")
            window.page.screenshot(path=HERE / "environment.png")
            for name, path in PAGES.items():
                window.go(path)
                window.page.screenshot(path=HERE / f"{name}.png")
            window.context.close()


if __name__ == "__main__":
    main()
