"""Fixtures for the tests of trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Give an empty workshop."""
    return Workshop(tmp_path / "blobs")
