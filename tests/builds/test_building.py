"""Who is built, with what, and when not: policy, metadata, build requirements that must be built themselves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.helpers import installed
from tests.builds.helpers import fails
from tests.builds.hostile import hostile_sdist
from tests.services.opening import Opened, in_house
from tests.support.index_server import IndexServer
from tests.support.running import Venvery
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel
from venvery.builds.probing import Layer, Probed
from venvery.errors import BuildRefused
from venvery.services import build_work
from venvery.services.build_log import BuildLog, plain

pytestmark = pytest.mark.usefixtures("sandbox")


def configured(tmp_path: Path, index: IndexServer, builds: str) -> Path:
    path = tmp_path / "venvery.toml"
    path.write_text(f'[[sources]]\nname = "here"\nurl = "{index.url}"\n[builds]\n{builds}\n')
    return path


def test_metadata_that_only_a_build_tells(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """The answer is the right one, and what was learnt is not asked for again."""
    index.add(make_sdist("dynamic", "1.0", requires=["idna<3"], static=False))
    index.add(make_sdist("ancient", "1.0", requires=["idna<3"], static=False, metadata_version="1.1"))
    for name in ("dynamic", "ancient"):
        lock = venvery("resolve", name, "--format", "json").check()
        assert '"idna"' in lock.stdout
        assert "read the metadata of" in lock.stderr
        assert "read the metadata of" not in venvery("resolve", name, "certifi").check().stderr
    venvery("sync", "dynamic", tmp_path / "env").check()
    assert installed(tmp_path / "env") == {"dynamic": "1.0", "idna": "2.10"}


def test_a_version_whose_build_fails_is_passed_over(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.add(make_sdist("uneven", "1.0", requires=["idna"], static=False))
    index.add(make_sdist("uneven", "2.0", static=False, backend="failing"))
    done = venvery("sync", "uneven", tmp_path / "env").check()
    assert installed(tmp_path / "env")["uneven"] == "1.0"
    assert "uneven 2.0 was passed over" in done.stderr
    assert "build, which failed" in done.stderr


def test_what_it_needs_to_build_is_built_first(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Three deep, with one place for builds: who waits gives its place away."""
    config = configured(tmp_path, index, "concurrency = 1")
    index.add(make_sdist("tool", "1.0"))
    index.add(make_sdist("helper", "1.0", build_requires=["tool"]))
    index.add(make_sdist("top", "1.0", build_requires=["helper"], static=False))
    venvery("sync", "--config", config, "top", tmp_path / "env").check()
    assert installed(tmp_path / "env") == {"top": "1.0"}


