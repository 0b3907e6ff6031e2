"""Hostile source distributions, asked for as anybody asks: stopped, told why, and nothing else disturbed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.helpers import installed
from tests.builds.helpers import fails
from tests.builds.hostile import hostile_sdist
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.wheels import make_wheel
from venvery.builds.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("sandbox")

SMALL = """
[builds]
memory = "300 MB"
disk = "40 MB"
processes = 60
cpu-seconds = 10
wall-seconds = 20
wheel-size = "5 MB"
log-size = "100 KB"
"""


@pytest.fixture
def small(tmp_path: Path, index: IndexServer, sandbox: Sandbox) -> Path:
    """Write a configuration with small limits."""
    path = tmp_path / "venvery.toml"
    path.write_text(SMALL + f'\n[[sources]]\nname = "here"\nurl = "{index.url}"\n')
    return path


def test_it_sees_nothing_of_the_server(venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path) -> None:
    """Not the data folder, not the variables, not the network: what it found is in the module that it built."""
    host = index.origin.removeprefix("http://")
    attack = f"""
import socket
places = ({str(venvery.data)!r}, {str(tmp_path)!r}, "/etc/shadow", "/run")
found = [place for place in places if os.path.exists(place)]
found += [name for name in os.environ if "TOKEN" in name or "VENVERY" in name]
host, port = {host!r}.split(":")
for address in ((host, int(port)), ("192.0.2.1", 80)):
    try:
        socket.create_connection(address, timeout=2)
        found.append("network")
    except OSError:
        pass
return {{"found.py": "FOUND = " + repr(found)}}
"""
    index.add(hostile_sdist("nosy", attack))
    env = tmp_path / "env"
    done = venvery("sync", "--config", small, "nosy", env, env={"VENVERY_TOKEN": "secret"})
    done.check()
    built = next(env.glob("lib/python*/site-packages/found.py")).read_text()
    assert built == "FOUND = []"


@pytest.mark.parametrize(
    ("name", "attack", "said"),
    [
        ("bomb", "while True:\n    try: os.fork()\n    except OSError: pass", "seconds|memory"),
        ("sleeper", "time.sleep(600)", "more than 3 seconds"),
        ("burner", "while True: pass", "processor time|more than 3 seconds"),
        ("eater", "x = []\nwhile True: x.append(bytearray(1 << 22))", "memory"),
        (
            "filler",
            "for n in range(1000): open('/build/tmp/%d' % n, 'wb').write(b'x' * 1000000)",
            "raise disk in \\[builds\\]",
        ),
        ("big", "os.symlink('/dev/zero', path)", "result|handed out|failed"),
        ("fat", "open(path, 'wb').write(b'x' * 20000000)", "handed out more than"),
        ("rubbish", "open(path, 'wb').write(b'not a zip')", "not a wheel that can be used"),
    ],
)
def test_it_is_stopped(
    venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path, name: str, attack: str, said: str
) -> None:
    small.write_text(small.read_text().replace("wall-seconds = 20", "wall-seconds = 3"))
    index.add(hostile_sdist(name, attack))
    index.add(make_wheel("harmless", "1.0"))
    before = os.statvfs(tmp_path).f_bavail
    fails(venvery("sync", "--config", small, name, tmp_path / "env"), said)
    assert not (tmp_path / "env").exists()
    assert (before - os.statvfs(tmp_path).f_bavail) * os.statvfs(tmp_path).f_frsize < 300_000_000
    venvery("sync", "--config", small, "harmless", tmp_path / "env").check()
    assert installed(tmp_path / "env") == {"harmless": "1.0"}
    log = venvery("jobs", "--json")
    assert f'"title": "build {name} 1.0' in log.check().stdout
    assert list((venvery.data / "builds").iterdir()) == [], "its folder went with it"


def test_a_planted_link_leads_nowhere(venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path) -> None:
    """The output is a link to a file of the server: what is read is what the sandbox has under that name."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret of the server")
    index.add(hostile_sdist("planter", f"os.symlink({str(secret)!r}, path)"))
    done = venvery("sync", "--config", small, "planter", tmp_path / "env")
    fails(done, "planter")
    assert "secret of the server" not in done.stderr
    blobs = [path.read_bytes() for path in (venvery.data / "blobs").rglob("*") if path.is_file()]
    assert not any(b"secret of the server" in blob for blob in blobs)


def test_a_wheel_of_another_project_is_refused(
    venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path
) -> None:
    """It would be kept for all, under a name that is not its own."""
    attack = "global NAME, INFO\nNAME = 'django'\nINFO = 'django-1.0.dist-info'\n"
    attack += "path = os.path.join(os.path.dirname(path), 'django-1.0-py3-none-any.whl')\n"
    attack += "import zipfile\nzipfile.ZipFile(path, 'w').close()"
    index.add(hostile_sdist("impostor", attack))
    fails(venvery("sync", "--config", small, "impostor", tmp_path / "env"), "impostor")


def test_what_it_says_cannot_command_a_terminal(
    venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path
) -> None:
    attack = (
        r"sys.stdout.write('\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x9b31m\u202e\n')"
        "\nsys.stdout.flush()\nraise SystemExit('over')"
    )
    index.add(hostile_sdist("painter", attack))
    done = venvery("sync", "--config", small, "painter", tmp_path / "env").check(1)
    assert "red link" in done.stderr
    for character in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert character not in done.stderr
    job = done.stderr.split("venvery jobs log ")[1].split()[0]
    log = venvery("jobs", "log", job).check().stdout
    assert "red link" in log
    assert "\x1b" not in log


def test_a_gigabyte_of_log_is_kept_in_part(
    venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path
) -> None:
    small.write_text(small.read_text().replace("wall-seconds = 20", "wall-seconds = 100"))
    attack = (
        "print('the beginning')\nline = 'x' * 1023 + '\\n'\n"
        "for _ in range(64): sys.stdout.write(line * 16384)\nprint('the end')\nraise SystemExit(1)"
    )
    index.add(hostile_sdist("chatterbox", attack))
    done = venvery("sync", "--config", small, "chatterbox", tmp_path / "env").check(1)
    job = done.stderr.split("venvery jobs log ")[1].split()[0]
    log = venvery("jobs", "log", job).check().stdout
    assert "the beginning" in log
    assert "the end" in log
    assert "are left out here" in log
    assert len(log) < 150_000
    assert (venvery.data / "venvery.sqlite").stat().st_size < 5_000_000


def test_daemons_do_not_outlive_it(venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path) -> None:
    attack = (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.execv('/bin/sleep', ['sleep', '613'])\n    os._exit(0)\n"
    )
    index.add(hostile_sdist("daemon", attack))
    venvery("sync", "--config", small, "daemon", tmp_path / "env").check()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                assert (entry / "cmdline").read_bytes() != b"sleep\x00613\x00"
            except OSError:
                continue


def test_a_hostile_archive_unpacks_inside(
    venvery: Venvery, index: IndexServer, small: Path, tmp_path: Path
) -> None:
    """Members that lead out of the archive's folder lead nowhere that anybody else sees."""
    from tests.support.sdists import make_sdist

    for number, defect in enumerate(("parent-member", "absolute-member", "symlink-member", "device-member")):
        index.add(make_sdist(f"archive{number}", "1.0", broken=[defect]))  # type: ignore[list-item]
        venvery("sync", "--config", small, f"archive{number}", tmp_path / f"env{number}")
        assert not Path("/tmp/venvery-escaped.txt").exists()
        assert not list(tmp_path.rglob("escaped.txt"))
