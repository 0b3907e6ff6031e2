"""twine, uv and venvery publish; pip and uv install what was published. Real clients, a real server process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosted.posting import ask, listed, post
from tests.support.machine import find_python, find_uv
from tests.support.running import ServerProcess, Venvery, clean_environment
from tests.support.sdists import make_sdist
from tests.support.wheels import BuiltFile, make_wheel


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with Venvery(tmp_path / "v").serve("--no-index") as server:
        yield server
    assert "Traceback" not in server.said, server.said


@pytest.fixture
def token(server: ServerProcess, tmp_path: Path) -> str:
    """Give a token that may upload, made while the server runs."""
    return Venvery(tmp_path / "v")("token", "create", "--scope", "upload:hosted").check().stdout.strip()


def client(tmp_path: Path, *command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a client in a clean environment."""
    env = clean_environment(tmp_path / "home", NO_COLOR="1", TERM="dumb", COLUMNS="500", **environ)
    words = list(map(str, command))
    return subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)


def twine(tmp_path: Path, server: ServerProcess, token: str, *files: Path, slash: str = "/") -> tuple[int, str]:
    done = client(
        tmp_path,
        *(sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar"),
        *("--repository-url", f"{server.url}/upload{slash}", "-u", "__token__", "-p", token, *files),
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def uv_publish(tmp_path: Path, server: ServerProcess, token: str, *files: Path) -> tuple[int, str]:
    uv = find_uv()
    assert uv is not None, "uv is a test dependency"
    done = client(tmp_path, uv, "publish", "--publish-url", f"{server.url}/upload/", "--token", token, *files)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def wheel_and_sdist(name: str = "acme-tools", version: str = "1.0", note: str = "") -> list[BuiltFile]:
    files = {f"{name.replace('-', '_')}/__init__.py": f'__version__ = "{version}"\nnote = "{note}"\n'}
    return [make_wheel(name, version, files=files), make_sdist(name, version)]


def pip_version(python: Path) -> str | None:
    done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split()[1] if done.returncode == 0 else None


def test_twine_publishes_and_says_why_not(server: ServerProcess, token: str, tmp_path: Path) -> None:
    files = [file.write_to(tmp_path / "dist") for file in wheel_and_sdist()]
    for _ in range(2):  # the very same files again are no error
        code, said = twine(tmp_path, server, token, *files)
        assert code == 0, said
    assert listed(server, "acme-tools") == ["acme_tools-1.0-py3-none-any.whl", "acme_tools-1.0.tar.gz"]
    other = wheel_and_sdist(note="other")[0].write_to(tmp_path / "other")
    code, said = twine(tmp_path, server, token, other)
    assert code != 0
    assert "/upload/ File already exists: acme_tools-1.0-py3-none-any.whl" in said  # the reason phrase


def test_twine_without_a_right_is_told_so(server: ServerProcess, tmp_path: Path) -> None:
    file = wheel_and_sdist()[0].write_to(tmp_path / "dist")
    reader = Venvery(tmp_path / "v")("token", "create", "--scope", "read").check().stdout.strip()
    code, said = twine(tmp_path, server, reader, file)
    assert code != 0 and "403" in said and "has no right upload" in said
    code, said = twine(tmp_path, server, "venvery-not-a-token", file)
    assert code != 0 and "401" in said
    assert listed(server, "acme-tools") == []


def test_uv_publishes_and_says_why_not(server: ServerProcess, token: str, tmp_path: Path) -> None:
    files = [file.write_to(tmp_path / "dist") for file in wheel_and_sdist()]
    for _ in range(2):
        code, said = uv_publish(tmp_path, server, token, *files)
        assert code == 0, said
    assert len(listed(server, "acme-tools")) == 2
    other = wheel_and_sdist(note="other")[0].write_to(tmp_path / "other")
    code, said = uv_publish(tmp_path, server, token, other)
    assert code != 0 and "File already exists" in said


def test_venvery_publishes(server: ServerProcess, token: str, tmp_path: Path) -> None:
    files = [file.write_to(tmp_path / "dist") for file in wheel_and_sdist()]
    venvery = Venvery(tmp_path / "mine")
    result = venvery("upload", *files, "--server", server.url, env={"VENVERY_TOKEN": token}).check()
    assert "published acme_tools-1.0-py3-none-any.whl in hosted" in result.stderr
    assert "there already" in venvery("upload", *files, "--server", server.url, "--token", token).check().stderr
    assert len(listed(server, "acme-tools")) == 2
    refused = venvery("upload", files[0], "--server", server.url).check(3)
    assert "needs a token" in refused.stderr
    other = wheel_and_sdist(note="other")[0].write_to(tmp_path / "other")
    assert (
        "File already exists" in venvery("upload", other, "--server", server.url, "--token", token).check(2).stderr
    )


def test_without_a_server_the_data_folder_is_published_to(tmp_path: Path) -> None:
    venvery = Venvery(tmp_path / "v")
    files = [make_wheel("acme", version).write_to(tmp_path / "dist") for version in ("1.0", "1.1")]
    venvery("upload", *files).check()
    assert "acme==1.1" in venvery("resolve", "acme", "--no-index").check().stdout
    venvery("yank", "acme==1.1", "--reason", "broken").check()
    assert "acme==1.0" in venvery("resolve", "acme", "--no-index").check().stdout
    with venvery.serve("--no-index") as server:
        assert len(listed(server, "acme")) == 2


@pytest.mark.pythons
@pytest.mark.parametrize("python", ["3.8", "3.11", "3.13"])
def test_pip_installs_what_was_just_published(
    server: ServerProcess, token: str, tmp_path: Path, python: str
) -> None:
    found = find_python(python)
    if found is None:
        pytest.skip(f"there is no Python {python} here")
    interpreter = Path(os.path.realpath(found)) if python != "3.11" else found
    if pip_version(interpreter) is None:
        pytest.skip(f"the Python {python} here has no pip")
    index = ("--index-url", f"{server.url}/simple/", "--no-cache-dir", "--no-deps")
    for version in ("1.0", "1.1"):  # the second must be seen although the first was asked for a moment ago
        wheel = make_wheel("acme-tools", version)
        assert post(server, wheel, token=token).status == 200
        to = tmp_path / f"site-{version}"
        done = client(tmp_path, interpreter, "-m", "pip", "install", *index, "--target", to, "acme-tools")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (to / "acme_tools/__init__.py").read_text() == f'__version__ = "{version}"\n'


def test_uv_installs_what_was_just_published(server: ServerProcess, token: str, tmp_path: Path) -> None:
    uv = find_uv()
    assert uv is not None
    for version in ("1.0", "1.1"):
        assert post(server, make_wheel("acme-tools", version), token=token).status == 200
        to = tmp_path / f"site-{version}"
        done = client(
            tmp_path,
            *(uv, "pip", "install", "--index-url", f"{server.url}/simple/", "--cache-dir", tmp_path / "uv-cache"),
            *("--python", sys.executable, "--target", to, "acme-tools", "--refresh"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert version in (to / "acme_tools/__init__.py").read_text()


def test_resolution_sees_an_upload_at_once(server: ServerProcess, token: str, tmp_path: Path) -> None:
    body = {"requirements": ["acme"], "target": {"python": "3.11", "platform": "linux-x86_64"}}
    for version in ("1.0", "1.1", "1.2"):
        assert post(server, make_wheel("acme", version), token=token).status == 200
        for _ in range(2):
            answer = ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "text/plain"})
            assert f"acme=={version}" in answer.text, answer.text
    files = [make_wheel("acme", "1.3").write_to(tmp_path / "dist")]
    Venvery(tmp_path / "v")("upload", *files).check()  # another process, on the same data folder
    answer = ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "text/plain"})
    assert "acme==1.3" in answer.text


