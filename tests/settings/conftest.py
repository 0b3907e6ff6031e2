"""A machine of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from venvery.catalog.pip_settings import Machine


@pytest.fixture
def make_machine(tmp_path: Path) -> Callable[..., Machine]:
    """Give a function that makes an empty machine under `tmp_path`, with the environment that it is told."""

    def make(platform: str = "linux", **environ: str) -> Machine:
        for folder in ("home", "prefix", "root"):
            (tmp_path / folder).mkdir(exist_ok=True)
        return Machine(
            environ=environ,
            home=tmp_path / "home",
            prefix=tmp_path / "prefix",
            platform=platform,
            folder=tmp_path,
            system=tmp_path / "root",
        )

    return make
