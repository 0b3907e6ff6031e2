"""Real source distributions, as the public index has them, built in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.helpers import installed, run_python
from tests.builds.helpers import fails
from tests.support.running import Venvery

pytestmark = [pytest.mark.public_index, pytest.mark.usefixtures("sandbox")]


@pytest.mark.parametrize(
    ("requirement", "module", "version"),
    [
        ("docopt==0.6.2", "docopt", "0.6.2"),  # setup.py and nothing else; its metadata is known after a build
        ("markupsafe==3.0.2", "markupsafe._speedups", "3.0.2"),  # a C extension
        ("tomli==2.0.1", "tomli", "2.0.1"),  # flit
        ("rich==13.7.1", "rich", "13.7.1"),  # poetry
        ("hatch-vcs==0.4.0", "hatch_vcs", "0.4.0"),  # hatchling
        ("pluggy==1.5.0", "pluggy", "1.5.0"),  # setuptools-scm computes its version
    ],
)
def test_it_is_built_and_works(
    public_venvery: Venvery, tmp_path: Path, requirement: str, module: str, version: str
) -> None:
    name = requirement.split("==")[0]
    env = tmp_path / "env"
    public_venvery("sync", requirement, "--no-binary", name, env, timeout=600).check()
    assert installed(env)[name] == version
    run_python(env, "-I", "-c", f"import {module}")


def test_a_missing_library_is_named(public_venvery: Venvery, tmp_path: Path) -> None:
    """Whoever has the library builds it; who has not is told which header, and what brings it."""
    if Path("/usr/include/lber.h").exists():
        pytest.skip("this machine has the headers of LDAP, so nothing is missing")
    done = public_venvery("sync", "python-ldap==3.4.4", tmp_path / "env", timeout=600)
    fails(done, r"header \w+\.h is missing.*apt-get install")


def test_nothing_is_built_twice(public_venvery: Venvery, tmp_path: Path) -> None:
    """Another environment has the wheel that was built for the first."""
    env = tmp_path / "env"
    public_venvery("sync", "docopt==0.6.2", env, timeout=600).check()
    again = public_venvery("sync", "docopt==0.6.2", tmp_path / "env2", timeout=600).check()
    assert "build docopt" not in again.stderr
