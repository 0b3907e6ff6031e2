"""The interpreter's full version: taken from the request where it says all of it, and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.environments.workshop import Workshop, members
from tests.support.wheels import make_wheel
from venvery.environments import HeadOptions, make_head
from venvery.services.documents import read_place

EXACT = {"marker_environment": {"python_full_version": "3.11.7rc1+"}, "tags": []}


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"target": {"python": "3.11.7", "platform": "linux-x86_64"}}, "3.11.7"),
        ({"target": {"python": "3.13.2t"}}, "3.13.2"),
        ({"target": {"python": "3.11"}}, None),
        ({"target": EXACT}, "3.11.7rc1"),
        ({"python": "/usr/bin/python3.11"}, None),
        ({"python": ["/usr/bin/python3.11", "3.11.9"]}, "3.11.9"),
        ({"target": {"python": "3.11.7\nhome = /elsewhere"}}, None),
        ({"target": None}, None),
        ({}, None),
    ],
)
def test_a_request_says_it(body: dict[str, Any], version: str | None) -> None:
    assert read_place(body).python_version == version


@pytest.mark.parametrize(("said", "written"), [("3.11.7", "3.11.7"), ("3.12.1", "3.11"), (None, "3.11")])
def test_it_stands_in_pyvenv_cfg(workshop: Workshop, said: str | None, written: str) -> None:
    manifest, layers = workshop.environment([make_wheel("tiny", "1.0")])
    options = HeadOptions("/srv/env", python="/usr/bin/python3.11", python_version=said)
    config = members(make_head(manifest, layers, options))["pyvenv.cfg"][1].decode()
    assert f"version = {written}\n" in config
