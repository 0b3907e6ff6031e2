"""Times the way from a request to a usable environment: until `import django, requests` has run in it.

    python benchmarks/first_run.py --runs 3

Needs uv, and the index that pip on this machine is configured for, which all contestants use. Writes a table to
stdout and to results/first_run.md, and a picture to results/first_run.svg.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Bar, bar_chart  # noqa: E402
from tests.support.machine import find_uv  # noqa: E402
from tests.support.public_index import configured_index, why_not  # noqa: E402
from tests.support.running import ServerProcess, Venvery, clean_environment  # noqa: E402
from timing import Contestant, machine, measure, run, table  # noqa: E402

JOB = ("django>=1.8", "requests>=2.7")
IMPORT = ("-c", "import django, requests")
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"

Job = Callable[[Path], None]


def use(folder: Path, env: dict[str, str]) -> None:
    """Do what the person waits for: the first import."""
    run([folder / "env/bin/python", *IMPORT], env)


def by_venvery(command: Venvery, *options: str, store: Path | None = None, data: Path | None = None) -> Job:
    """Make it with `venvery sync`; folders that are not given are new and empty."""

    def job(folder: Path) -> None:
        env = command.env | {
            "VENVERY_DATA": str(data or folder / "data"),
            "VENVERY_CACHE_DIR": str(store or folder / "cache"),
        }
        run([*command.command("sync", *options), *JOB, folder / "env"], env, folder)
        use(folder, env)

    return job


def by_curl(command: Venvery, server: ServerProcess) -> Job:
    """Make it with curl and tar, from a server."""

    def job(folder: Path) -> None:
        (folder / "requirements.txt").write_text("\n".join(JOB) + "\n")
        (folder / "env").mkdir()
        url = f"{server.url}/v1/environments?python={PYTHON}&prefix={folder}/env"
        line = (
            "curl -sf --data-binary @requirements.txt -H 'Accept: application/x-tar+gzip' "
            f"'{url}' | tar -xz -C env"
        )
        run(["bash", "-o", "pipefail", "-c", line], command.env, folder)
        use(folder, command.env)

    return job


def by_uv(uv: Path, env: dict[str, str], cache: Path | None = None) -> Job:
    """Make it with `uv venv` and `uv pip install`."""

    def job(folder: Path) -> None:
        here = env | {"UV_CACHE_DIR": str(cache or folder / "cache"), "VIRTUAL_ENV": str(folder / "env")}
        run([uv, "venv", "-q", "--python", sys.executable, folder / "env"], here, folder)
        run([uv, "pip", "install", "-q", *JOB], here, folder)
        use(folder, here)

    return job


def by_pip(env: dict[str, str], cache: Path | None = None) -> Job:
    """Make it with `python -m venv` and `pip install`."""

    def job(folder: Path) -> None:
        here = env | {"PIP_CACHE_DIR": str(cache or folder / "cache")}
        run([sys.executable, "-m", "venv", folder / "env"], here, folder)
        run([folder / "env/bin/pip", "install", "-q", *JOB], here, folder)
        use(folder, here)

    return job


def contestants(scratch: Path, uv: Path, command: Venvery, server: ServerProcess) -> list[Contestant]:
    """Name all ways, fill what has to be warm, and leave the rest empty."""
    index = configured_index()
    env = clean_environment(scratch / "home", UV_DEFAULT_INDEX=index, PIP_INDEX_URL=index)
    warm = {name: scratch / f"warm-{name}" for name in ("data", "store", "uv", "pip")}
    ours = by_venvery(command, store=warm["store"], data=warm["data"])
    remote = ("--server", server.url)
    for fill in (ours, by_venvery(command, *remote), by_curl(command, server)):
        _once(fill, scratch)
    for fill in (by_uv(uv, env, warm["uv"]), by_pip(env, warm["pip"])):
        _once(fill, scratch)
    return [
        Contestant("venvery sync, unchanged", ours, ours, ours=True),
        Contestant("venvery sync, all at hand", ours, ours=True),
        Contestant("venvery sync, bare machine, warm server", by_venvery(command, *remote), ours=True),
        Contestant("curl | tar, warm server", by_curl(command, server), ours=True),
        Contestant("uv venv && uv pip install, warm cache", by_uv(uv, env, warm["uv"])),
        Contestant("python -m venv && pip install, warm cache", by_pip(env, warm["pip"])),
        Contestant("venvery sync, nothing at hand", by_venvery(command), ours=True),
        Contestant("uv venv && uv pip install, empty cache", by_uv(uv, env)),
        Contestant("python -m venv && pip install, empty cache", by_pip(env)),
    ]


def _once(job: Job, scratch: Path) -> None:
    job(Path(tempfile.mkdtemp(dir=scratch)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (3)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where table and picture go")
    parser.add_argument(
        "--scratch", type=Path, help="where the environments are made (the system's temporary folder)"
    )
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    reason = why_not()
    if reason is not None:
        print(f"error: the index that pip is configured for does not answer: {reason}", file=sys.stderr)
        return 3
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > 1:
        print(f"warning: the machine is busy with other work (load {busy:.1f})", file=sys.stderr)
    # hardlinks work within one file system only: everything lies in one scratch folder
    scratch = Path(tempfile.mkdtemp(prefix="first-run-", dir=options.scratch))
    try:
        command = Venvery(scratch, index_url=configured_index())
        with command.serve("--data", scratch / "server-data") as server:
            measured = measure(contestants(scratch, uv, command, server), options.runs, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    versions = f"{machine()}, load before the start {busy:.1f}; {_says(uv, '--version')}; pip {_pip_version()}"
    title = "From the request to a usable environment: django and requests"
    text = (
        f"# {title}\n\n"
        f"Seconds until `python -c 'import django, requests'` has run in an environment that did not exist;"
        f" medians of {options.runs} interleaved runs, {datetime.now(UTC):%Y-%m-%d}.\n{versions}.\n"
        f"The server runs on the same machine, and takes its share of the cores.\n\n{table(measured)}\n"
        "![The same as bars](first_run.svg)\n"
    )
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "first_run.md").write_text(text, encoding="utf-8")
    bars = [Bar(m.contestant.name, m.median, min(m.seconds), max(m.seconds), m.contestant.ours) for m in measured]
    subtitle = f"until the first import has run; medians of {options.runs} interleaved runs; {machine()}"
    (options.results / "first_run.svg").write_text(bar_chart(title, subtitle, bars), encoding="utf-8")
    return 0


def _says(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout.strip()


def _pip_version() -> str:
    """Give the version of the pip that a new environment gets."""
    code = "import ensurepip; print(ensurepip.version())"
    return _says(sys.executable, "-c", code)


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
