"""Times the way from a lock to an environment: beside uv, pip, `curl | tar` and the physical floor.

    python benchmarks/deliver.py --sizes small,medium --runs 5
    python benchmarks/deliver.py --parts first-import,link --sizes small
    python benchmarks/deliver.py --scratch /dev/shm

Needs uv, and once the index that pip on this machine is configured for: the wheels are fetched into `--mirror`
and served from there on loopback, to every contestant alike. Parts: `first-import` (until the first import has
run, less what that import takes when everything is in place), `install` (installing alone, without bytecode),
`store` (with a local layer store, beside `cp -al`), `link` (as first-import, through 50 ms and
200 Mbit/s), `server`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Bar, bar_chart  # noqa: E402
from tests.support.index_server import closed_port  # noqa: E402
from tests.support.machine import find_uv  # noqa: E402
from tests.support.public_index import configured_index  # noqa: E402
from tests.support.running import Venvery, clean_environment  # noqa: E402
from timing import Contestant, Measured, machine, measure, run  # noqa: E402

from venvery.client.pack import pack  # noqa: E402

PARTS = ("first-import", "install", "store", "link", "server")
BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
ENVIRONMENTS = {
    "small": (("django", "requests"), "import django, requests"),
    "medium": (("fastapi[standard]", "sqlalchemy", "pandas"), "import fastapi, sqlalchemy, pandas"),
    "large": (
        ("jupyterlab", "scikit-learn", "matplotlib", "pyarrow"),
        "import jupyterlab, sklearn, matplotlib.pyplot, pyarrow",
    ),
}

Job = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Lab:
    """Everything that the contestants for one environment need."""

    size: str
    scratch: Path
    env: dict[str, str]
    uv: Path
    pyz: Path
    index: str
    server: str
    lock: Path
    """requirements.txt with hashes."""
    pylock: Path
    code: str

    def use(self, folder: Path, made: str = "env") -> None:
        """Do what the person waits for: the first import."""
        run([folder / made / "bin/python", "-c", self.code], self.env, folder)

    def through(self, ports: dict[str, int]) -> Lab:
        """Give the same lab with its servers behind a link."""
        return replace(
            self, index=f"http://127.0.0.1:{ports['index']}/simple/", server=f"http://127.0.0.1:{ports['server']}"
        )

    # How the contestants make `folder/env`

    def by_venvery(self, *options: str, store: Path | None = None, pyz: bool = False) -> Job:
        """Make it with `venvery sync`, installed or as the single file."""
        words = [BASE, "-I", self.pyz] if pyz else [Path(sys.executable).parent / "venvery"]

        def job(folder: Path) -> None:
            env = self.env | {"VENVERY_CACHE_DIR": str(store or folder / "cache")}
            more = ["--server", self.server, "--python", BASE, *options]
            run([*words, "sync", *more, self.pylock, folder / "env"], env, folder)

        return job

    def by_curl(self) -> Job:
        """Make it with curl and tar."""

        def job(folder: Path) -> None:
            (folder / "env").mkdir()
            url = f"{self.server}/v1/environments?python={PYTHON}&prefix={folder}/env"
            line = (
                f"curl -sSf --data-binary @{self.lock} -H 'Accept: application/x-tar+zstd' '{url}'"
                " | tar --zstd -x -C env"
            )
            run(["bash", "-o", "pipefail", "-c", line], self.env, folder)

        return job

    def by_uv(self, *options: str, cache: Path | None = None) -> Job:
        """Make it with `uv venv` and `uv pip sync`."""

        def job(folder: Path) -> None:
            env = self.env | {"UV_CACHE_DIR": str(cache or folder / "cache"), "VIRTUAL_ENV": str(folder / "env")}
            run([self.uv, "venv", "-q", "--python", BASE, folder / "env"], env, folder)
            index = ("--default-index", self.index)
            run([self.uv, "pip", "sync", "-q", *index, *options, self.lock], env, folder)

        return job

    def by_pip(self) -> Job:
        """Make it with `python -m venv` and pip."""

        def job(folder: Path) -> None:
            env = self.env | {"PIP_CACHE_DIR": str(folder / "cache"), "PIP_INDEX_URL": self.index}
            run([BASE, "-m", "venv", folder / "env"], env, folder)
            run([folder / "env/bin/pip", "install", "-q", "--no-deps", "-r", self.lock], env, folder)

        return job

    def then_use(self, job: Job) -> Job:
        """Make it, and import what it is for."""

        def both(folder: Path) -> None:
            job(folder)
            self.use(folder)

        return both

    def warmed(self, job: Callable[[Path], Job], name: str) -> Path:
        """Fill a cache by doing a job once with it."""
        cache = self.scratch / f"warm-{name}-{self.size}"
        self.once(job(cache))
        return cache

    def once(self, job: Job) -> Path:
        """Do a job in a folder of its own and keep it."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        job(folder)
        return folder


