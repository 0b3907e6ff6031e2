"""A sandbox for these tests, where this machine can have one; else they say why they are skipped."""

from __future__ import annotations

import pytest

from venvery.builds.probing import probe
from venvery.builds.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Give the sandbox of this machine."""
    probed = probe()
    if probed.sandbox is None:
        pytest.skip(f"no sandbox on this machine: {probed.why_not}; {probed.hint}")
    return probed.sandbox
