"""`venvery mirror`: everything is here before it is asked for, and what is missing is said before CI finds out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.index_server import IndexServer
from tests.support.running import Venvery, clean_environment
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel

TARGETS = ("--python", "3.11", "--python", "3.13", "--platform", "linux-x86_64", "--platform", "windows-x86_64")


def test_the_closure_for_every_target_is_there(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("django>=1.8\nrequests>=2.7\n", encoding="utf-8")
    done = json.loads(venvery("mirror", "-r", requirements, *TARGETS, "--json").check().stdout)
    assert len(done["targets"]) == 4
    assert done["gaps"] == []
    assert done["files"] == done["new"] == 7 + 1 + 4, "tzdata for Windows, four builds of charset-normalizer"
    files = {entry["project"]: entry["files"] for entry in done["releases"]}
    assert set(files["tzdata"]) == {name for name in done["targets"] if "windows" in name or "win" in name}
    again = json.loads(venvery("mirror", "-r", requirements, *TARGETS, "--json").check().stdout)
    assert (again["files"], again["new"]) == (done["files"], 0)
    index.close()
    with venvery.serve() as server:
        for python, platform in (("3.11", "manylinux_2_17_x86_64"), ("3.13", "win_amd64")):
            got = tmp_path / platform
            command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "-i", f"{server.url}/simple/"]
            command += ["--only-binary", ":all:", "--python-version", python, "--platform", platform]
            subprocess.run(
                [*command, "-d", str(got), "-r", str(requirements)],
                env=clean_environment(tmp_path / "home"),
                check=True,
                capture_output=True,
                timeout=120,
            )
            assert any("django-5.2" in path.name for path in got.iterdir())


def test_what_has_no_wheel_for_whom_is_said(venvery: Venvery, index: IndexServer) -> None:
    index.add(make_wheel("speedy", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64"))
    index.add(make_sdist("speedy", "1.0"))
    result = venvery("mirror", "speedy", "idna", *TARGETS).check(1)
    lines = result.stdout.splitlines()
    assert len(lines) == 3, result
    assert all("speedy 1.0: only a source distribution" in line for line in lines)
    assert "3 gaps" in result.stderr
    found = json.loads(venvery("mirror", "speedy", *TARGETS, "--json").check(1).stdout)
    (speedy,) = found["releases"]
    assert (
        sorted(speedy["files"].values())
        == ["speedy-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"] + ["speedy-1.0.tar.gz"] * 3
    )


def test_a_target_without_an_answer_does_not_keep_the_others_from_theirs(
    venvery: Venvery, index: IndexServer
) -> None:
    index.add(make_wheel("modern", "1.0", requires_python=">=3.12"))
    result = venvery("mirror", "modern", "--python", "3.11", "--python", "3.13").check(1)
    assert "no answer" in result.stdout
    assert "1 release for 2 targets: 1 file," in result.stderr


def test_a_file_that_lies_is_an_error(venvery: Venvery, index: IndexServer) -> None:
    index.fault("/files/idna-3.7*.whl", "corrupt")
    assert "idna" in venvery("mirror", "idna").check(3).stderr