def test_a_lock_of_published_files_is_one_that_others_can_use(
    server: ServerProcess, token: str, tmp_path: Path
) -> None:
    uv = find_uv()
    assert uv is not None
    for name in ("acme", "acme-base"):
        requires = ["acme-base"] if name == "acme" else []
        assert post(server, make_wheel(name, "1.0", requires=requires), token=token).status == 200
    body = {"requirements": ["acme"], "target": {"python": "3.11", "platform": "linux-x86_64"}}
    for _ in range(2):  # computed, and remembered
        pylock = ask(server, "POST", "/v1/resolve", body=body, headers={"Accept": "application/toml"})
        assert f"{server.url}/files/acme/" in pylock.text
    proxied = {"Accept": "application/toml", "Host": "pkg.example", "X-Forwarded-Prefix": "/below"}
    answer = ask(server, "POST", "/v1/resolve", body=body, headers=proxied)
    assert "http://pkg.example/below/files/acme/" in answer.text
    hostile = {"Accept": "application/toml", "Host": 'x"\nevil = "y', "X-Forwarded-Prefix": '/"\n'}
    for name in ("Host", "X-Forwarded-Prefix"):
        said = proxied | {name: hostile[name].replace("\n", " ")}
        assert "evil" not in ask(server, "POST", "/v1/resolve", body=body, headers=said).text
    (tmp_path / "pylock.toml").write_text(pylock.text)
    to = tmp_path / "site"
    done = client(
        tmp_path,
        *(uv, "pip", "install", "--no-index", "--cache-dir", tmp_path / "uv-cache", "--python", sys.executable),
        *("--target", to, "-r", "pylock.toml", "--preview"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (to / "acme_base/__init__.py").is_file()
    lock = ask(server, "POST", "/v1/resolve", body=body).json()
    made = ask(server, "POST", "/v1/environments", body={"lock": lock, "target": body["target"]})
    assert made.status == 200, made.text
    environment = tmp_path / "env"
    mine = Venvery(tmp_path / "mine")
    mine("sync", "acme", environment, "--server", server.url).check()
    mine("sync", tmp_path / "pylock.toml", tmp_path / "again", "--server", server.url).check()
    assert list(environment.glob("lib/python3.*/site-packages/acme_base/__init__.py"))


def test_a_lock_made_here_is_read_here_again(tmp_path: Path) -> None:
    venvery = Venvery(tmp_path / "v")
    venvery("upload", make_wheel("acme", "1.0").write_to(tmp_path / "dist")).check()
    for form, name in (("pylock", "pylock.toml"), ("json", "lock.json")):
        venvery("resolve", "acme", "--no-index", "--format", form, "-o", tmp_path / name).check()
    venvery("sync", tmp_path / "pylock.toml", tmp_path / "env", "--no-index").check()
    assert list((tmp_path / "env").glob("lib/python3.*/site-packages/acme/__init__.py"))
