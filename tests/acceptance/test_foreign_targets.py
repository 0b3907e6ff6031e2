"""Environments for machines that are not this one: right tags, right layout, no such interpreter here."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.helpers import TINY, asks, curl, refuses
from tests.support.running import ServerProcess, Venvery

TARGETS = {
    "linux-x86_64": "manylinux_2_17_x86_64",
    "linux-aarch64": "manylinux_2_17_aarch64",
    "macos-arm64": "macosx_11_0_arm64",
    "windows-x86_64": "win_amd64",
    "musl-x86_64": "none-any",
    "macos-x86_64": "none-any",
}
"""For each platform the charset-normalizer wheel of the tiny world that fits Python 3.13 there."""


@pytest.mark.parametrize("platform", TARGETS)
def test_resolve_takes_the_target_s_wheels(venvery: Venvery, platform: str) -> None:
    result = venvery(
        "resolve", "django>=1.8", "requests>=2.7", "--python", "3.13", "--platform", platform, "--format", "json"
    ).check()
    text = json.dumps(json.loads(result.stdout))
    wheels = set(re.findall(r"charset_normalizer-3\.3\.2-[A-Za-z0-9_.-]+\.whl", text))
    best = [wheel for wheel in wheels if TARGETS[platform] in wheel]
    assert best, wheels
    for wheel in wheels:
        assert TARGETS[platform] in wheel or wheel.endswith("none-any.whl"), wheel
    assert ("tzdata" in text.replace("sys_platform", "")) is (platform == "windows-x86_64") or "tzdata;" in text


@pytest.mark.parametrize("platform", ["linux-aarch64", "macos-arm64", "windows-x86_64"])
def test_the_server_assembles_it(shared_server: ServerProcess, tmp_path: Path, platform: str) -> None:
    prefix = r"C:\venvs\app" if platform.startswith("windows") else "/srv/app"
    answer = curl(
        tmp_path,
        f"{shared_server.url}/v1/environments?python=3.13&platform={platform}&prefix={quote(prefix)}",
        *("--data-binary", f"@{asks(tmp_path)}", "-H", "Accept: application/x-tar+gzip"),
    )
    assert answer.status == 200, answer.body
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(answer.body))) as archive:
        names = [member.name.removeprefix("./") for member in archive if not member.isdir()]
        content = {
            member.name.removeprefix("./"): file.read()
            for member in archive
            if (file := archive.extractfile(member) if member.isfile() else None) is not None
        }
    assert len(names) == len(set(names))
    windows = platform.startswith("windows")
    site = "Lib/site-packages" if windows else "lib/python3.13/site-packages"
    expected = dict(TINY, tzdata="2024.1") if windows else TINY
    infos = {name.split("/")[-2] for name in names if name.endswith(".dist-info/METADATA")}
    assert {info.removesuffix(".dist-info").replace("_", "-") for info in infos} == {
        f"{name}-{version}" for name, version in expected.items()
    }
    tag = content[f"{site}/charset_normalizer/__init__.py"].decode()
    assert TARGETS[platform] in tag
    if windows:
        launcher = content["Scripts/django-admin.exe"]
        assert launcher.startswith(b"MZ")
        with zipfile.ZipFile(io.BytesIO(launcher)) as inner:
            assert b"execute_from_command_line" in inner.read("__main__.py")
        assert rb"C:\venvs\app\Scripts\python.exe" in launcher
        assert not any(name.startswith("bin/") for name in names)
    else:
        first_lines = b"".join(content["bin/django-admin"].splitlines()[:2])
        assert b"/srv/app/bin/python" in first_lines
        assert not any(name.endswith(".exe") for name in names)


def test_a_wheel_for_this_platform_only_is_no_answer_elsewhere(venvery: Venvery) -> None:
    target = ("--python", "3.11", "--platform", "macos-arm64")
    refuses(venvery("resolve", "linux-only", *target), 1, "linux-only", "1.0")


@pytest.mark.parametrize(
    ("target", "word"),
    [
        (("--platform", "amiga-m68k"), "amiga-m68k"),
        (("--python", "2.7"), "2.7"),
        (("--python", "three"), "three"),
        (("--python", "3.13", "--platform", "manylinux_9_99_x86_64"), "manylinux_9_99_x86_64"),
    ],
)
def test_a_target_that_nothing_supports(venvery: Venvery, target: tuple[str, ...], word: str) -> None:
    refuses(venvery("resolve", "idna", *target), 2, re.escape(word))
