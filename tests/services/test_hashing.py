"""Locks where the index gives no hashes: they are made from the files, and only where a lock needs them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpers import TINY, installed
from tests.acceptance.test_resolve_command import MAIN_JOB, make_venv
from tests.services.opening import JOB, Opened, in_house, versions
from tests.support.index_server import IndexServer, Settings
from tests.support.running import Venvery, clean_environment
from tests.support.wheels import make_wheel
from venvery.config import Limits
from venvery.errors import LimitExceeded
from venvery.services.locks import render_lock

ServeIndex = Callable[..., IndexServer]


@pytest.fixture
def bare(index: IndexServer) -> IndexServer:
    """Give an index without hashes."""
    index.settings = Settings(hashes=False)
    return index


def fetched(index: IndexServer) -> list[str]:
    """List the files that were fetched whole."""
    return [one.path for one in index.requests if one.path.endswith(".whl") and one.status == 200]


def test_pip_takes_a_lock_of_an_index_without_hashes(venvery: Venvery, bare: IndexServer, tmp_path: Path) -> None:
    done = venvery("resolve", *MAIN_JOB).check()
    assert "there is no usable hash in the index for" in done.stderr
    lock = tmp_path / "locked.txt"
    lock.write_text(done.stdout)
    environment = make_venv(tmp_path / "by-pip")
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "-q"]
    subprocess.run(
        [*command, "--index-url", bare.url, "--require-hashes", "-r", str(lock)],
        env=clean_environment(tmp_path / "home"),
        check=True,
    )
    assert installed(environment) == TINY
    before = len(bare.requests)
    again = venvery("resolve", *MAIN_JOB, "--format", "pylock").check()
    assert not [one for one in bare.requests[before:] if one.path.endswith(".whl")], "they are there already"
    assert again.stdout.count("sha256") == len(TINY)


def test_files_are_fetched_only_where_a_lock_needs_it(bare: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        house = opened.house
        asked = house.read(JOB)
        first = await house.resolve(asked)
        assert fetched(bare) == [] and first.lock.warnings == ()
        second = await house.resolve(asked, hashes=True)
        assert (versions(second.lock), second.remembered) == (TINY, True)
        assert len(fetched(bare)) == len(TINY), "one file of each project, not all that would serve"
        third = await house.resolve(asked, hashes=True)
        assert third.answer is second.answer and len(fetched(bare)) == len(TINY)
        django = next(pin for pin in second.lock.pins if pin.project == "django")
        file = bare.world.file("django-5.2-py3-none-any.whl")
        assert file is not None
        assert hashlib.sha256(file.file.data).hexdigest() in [one.sha256 for one in django.files]

    in_house(data_dir, bare, work)


def test_too_much_is_not_fetched(bare: IndexServer, data_dir: Path) -> None:
    async def work(opened: Opened) -> None:
        with pytest.raises(LimitExceeded, match="the index gives no hashes"):
            await opened.house.resolve(opened.house.read(JOB), hashes=True)
        assert (await opened.house.resolve(opened.house.read(JOB))).remembered

    in_house(data_dir, bare, work, limits=Limits(hashed_bytes=1000))


def test_of_files_without_and_with_hashes_the_lock_names_the_latter(
    serve_index: ServeIndex, data_dir: Path
) -> None:
    wheels = [make_wheel("a", "1"), make_wheel("a", "1", tag="cp311-cp311-manylinux_2_17_x86_64")]
    index = serve_index(wheels, settings=Settings(hashes=False))
    body: dict[str, Any] = JOB | {"requirements": ["a"]}

    async def work(opened: Opened) -> str:
        return render_lock((await opened.house.resolve(opened.house.read(body), hashes=True)).lock, "requirements")

    digest = hashlib.sha256(wheels[1].data).hexdigest()
    assert in_house(data_dir, index, work).count("--hash") == 1
    assert digest in in_house(data_dir, index, work)