def test_what_needs_itself_is_refused(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """In a circle nobody waits for ever."""
    index.add(make_sdist("egg", "1.0", build_requires=["hen"]))
    index.add(make_sdist("hen", "1.0", build_requires=["egg"]))
    fails(venvery("sync", "egg", tmp_path / "env", timeout=60), "has to be built already")


def test_never_means_never(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.add(hostile_sdist("marker", "pass"))
    index.add(make_sdist("dynamic", "1.0", static=False))
    config = configured(tmp_path, index, 'sdists = "never"')
    done = venvery("sync", "--config", config, "marker", tmp_path / "env").check(1)
    assert "none are built here" in done.stderr
    assert "known only after a build" in venvery("resolve", "--config", config, "dynamic").check(1).stderr
    assert venvery("jobs").check().stdout == ""


def test_the_allowlist(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.add(make_sdist("good", "1.0"))
    index.add(make_sdist("other", "1.0"))
    config = configured(tmp_path, index, 'sdists = "allowlist"\nallow = ["Good"]')
    venvery("sync", "--config", config, "good", tmp_path / "env").check()
    done = venvery("sync", "--config", config, "other", tmp_path / "env2").check(1)
    assert "other is not among the projects that are built here" in done.stderr


def test_settings_reach_the_build(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """Variables, config settings and further requirements; other settings make another wheel."""
    index.add(make_wheel("extra", "1.0"))
    code = "import extra\nreturn {'seen.py': 'SEEN = %r' % ((os.environ.get('COLOUR'), extra.__version__),)}"
    index.add(hostile_sdist("tuned", code))
    for colour in ("red", "green"):
        builds = f'[builds.packages.tuned]\nenvironment = {{COLOUR = "{colour}"}}\nbuild-requires = ["extra"]'
        env = tmp_path / colour
        venvery("sync", "--config", configured(tmp_path, index, builds), "tuned", env).check()
        assert f"('{colour}', '1.0')" in next(env.glob("lib/python*/site-packages/seen.py")).read_text()


def test_always_from_source(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    index.add(make_wheel("both", "1.0", files={"both/__init__.py": "FROM = 'wheel'\n"}))
    index.add(make_sdist("both", "1.0", files={"both/__init__.py": "FROM = 'source'\n"}))
    config = configured(tmp_path, index, 'no-binary = ["both"]')
    for options, origin in (((), "wheel"), (("--config", config), "source")):
        env = tmp_path / origin
        venvery("sync", *options, "both", env).check()
        assert origin in next(env.glob("lib/python*/site-packages/both/__init__.py")).read_text()


def test_a_lock_keeps_the_source_and_its_hash(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """A lock is a standard file: what was built here is no business of others. And it is built from it again."""
    sdist = index.add(make_sdist("locked", "1.0"))
    lock = tmp_path / "pylock.toml"
    venvery("resolve", "locked", "--format", "pylock", "-o", lock).check()
    assert sdist.sha256 in lock.read_text()
    venvery("sync", lock, tmp_path / "env").check()
    assert installed(tmp_path / "env") == {"locked": "1.0"}
    hashed = tmp_path / "requirements.txt"
    hashed.write_text(f"locked==1.0 --hash=sha256:{sdist.sha256}\n")
    venvery("sync", "-r", hashed, tmp_path / "env2").check()
    hashed.write_text(f"locked==1.0 --hash=sha256:{'0' * 64}\n")
    venvery("sync", "-r", hashed, tmp_path / "env3").check(1)


def test_where_no_sandbox_works_nothing_is_built(
    index: IndexServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(hostile_sdist("unsafe", "pass"))
    broken = Probed((Layer("programs", False, "bwrap is not installed", "install bubblewrap"),))
    monkeypatch.setattr(build_work, "probe", lambda: broken)
    monkeypatch.setattr("venvery.builds.probing.probe", lambda: broken)

    async def work(opened: Opened) -> None:
        asked = opened.house.read({"requirements": ["unsafe"]})
        with pytest.raises(BuildRefused, match="bwrap is not installed") as caught:
            await opened.house.environment(asked)
        assert caught.value.hint == "install bubblewrap"

    in_house(data_dir, index, work)


def test_what_cannot_be_stored_is_not_done(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    """What cannot be written down is not done: no row without its bytes, and the next attempt succeeds."""
    index.add(make_sdist("unlucky", "1.0"))
    venvery("resolve", "unlucky").check()
    blobs = venvery.data / "blobs"
    # A file where the folder of incoming bytes should be: whoever writes is refused, root too.
    incoming = next(path for path in blobs.iterdir() if path.name == "incoming")
    venvery("sync", "certifi", tmp_path / "warm").check()
    for path in incoming.iterdir():
        path.unlink()
    incoming.rmdir()
    incoming.write_text("in the way")
    assert venvery("sync", "unlucky", tmp_path / "env").code != 0
    assert not (tmp_path / "env").exists()
    incoming.unlink()
    venvery("sync", "unlucky", tmp_path / "env", timeout=60).check()
    with sqlite3.connect(venvery.data / "venvery.sqlite") as database:
        rows = database.execute("SELECT digest FROM built_wheels").fetchall()
    assert len(rows) == 1
    assert any(path.name == rows[0][0][9:] for path in blobs.rglob("*"))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"plain\n", "plain\n"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07x\x1b]8;;http://a\x1b\\link", "xlink"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"\x9b31m \xe2\x80\xaeabc \x07\x00", "\ufffd31m abc "),
        ("ümlaut ☃".encode(), "ümlaut ☃"),
    ],
)
def test_a_log_is_text(said: bytes, shown: str) -> None:
    """However the bytes are cut into pieces."""
    assert plain(said.decode("utf-8", "replace")) == shown
    for size in (1, 2, 3, 1000):
        log = BuildLog(10_000)
        for start in range(0, len(said), size):
            log.write(said[start : start + size])
        assert "".join([*log.take(), *log.end()]) == shown


def test_a_log_keeps_its_beginning_and_its_end() -> None:
    log = BuildLog(1000)
    for number in range(1000):
        log.write(f"line {number}\n".encode())
    text = "".join([*log.take(), *log.end()])
    assert text.startswith("line 0\n")
    assert text.endswith("line 999\n")
    assert "are left out here" in text
    assert len(text) < 1200
