"""Requests made to hurt hit a stated limit, which the answer names, and hold nobody up."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import TINY
from tests.services.opening import JOB, TARGET, Opened, ask, in_house
from tests.support.index_server import IndexServer
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel
from venvery.config import Limits
from venvery.errors import LimitExceeded
from venvery.services.bench import Bench, Budget

PIGEONS = 10
HARD = {"requirements": [f"pigeon-{n}" for n in range(PIGEONS + 1)], "target": TARGET}
"""One more pigeon than there are holes: nothing shorter than going through them all shows that it cannot be."""


def add_pigeons(index: IndexServer) -> None:
    """List a graph that is made to blow up: each release of a pigeon wants a hole for itself."""
    for pigeon in range(PIGEONS + 1):
        for hole in range(PIGEONS):
            index.world.add(make_wheel(f"pigeon-{pigeon}", str(hole + 1), requires=[f"hole-{hole}=={pigeon + 1}"]))
    for hole in range(PIGEONS):
        for pigeon in range(PIGEONS + 1):
            index.world.add(make_wheel(f"hole-{hole}", str(pigeon + 1)))


def exceeded(error: LimitExceeded) -> tuple[Any, Any]:
    """Give the limit that an error names, and its value, which stands in the text too."""
    assert f"{error.evidence['most']:g}" in str(error)
    return error.evidence["limit"], error.evidence["most"]


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (Limits(solver_decisions=300), ("solver-decisions", 300)),
        (Limits(solver_seconds=0.2), ("solver-seconds", 0.2)),
    ],
)
def test_a_graph_that_blows_up(
    index: IndexServer, data_dir: Path, limits: Limits, named: tuple[str, float]
) -> None:
    add_pigeons(index)

    async def work(opened: Opened) -> None:
        with pytest.raises(LimitExceeded) as caught:
            await ask(opened, HARD)
        assert exceeded(caught.value) == named
        assert await ask(opened) == (TINY, False), "the next one is as free as the first"

    in_house(data_dir, index, work, limits=limits)


def test_hard_requests_leave_room_for_others(
    index: IndexServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, whoever asks for little is answered before any of them is."""
    add_pigeons(index)
    index.world.add(make_wheel("aside", "1"))
    budgets: list[Budget] = []

    def noted(bench: Bench) -> Budget:
        budgets.append(Budget(bench.limits))
        return budgets[-1]

    async def work(opened: Opened) -> None:
        await ask(opened)
        monkeypatch.setattr(Bench, "budget", noted)
        hard = [asyncio.ensure_future(ask(opened, HARD | {"constraints": [f"hole-1<{n + 90}"]})) for n in range(8)]
        while len(budgets) < len(hard) or not all(budget.hard for budget in budgets):
            await asyncio.sleep(0.01)  # until each has had its first turn, and is among the patient
        assert await ask(opened) == (TINY, True)
        assert await ask(opened, {"requirements": ["aside"], "target": TARGET}) == ({"aside": "1"}, False)
        assert not any(one.done() for one in hard)
        for one in hard:
            one.cancel()
        outcomes = await asyncio.gather(*hard, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in outcomes)

    in_house(data_dir, index, work, limits=Limits(solver_seconds=20))


# over HTTP


@pytest.fixture
def limited(venvery: Venvery, index: IndexServer, tmp_path: Path) -> Iterator[ServerProcess]:
    """Give a server with limits that are soon reached."""
    add_pigeons(index)
    configuration = tmp_path / "venvery.toml"
    configuration.write_text(
        "[limits]\nbody-bytes = 2000000\nrequirements = 50\ntargets = 2\nsolver-seconds = 0.5\n"
    )
    with venvery.serve("--config", configuration) as server:
        yield server


def post(server: ServerProcess, body: dict[str, Any] | bytes, path: str = "/v1/resolve") -> tuple[int, Any]:
    """Ask; give the status and the document."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"] == "application/problem+json"
        return error.code, json.load(error)


def test_each_limit_is_named(limited: ServerProcess) -> None:
    many = [f"project-{n}" for n in range(51)]
    targets = [{"python": f"3.{n}", "platform": "linux-x86_64"} for n in (9, 10, 11)]
    for body, limit, most in (
        ({"requirements": many}, "requirements", 50),
        ({"text": "\n".join(many)}, "requirements", 50),
        ({"requirements": many[:30], "constraints": many[:30]}, "requirements", 50),
        ({"requirements": ["idna"], "options": {"overrides": many}}, "requirements", 50),
        ({"requirements": ["idna"], "targets": targets}, "targets", 2),
        ({"requirements": ["idna" + " " * 2_000_000]}, "body-bytes", 2_000_000),
        ({"requirements": [f"idna>=1{',!=1' * 100_000}"]}, "requirement-characters", 16_384),
        (HARD, "solver-seconds", 0.5),
    ):
        status, problem = post(limited, body)
        assert (status, problem["type"]) == (413, "urn:venvery:problem:limit-exceeded"), (limit, problem)
        assert (problem["limit"], problem["most"]) == (limit, most), problem
        assert len(json.dumps(problem)) < 1000
    assert post(limited, {"requirements": many}, "/v1/environments")[0] == 413


def test_ten_thousand_requirements_are_refused_or_answered(server: ServerProcess) -> None:
    plenty = {"requirements": [f"django>=1.{n % 9}" for n in range(10_001)]}
    assert post(server, plenty)[1]["limit"] == "requirements"
    plenty["requirements"].pop()
    status, lock = post(server, plenty | {"target": TARGET})
    assert (status, {pin["project"] for pin in lock["pins"]}) == (200, {"django", "asgiref", "sqlparse"})


@pytest.mark.parametrize("depth", [50, 99, 200, 1_000, 5_000])
def test_nested_markers(server: ServerProcess, depth: int) -> None:
    marker = "(" * depth + "python_version > '3'" + ")" * depth
    for body in ({"requirements": [f"idna ; {marker}"]}, {"text": f"idna ; {marker}\n"}):
        status, answer = post(server, body | {"target": TARGET})
        assert status in ((200,) if depth < 100 else (400, 413)), answer
        if status == 413:
            assert answer["limit"] in ("requirement-parentheses", "requirement-characters")


def test_long_markers(server: ServerProcess) -> None:
    """Many words side by side, as far as one requirement may be long, and with many extras."""
    marker = " or ".join(["python_version > '3'"] * 600)
    assert post(server, {"requirements": [f"idna ; {marker}"], "target": TARGET})[0] == 200
    extras = ",".join(f"extra-{n}" for n in range(1000))
    assert post(server, {"requirements": [f"idna[{extras}]"], "target": TARGET})[0] == 200


def test_hard_requests_hold_up_nobody(limited: ServerProcess) -> None:
    assert post(limited, JOB)[0] == 200
    with ThreadPoolExecutor(6) as others:
        hard = [
            others.submit(post, limited, HARD | {"constraints": [f"hole-1<{n + 90}"]})  # six requests, not one
            for n in range(6)
        ]
        asked = answered = 0
        while not all(one.done() for one in hard):
            assert post(limited, JOB)[0] == 200
            assert post(limited, {"requirements": [f"idna<{asked + 50}"], "target": TARGET})[0] == 200
            asked += 1
            answered += not all(one.done() for one in hard)
        assert answered, "while some of the hard ones were still being worked on"
        assert {one.result()[1]["limit"] for one in hard} == {"solver-seconds"}