# The parts


def first_import(lab: Lab, slow: bool = True) -> list[Contestant]:
    """Bare machine, lock known, until the first import has run."""
    warm = lab.warmed(lambda cache: lab.by_uv(cache=cache), "uv")
    lab.once(lab.by_venvery())
    lab.once(lab.by_curl())
    ready = lab.once(lab.then_use(lab.by_venvery()))
    found = [
        Contestant("import alone, all in place", lambda folder: lab.use(ready)),
        Contestant("venvery sync", lab.then_use(lab.by_venvery()), ours=True),
        Contestant("venvery.pyz sync", lab.then_use(lab.by_venvery(pyz=True)), ours=True),
        Contestant("curl | tar --zstd", lab.then_use(lab.by_curl()), ours=True),
        Contestant("uv pip sync, cold cache", lab.then_use(lab.by_uv())),
        Contestant("uv pip sync, warm cache", lab.then_use(lab.by_uv(cache=warm))),
    ]
    if slow:
        compiling = lab.then_use(lab.by_uv("--compile-bytecode"))
        found.append(Contestant("uv pip sync --compile-bytecode, cold cache", compiling))
        found.append(Contestant("python -m venv && pip install", lab.then_use(lab.by_pip())))
    return found


def install(lab: Lab) -> list[Contestant]:
    """Installing alone, without bytecode on both sides."""
    warm = lab.warmed(lambda cache: lab.by_uv(cache=cache), "uv")
    ready = lab.once(lab.by_venvery("--no-bytecode"))
    stream = ready / "env.tar"
    run(["tar", "-cf", stream, "-C", ready, "env"], lab.env)
    return [
        Contestant("venvery sync --no-bytecode", lab.by_venvery("--no-bytecode"), ours=True),
        Contestant("venvery.pyz sync --no-bytecode", lab.by_venvery("--no-bytecode", pyz=True), ours=True),
        Contestant("uv pip sync, cold cache", lab.by_uv()),
        Contestant("uv pip sync, warm cache", lab.by_uv(cache=warm)),
        Contestant("the floor: tar -x from memory", lambda folder: run(["tar", "-xf", stream], lab.env, folder)),
    ]


def from_store(lab: Lab) -> list[Contestant]:
    """With a local layer store, all of it or nine tenths there."""
    warm = lab.warmed(lambda cache: lab.by_uv(cache=cache), "uv")
    store = lab.warmed(lambda cache: lab.by_venvery(store=cache), "store")
    bare = lab.warmed(lambda cache: lab.by_venvery("--no-bytecode", store=cache), "bare-store")
    ready = lab.once(lab.by_venvery(store=store)) / "env"
    return [
        Contestant("venvery sync, 100 % in the store", lab.by_venvery(store=store), ours=True),
        Contestant("the same, without bytecode", lab.by_venvery("--no-bytecode", store=bare), ours=True),
        Contestant(
            "venvery sync, 90 % in the store, without bytecode",
            lambda folder: lab.by_venvery("--no-bytecode", store=folder / "store")(folder),
            lambda folder: _most_of(bare, folder / "store"),
            ours=True,
        ),
        Contestant("venvery sync, unchanged", lab.by_venvery(store=store), lab.by_venvery(store=store), ours=True),
        Contestant("uv pip sync, warm cache", lab.by_uv(cache=warm)),
        Contestant("the floor: cp -al", lambda folder: run(["cp", "-al", ready, folder / "env"], lab.env)),
    ]


def _most_of(store: Path, to: Path) -> None:
    """Copy a store but for a tenth of its layers."""
    shutil.copytree(store, to, symlinks=True, copy_function=os.link)
    layers = sorted((to / "store-2/layers").iterdir())
    for layer in layers[:: 10 if len(layers) >= 10 else len(layers)]:
        shutil.rmtree(layer)


# What they come to


def excess(measured: Sequence[Measured]) -> list[Measured]:
    """Take away what the import takes when everything is in place; it is the first."""
    alone = measured[0].median
    return [Measured(one.contestant, [max(0.0, s - alone) for s in one.seconds]) for one in measured[1:]]


