"""`venvery resolve`: fuzzy requirements in, exact pins with hashes out, in every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.pylock import Pylock

from tests.acceptance.helpers import TINY, asks, check_environment, installed
from tests.support.index_server import IndexServer, Settings
from tests.support.machine import find_uv
from tests.support.running import Venvery, clean_environment
from tests.support.wheels import make_wheel

MAIN_JOB = ("django>=1.8", "requests>=2.7")


def pins_of(text: str) -> dict[str, str]:
    """Read the pins of a requirements file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\;]+)", text, re.MULTILINE))


def make_venv(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def test_requirements_with_hashes_are_the_default(venvery: Venvery, index: IndexServer) -> None:
    result = venvery("resolve", *MAIN_JOB).check()
    assert pins_of(result.stdout) == TINY
    blocks = re.split(r"\n(?=\S)", result.stdout.strip())
    pinned = [block for block in blocks if "==" in block and not block.startswith("#")]
    for block in pinned:
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", block), block
    file = index.world.file("django-5.2-py3-none-any.whl")
    assert file is not None
    assert f"--hash=sha256:{file.file.sha256}" in result.stdout


def test_pip_takes_the_output_as_it_is(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    lock = tmp_path / "locked.txt"
    lock.write_text(venvery("resolve", *MAIN_JOB).check().stdout)
    environment = make_venv(tmp_path / "by-pip")
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "-q"]
    done = subprocess.run(
        [*command, "--index-url", index.url, "--require-hashes", "-r", str(lock)],
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert installed(environment) == TINY


def test_requirements_files_and_constraints(venvery: Venvery, tmp_path: Path) -> None:
    asks(tmp_path, "django>=1.8  # the web", "", "-r more.txt", name="in.txt")
    asks(tmp_path, "requests \\", "  >=2.7", name="more.txt")
    asks(tmp_path, "idna<3", "django<5", "unused==99", name="limits.txt")
    result = venvery("resolve", "-r", tmp_path / "in.txt", "-c", tmp_path / "limits.txt").check()
    assert pins_of(result.stdout) == TINY | {"idna": "2.10", "django": "4.2.16"}


def test_extras_and_markers(venvery: Venvery) -> None:
    result = venvery("resolve", "requests[socks]", "sqlparse; python_version < '3'", "everything").check()
    pins = pins_of(result.stdout)
    assert pins["pysocks"] == "1.7.1"
    assert pins["everything"] == "1.0"
    assert "sqlparse" not in pins


def test_pre_releases_and_yanked_files_only_when_asked_for(venvery: Venvery) -> None:
    assert pins_of(venvery("resolve", "urllib3<3").check().stdout) == {"urllib3": "2.2.0"}
    assert pins_of(venvery("resolve", "urllib3>=2.10.0rc1,<3").check().stdout) == {"urllib3": "2.10.0rc1"}
    yanked = venvery("resolve", "urllib3==2.9.0").check()
    assert pins_of(yanked.stdout) == {"urllib3": "2.9.0"}
    assert "yanked" in yanked.stderr


def test_requires_python_is_obeyed(venvery: Venvery) -> None:
    old = venvery("resolve", "django", "--python", "3.9", "--platform", "linux-x86_64").check()
    assert pins_of(old.stdout)["django"] == "4.2.16"


def test_pylock_is_valid_and_complete(venvery: Venvery, index: IndexServer) -> None:
    text = venvery("resolve", *MAIN_JOB, "--format", "pylock").check().stdout
    lock = Pylock.from_dict(tomllib.loads(text))
    lock.validate()
    assert {package.name: str(package.version) for package in lock.packages} == TINY
    for package in lock.packages:
        assert package.wheels
        for wheel in package.wheels:
            assert wheel.url or wheel.path
            listed = index.world.file((wheel.url or "").rpartition("/")[2])
            assert listed is not None
            assert wheel.hashes["sha256"] == listed.file.sha256


def test_uv_installs_from_the_pylock(venvery: Venvery, tmp_path: Path) -> None:
    uv = find_uv()
    if uv is None:
        pytest.skip("uv was not found on this machine (name it with VENVERY_TEST_UV)")
    lock = tmp_path / "pylock.toml"
    lock.write_text(venvery("resolve", *MAIN_JOB, "--format", "pylock").check().stdout)
    environment = make_venv(tmp_path / "by-uv")
    done = subprocess.run(
        [str(uv), "pip", "sync", "-q", "--python", str(environment / "bin/python"), str(lock)],
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert installed(environment) == TINY


def test_json_and_yaml_say_the_same(venvery: Venvery) -> None:
    as_json = json.loads(venvery("resolve", *MAIN_JOB, "--format", "json").check().stdout)
    as_yaml = yaml.safe_load(venvery("resolve", *MAIN_JOB, "--format", "yaml").check().stdout)
    assert as_json == as_yaml
    text = json.dumps(as_json)
    for project, version in TINY.items():
        assert f'"{project}"' in text
        assert f'"{version}"' in text


@pytest.mark.parametrize("format", ["requirements", "pylock", "json", "yaml"])
def test_the_same_question_gets_the_same_bytes(venvery: Venvery, tmp_path: Path, format: str) -> None:
    first = venvery("resolve", *MAIN_JOB, "--format", format).check().stdout
    assert first == venvery("resolve", *MAIN_JOB, "--format", format).check().stdout
    elsewhere = venvery("resolve", *MAIN_JOB, "--format", format, "--data", tmp_path / "other").check().stdout
    assert first == elsewhere


def test_nothing_asked_is_an_empty_lock(venvery: Venvery, tmp_path: Path) -> None:
    result = venvery("resolve", "-r", asks(tmp_path, "# nothing yet")).check()
    assert pins_of(result.stdout) == {}


@pytest.mark.parametrize("form", ["tree", "flat"])
def test_folders_are_sources_too(venvery: Venvery, index: IndexServer, tmp_path: Path, form: str) -> None:
    if form == "tree":
        source = ["--index-url", index.world.write_tree(tmp_path / "tree").as_uri()]
    else:
        index.remove("urllib3-2.9.0-py3-none-any.whl")  # a flat folder cannot say "yanked"
        source = ["--no-index", "--find-links", str(index.world.write_flat(tmp_path / "flat"))]
    index.close()
    environment = tmp_path / "env"
    assert pins_of(venvery("resolve", *MAIN_JOB, *source).check().stdout) == TINY
    venvery("sync", *MAIN_JOB, *source, environment).check()
    check_environment(environment, TINY)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(formats="html"),
        Settings(formats="html", pep658="off"),
        Settings(formats="json", pep658="unhashed", etags=False, last_modified=False),
        Settings(formats="json", pep658="off", ranges="on", sizes=False, upload_times=False),
        Settings(pep658="off", ranges="off", absolute_urls=True),
        Settings(pep658="off", ranges="ignored"),
        Settings(pep658="silent", ranges="no-suffix"),
    ],
    ids=str,
)
def test_every_kind_of_index_gives_the_same_answer(
    venvery: Venvery, index: IndexServer, settings: Settings
) -> None:
    index.settings = settings
    assert pins_of(venvery("resolve", *MAIN_JOB).check().stdout) == TINY


def test_an_index_without_hashes(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """What it lists can be installed; hashes are made from the files, and the one who asks is told so."""
    index.settings = Settings(formats="html", hashes=False)
    resolved = venvery("resolve", "idna").check()
    file = index.world.file("idna-3.7-py3-none-any.whl")
    assert file is not None
    assert f"--hash=sha256:{file.file.sha256}" in resolved.stdout
    assert "hashes in this lock were made from the files" in resolved.stderr
    venvery("sync", *MAIN_JOB, tmp_path / "env").check()
    check_environment(tmp_path / "env", TINY)


def test_pip_configuration_names_the_index(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    del venvery.env["VENVERY_INDEX_URL"]
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {index.url}\n")
    by_file = venvery("resolve", "idna", env={"PIP_CONFIG_FILE": str(settings)}).check()
    by_variable = venvery("resolve", "idna", env={"PIP_INDEX_URL": index.url}).check()
    assert pins_of(by_file.stdout) == pins_of(by_variable.stdout) == {"idna": "3.7"}


def test_within_the_freshness_window_nobody_is_asked(venvery: Venvery, index: IndexServer) -> None:
    """Within the freshness window the index is not asked again."""
    venvery("resolve", "idna").check()
    index.forget()
    assert pins_of(venvery("resolve", "idna").check().stdout) == {"idna": "3.7"}
    assert index.requests == ()


def test_what_is_immutable_is_fetched_once(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    venvery("sync", *MAIN_JOB, tmp_path / "a").check()
    index.forget()
    venvery("sync", *MAIN_JOB, tmp_path / "b").check()
    assert [request.path for request in index.asked("/files/*")] == []
    check_environment(tmp_path / "b", TINY)


def test_a_new_release_is_taken_by_a_new_data_folder(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    assert pins_of(venvery("resolve", "idna").check().stdout) == {"idna": "3.7"}
    index.add(make_wheel("idna", "3.8"))
    fresh = venvery("resolve", "idna", "--data", tmp_path / "other-data").check()
    assert pins_of(fresh.stdout) == {"idna": "3.8"}


@pytest.mark.parametrize("mode", ["embedded", "server"])
def test_a_no_is_told_as_json_too(venvery: Venvery, mode: str, request: pytest.FixtureRequest) -> None:
    if mode == "server":
        venvery.env["VENVERY_SERVER"] = request.getfixturevalue("server").url
    done = venvery("resolve", "django>=5", "asgiref<3", "--json").check(1)
    said = json.loads(done.stdout)
    assert said["explanation"]["says"] == said["detail"]
    assert said["story"].splitlines()[0] == said["detail"] and said["detail"] in done.stderr
    assert said["explanation"]["because"][0]["says"].startswith("you ask for ")
