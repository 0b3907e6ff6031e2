"""Unchanged clients: pip of several ages and uv against a real server, with and without its upstream."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.index.asking import JSON, ask
from tests.support.index_server import IndexServer
from tests.support.machine import find_python, find_uv
from tests.support.running import ServerProcess, Venvery, clean_environment
from tests.support.wheels import make_wheel

WANTED = ("django>=1.8", "requests>=2.7")
PINS = {
    "asgiref": "3.8.1",
    "certifi": "2024.7.4",
    "charset-normalizer": "3.3.2",
    "django": "5.2",
    "idna": "3.7",
    "requests": "2.32.3",
    "sqlparse": "0.5.3",
    "urllib3": "2.2.0",
}


def run(folder: Path, *command: str | Path, code: int = 0, **variables: str) -> str:
    """Run a client in a clean environment and give all it said."""
    done = subprocess.run(
        list(map(str, command)),
        env=clean_environment(folder / "home", **variables),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}"
    return done.stdout


def pip(folder: Path, index: str, *args: str | Path, python: Path | None = None, code: int = 0) -> str:
    """Run pip without a cache."""
    interpreter = python or Path(sys.executable)
    return run(folder, interpreter, "-m", "pip", args[0], "--no-cache-dir", "-i", index, *args[1:], code=code)


def uv(folder: Path, *args: str | Path, code: int = 0) -> str:
    """Run uv without a cache."""
    found = find_uv()
    assert found is not None, "uv is one of the test dependencies"
    return run(folder, found, *args, "--no-cache", code=code)


def pins_of(folder: Path) -> dict[str, str]:
    """Read which wheels lie in a folder."""
    names = (path.name.split("-")[:2] for path in folder.iterdir())
    return {name.replace("_", "-").lower(): version for name, version in names}


@pytest.mark.parametrize(
    "version",
    [pytest.param(version, marks=pytest.mark.pythons(version)) for version in ("3.7", "3.8", "3.12", "3.13")],
)
def test_pip_as_it_comes_with_a_python(mirror: ServerProcess, tmp_path: Path, version: str) -> None:
    python = find_python(version)
    assert python is not None
    old = version in ("3.7", "3.8")
    wanted = ("django<5", "requests") if version == "3.8" else ("idna", "sqlparse") if old else WANTED
    pip(tmp_path, f"{mirror.url}/simple/", "download", "-d", tmp_path / "got", *wanted, python=python)
    expected = {"3.7": {"idna": "3.7", "sqlparse": "0.5.3"}, "3.8": {**PINS, "django": "4.2.16"}}
    assert pins_of(tmp_path / "got") == expected.get(version, PINS)


def test_the_newest_pip_reads_metadata_before_it_downloads(
    mirror: ServerProcess, upstream: IndexServer, tmp_path: Path
) -> None:
    upstream.add(make_wheel("chosen", "1.0", requires=["idna"]))
    upstream.add(make_wheel("chosen", "2.0", requires=["does-not-exist"]))
    said = pip(tmp_path, f"{mirror.url}/simple/", "download", "-d", tmp_path / "got", "chosen", "chosen<2")
    assert "chosen-1.0-py3-none-any.whl.metadata" in said
    assert pins_of(tmp_path / "got") == {"chosen": "1.0", "idna": "3.7"}
    assert upstream.asked("/files/chosen-2.0*.whl") == ()


def test_pip_installs_with_hashes_and_refuses_others(
    mirror: ServerProcess, upstream: IndexServer, tmp_path: Path
) -> None:
    listed = upstream.world.file("idna-3.7-py3-none-any.whl")
    assert listed is not None
    requirements = tmp_path / "requirements.txt"
    index = f"{mirror.url}/simple/"
    requirements.write_text(f"idna==3.7 --hash=sha256:{listed.file.sha256}\n", encoding="utf-8")
    pip(tmp_path, index, "install", "--require-hashes", "-r", requirements, "--target", tmp_path / "there")
    assert (tmp_path / "there" / "idna").is_dir()
    requirements.write_text(f"idna==3.7 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    arguments = ("install", "--require-hashes", "-r", requirements, "--target", tmp_path / "not")
    assert "DO NOT MATCH" in pip(tmp_path, index, *arguments, code=1)


def test_a_view_is_an_index_of_its_own(mirror: ServerProcess, tmp_path: Path) -> None:
    pip(tmp_path, f"{mirror.url}/views/default/simple", "download", "-d", tmp_path / "got", "requests")
    assert pins_of(tmp_path / "got")["requests"] == "2.32.3"


def test_uv_installs_and_locks_as_of_a_date(mirror: ServerProcess, tmp_path: Path) -> None:
    index = ("--index-url", f"{mirror.url}/simple/")
    uv(tmp_path, "venv", tmp_path / "env", "--python", sys.executable)
    uv(tmp_path, "pip", "install", "--python", tmp_path / "env", *index, *WANTED)
    code = "import django, requests; print(django.VERSION, requests.__version__)"
    assert run(tmp_path, tmp_path / "env/bin/python", "-c", code) == "5.2 2.32.3\n"
    # in the tiny world a file was uploaded each minute; asgiref 3.6.0 came before 3.8.1
    (tmp_path / "in.txt").write_text("asgiref\n", encoding="utf-8")
    page = ask(f"{mirror.url}/simple/asgiref/", accept=JSON).json()
    second = next(entry["upload-time"] for entry in page["files"] if "3.8.1" in entry["filename"])
    locked = uv(tmp_path, "pip", "compile", *index, "--exclude-newer", second, "--generate-hashes", "in.txt")
    assert "asgiref==3.6.0" in locked
    assert page["files"][0]["hashes"]["sha256"] in locked


def test_uv_keeps_a_project_and_its_lock_file(mirror: ServerProcess, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["requests>=2.7"]\n',
        encoding="utf-8",
    )
    index = ("--default-index", f"{mirror.url}/simple/")
    uv(project, "sync", "--python", sys.executable, *index)
    locked = (project / "uv.lock").read_text(encoding="utf-8")
    assert f"{mirror.url}/files/requests/" in locked, "relative URLs became right absolute ones"
    uv(project, "sync", "--locked", "--python", sys.executable, "--reinstall", *index)


def test_everything_installs_when_upstream_is_gone(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    config = venvery.folder / "short.toml"
    config.write_text("freshness-seconds = 0.05\n", encoding="utf-8")
    with venvery.serve("--config", config) as server:
        pip(tmp_path, f"{server.url}/simple/", "download", "-d", tmp_path / "before", *WANTED)
        index.close()
        pip(tmp_path, f"{server.url}/simple/", "download", "-d", tmp_path / "pip", *WANTED)
        assert pins_of(tmp_path / "pip") == PINS
        uv(tmp_path, "venv", tmp_path / "env", "--python", sys.executable)
        uv(tmp_path, "pip", "install", "--python", tmp_path / "env", "-i", f"{server.url}/simple/", *WANTED)
    with venvery.serve("--config", config) as server:  # nor does it need what was in memory
        pip(tmp_path, f"{server.url}/simple/", "download", "-d", tmp_path / "again", *WANTED)
        assert pins_of(tmp_path / "again") == PINS


def test_an_upstream_failure_stops_uv_instead_of_sending_it_elsewhere(
    mirror: ServerProcess, upstream: IndexServer, tmp_path: Path
) -> None:
    """To uv a 404 means: ask the next index. That must never be what an outage looks like."""
    upstream.add(make_wheel("internal-name", "1.0"))
    with IndexServer([make_wheel("internal-name", "66.6")]) as evil:
        fault = upstream.fault("/simple/internal-name/", "status", status=500)
        asked = ("pip", "compile", "--index-url", evil.url, "--extra-index-url", f"{mirror.url}/simple/", "in.txt")
        (tmp_path / "in.txt").write_text("internal-name\n", encoding="utf-8")
        assert "66.6" not in uv(tmp_path, *asked, code=2)
        fault.left = 0
        assert "internal-name==1.0" in uv(tmp_path, *asked)


def test_a_mirror_of_a_mirror(mirror: ServerProcess, tmp_path: Path) -> None:
    second = Venvery(tmp_path, index_url=f"{mirror.url}/simple/")
    assert "django==5.2" in second("resolve", *WANTED).check().stdout
    with second.serve() as server:
        pip(tmp_path, f"{server.url}/simple/", "download", "-d", tmp_path / "got", *WANTED)
        assert pins_of(tmp_path / "got") == PINS
        one = ask(f"{mirror.url}/simple/urllib3/", accept=JSON).json()
        two = ask(f"{server.url}/simple/urllib3/", accept=JSON).json()
        assert one["files"] == two["files"], "verbatim, however long the chain"


@pytest.fixture
def proxied(mirror: ServerProcess) -> Iterator[str]:
    """Put a reverse proxy that knows nothing of the server in front of it, under a prefix."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/deep/pkg/"):
                self.send_error(404)
                return
            asked = {name: text for name, text in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(mirror.url + self.path.removeprefix("/deep/pkg"), headers=asked)
            opener = urllib.request.build_opener(_NoRedirect)
            try:
                answer = opener.open(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                body = answer.read()
                self.send_response(answer.status)
                for name, text in answer.headers.items():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/deep/pkg"
        proxy.shutdown()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def test_behind_a_reverse_proxy_with_a_prefix(proxied: str, tmp_path: Path) -> None:
    pip(tmp_path, f"{proxied}/simple", "download", "-d", tmp_path / "pip", "Django", "requests")
    assert pins_of(tmp_path / "pip") == PINS
    uv(tmp_path, "venv", tmp_path / "env", "--python", sys.executable)
    uv(tmp_path, "pip", "install", "--python", tmp_path / "env", "-i", f"{proxied}/simple", *WANTED)