def table(measured: Sequence[Measured], beside: str) -> str:
    """Write a Markdown table: seconds, and how many times as long each takes as the first of ours."""
    first = next(one for one in measured if one.contestant.ours)
    lines = [f"| {beside} | median, s | fastest | beside the first of ours |", "| --- | ---: | ---: | ---: |"]
    for one in measured:
        bold = "**" if one.contestant.ours else ""
        name = one.contestant.name.replace("|", "\\|")
        times = f"{one.median / first.median:.1f}×" if one is not first and first.median else ""
        lines.append(f"| {name} | {bold}{one.median:.2f}{bold} | {min(one.seconds):.2f} | {times} |")
    return "\n".join(lines) + "\n"


def picture(path: Path, title: str, subtitle: str, measured: Sequence[Measured]) -> None:
    """Draw what was measured."""
    bars = [Bar(m.contestant.name, m.median, min(m.seconds), max(m.seconds), m.contestant.ours) for m in measured]
    path.write_text(bar_chart(title, subtitle, bars), encoding="utf-8")


def server_figures(lab: Lab) -> str:
    """Measure the server alone: the first byte of an environment by its key, and bytes per second."""
    body = json.dumps({"pylock": lab.pylock.read_text(), "target": {"python": PYTHON}}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{lab.server}/v1/environments", body, headers)) as answer:
        manifest = json.load(answer)
    url = f"{lab.server}/v1/environments/{manifest['key']}.tar.zst?prefix=/srv/env"
    firsts, rates = [], []
    for _ in range(15):
        started = time.perf_counter()
        with urllib.request.urlopen(url) as answer:
            answer.read(1)
            firsts.append(time.perf_counter() - started)
            count = 1
            while piece := answer.read(1 << 20):
                count += len(piece)
        rates.append(count / (time.perf_counter() - started))
    return (
        f"| {lab.size} | {len(manifest['layers'])} | {count / 1e6:.0f} | {min(firsts) * 1000:.1f} | "
        f"{sorted(firsts)[7] * 1000:.1f} | {max(rates) / 1e9:.2f} |\n"
    )


# Mirror, servers, links


def fill_mirror(folder: Path, uv: Path, sizes: Sequence[str]) -> None:
    """Pin the environments and fetch their wheels, where that was not done before."""
    folder.mkdir(parents=True, exist_ok=True)
    index = configured_index()
    env = clean_environment(folder / "home", PIP_INDEX_URL=index)
    for size in sizes:
        lock = folder / f"{size}.txt"
        if lock.exists():
            continue
        asked = folder / f"{size}.in"
        asked.write_text("\n".join(ENVIRONMENTS[size][0]) + "\n")
        pins = [
            "--generate-hashes",
            "--only-binary",
            ":all:",
            "--no-header",
            "--no-annotate",
            "--default-index",
            index,
        ]
        run([uv, "pip", "compile", "-q", *pins, "--python", BASE, asked, "-o", f"{lock}.new"], env)
        pip = [BASE, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder / "wheels"]
        run([*pip, "-r", f"{lock}.new"], env)
        Path(f"{lock}.new").rename(lock)


@contextlib.contextmanager
def process(*words: str | Path, env: dict[str, str], port: int) -> Iterator[int]:
    """Run a server until the end of the context; it answers on its port when the context begins."""
    import socket

    running = subprocess.Popen(list(map(str, words)), env=env, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if running.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{words[1]} does not answer")
            time.sleep(0.05)
        yield port
    finally:
        running.terminate()
        running.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", default="small,medium", help="of small,medium,large (small,medium)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)} (all)")
    parser.add_argument("--runs", type=int, default=5, help="how often each is run (5)")
    parser.add_argument("--fast", action="store_true", help="leave out pip and uv --compile-bytecode")
    parser.add_argument("--mirror", type=Path, help="a folder for the wheels, kept (a temporary one)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where tables and pictures go")
    parser.add_argument("--scratch", type=Path, help="where the environments are made (the temporary folder)")
    options = parser.parse_args()
    uv = find_uv()
    if uv is None:
        print("error: uv was not found\nhint: put it on PATH, or name it with VENVERY_TEST_UV", file=sys.stderr)
        return 2
    sizes, parts = options.sizes.split(","), options.parts.split(",")
    if not set(sizes) <= set(ENVIRONMENTS) or not set(parts) <= set(PARTS):
        parser.error("there is no such size or part")
    options.results.mkdir(parents=True, exist_ok=True)
    # hardlinks work within one file system only: everything lies in one scratch folder
    scratch = Path(tempfile.mkdtemp(prefix="deliver-", dir=options.scratch))
    try:
        text = compare(scratch, options.mirror or scratch / "mirror", uv, sizes, parts, options)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    return 0


def compare(
    scratch: Path, mirror: Path, uv: Path, sizes: list[str], parts: list[str], options: argparse.Namespace
) -> str:
    """Measure what is asked for; give the report."""
    fill_mirror(mirror, uv, sizes)
    env = clean_environment(scratch / "home")
    pyz = scratch / "venvery.pyz"
    pyz.write_bytes(pack())
    sections = [_preface(uv, options)]
    index_port = closed_port()
    with contextlib.ExitStack() as stack:
        folder = mirror / "wheels"
        stack.enter_context(
            process(sys.executable, HERE / "mirror.py", folder, str(index_port), env=env, port=index_port)
        )
        index = f"http://127.0.0.1:{index_port}/simple/"
        command = Venvery(scratch, index_url=index)
        server = stack.enter_context(command.serve("--data", scratch / "server-data"))
        ports = {}
        for name, target in (("index", index_port), ("server", server.port)):
            ports[name] = closed_port()
            words = (sys.executable, HERE / "link.py", str(ports[name]), str(target))
            stack.enter_context(process(*words, env=env, port=ports[name]))
        labs = []
        for size in sizes:
            lock, pylock = mirror / f"{size}.txt", scratch / f"pylock.{size}.toml"
            words = ["resolve", "--server", server.url, "-r", str(lock), "--format", "pylock", "-o", str(pylock)]
            run(command.command(*words), command.env, scratch)
            code = ENVIRONMENTS[size][1]
            labs.append(Lab(size, scratch, env, uv, pyz, index, server.url, lock, pylock, code))
        for part in parts:
            for section in run_part(part, labs, ports, options):
                sections.append(section)  # written as it comes: what was measured is not lost with what was not
                (options.results / "deliver.md").write_text("\n".join(sections), encoding="utf-8")
    return "\n".join(sections)


def run_part(part: str, labs: Sequence[Lab], ports: dict[str, int], options: argparse.Namespace) -> Iterator[str]:
    """Measure one part for all sizes; give its section of the report."""
    titles = {
        "first-import": "Until the first import, beyond that import with everything in place",
        "install": "Installing alone, without bytecode on both sides",
        "store": "With what the machine has seen before",
        "link": "Until the first import, through a link of 50 ms and 200 Mbit/s, counted as above",
        "server": "The server alone",
    }
    yield f"## {titles[part]}\n"
    if part == "server":
        yield "| | layers | MB | first byte, ms: fastest | median | GB/s |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: |"
        for lab in labs:
            yield server_figures(lab).rstrip()
        yield ""
        return
    for lab in labs:
        if part in ("first-import", "link"):
            there = lab.through(ports) if part == "link" else lab
            found = first_import(there, slow=part != "link" and not options.fast)
        else:
            found = install(lab) if part == "install" else from_store(lab)
        measured = measure(found, options.runs, lab.scratch, keep=False)
        if part in ("first-import", "link"):
            alone = measured[0].median
            measured = excess(measured)
            yield f"The import alone takes {alone:.2f} s.\n"
        yield table(measured, lab.size)
        name = f"deliver_{part.replace('-', '_')}_{lab.size}.svg"
        words = f"medians of {options.runs} interleaved runs; {machine()}"
        picture(options.results / name, f"{lab.size}: {titles[part]}", words, measured)
        yield f"![The same as bars]({name})\n"


def _preface(uv: Path, options: argparse.Namespace) -> str:
    says = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    where = "memory (tmpfs)" if options.scratch and str(options.scratch).startswith("/dev/shm") else "the disk"
    named = "; ".join(f"{name}: {', '.join(asked)}" for name, (asked, _) in ENVIRONMENTS.items())
    return (
        "# From a lock to a ready environment\n\n"
        f"{named}.\nMedians of {options.runs} interleaved runs, {datetime.now(UTC):%Y-%m-%d}, {machine()}, {says}."
        f" Environments, caches and stores on {where}. Index and server are on the same machine and take their"
        " share of the cores; all contestants fetch the same wheels, or what is made of them, over loopback.\n"
    )


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
