"""The ways from a lock to an environment that `deliver.py` times, and what they need: wheels, servers, links."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tests.support.public_index import configured_index  # noqa: E402
from tests.support.running import clean_environment  # noqa: E402
from timing import Contestant, run  # noqa: E402

from venvery.client.interpreter import this_interpreter  # noqa: E402

__all__ = [
    "BASE",
    "ENVIRONMENTS",
    "PYTHON",
    "Lab",
    "fill_mirror",
    "first_import",
    "from_store",
    "fuzzy",
    "install",
]

BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SLOW = 2
"""Rounds in which pip and uv --compile-bytecode take part."""
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
    asked: Path
    """requirements.txt as a person writes it."""
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

    def by_venvery(self, *options: str, store: Path | None = None, pyz: bool = False, fuzzy: bool = False) -> Job:
        """Make it with `venvery sync`, installed or as the single file; from the lock, or from what was asked."""
        words = [BASE, "-I", self.pyz] if pyz else [Path(sys.executable).parent / "venvery"]

        def job(folder: Path) -> None:
            env = self.env | {"VENVERY_CACHE_DIR": str(store or folder / "cache")}
            more = ["--server", self.server, "--python", BASE, *options]
            what = ["-r", self.asked] if fuzzy else [self.pylock]
            run([*words, "sync", *more, *what, folder / "env"], env, folder)

        return job

    def by_curl(self) -> Job:
        """Make it with curl and tar."""

        def job(folder: Path) -> None:
            (folder / "env").mkdir()
            here = f"python={this_interpreter().version}&platform={this_interpreter().platform}"
            url = f"{self.server}/v1/environments?{here}&prefix={folder}/env"
            line = (
                f"curl -sSf --data-binary @{self.lock} -H 'Accept: application/x-tar+zstd' '{url}'"
                " | tar --zstd -x -C env"
            )
            run(["bash", "-o", "pipefail", "-c", line], self.env, folder)

        return job

    def by_uv(self, *options: str, cache: Path | None = None, fuzzy: bool = False) -> Job:
        """Make it with `uv venv` and `uv pip sync`, or `uv pip install` from what was asked."""

        def job(folder: Path) -> None:
            env = self.env | {"UV_CACHE_DIR": str(cache or folder / "cache"), "VIRTUAL_ENV": str(folder / "env")}
            run([self.uv, "venv", "-q", "--python", BASE, folder / "env"], env, folder)
            index = ("--default-index", self.index)
            what = ("install", "-q", "-r", self.asked) if fuzzy else ("sync", "-q", self.lock)
            run([self.uv, "pip", *what, *index, *options], env, folder)

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
        found.append(Contestant("uv pip sync --compile-bytecode, cold cache", compiling, rounds=SLOW))
        found.append(Contestant("python -m venv && pip install", lab.then_use(lab.by_pip()), rounds=SLOW))
    return found


def fuzzy(lab: Lab) -> list[Contestant]:
    """Bare machine, from what a person writes, against a server that is warm, until the first import has run."""
    ready = lab.once(lab.then_use(lab.by_venvery(fuzzy=True)))
    return [
        Contestant("import alone, all in place", lambda folder: lab.use(ready)),
        Contestant("venvery sync -r", lab.then_use(lab.by_venvery(fuzzy=True)), ours=True),
        Contestant("venvery.pyz sync -r", lab.then_use(lab.by_venvery(pyz=True, fuzzy=True)), ours=True),
        Contestant("uv pip install -r, cold cache", lab.then_use(lab.by_uv(fuzzy=True))),
    ]


def install(lab: Lab) -> list[Contestant]:
    """Installing alone, without bytecode on both sides, and what it takes to write the same files from memory."""
    warm = lab.warmed(lambda cache: lab.by_uv(cache=cache), "uv")
    bare, whole = lab.once(lab.by_venvery("--no-bytecode")), lab.once(lab.by_venvery())
    for ready in (bare, whole):
        run(["tar", "--format=ustar", "-cf", ready / "env.tar", "-C", ready, "env"], lab.env)
    compressed = bare / "env.tar.zst"
    run(["bash", "-c", f"zstd -q -3 {bare}/env.tar -o {compressed}"], lab.env)
    found = [
        Contestant("venvery sync --no-bytecode", lab.by_venvery("--no-bytecode"), ours=True),
        Contestant("the same, --no-store too", lab.by_venvery("--no-bytecode", "--no-store"), ours=True),
        Contestant("venvery.pyz sync --no-bytecode", lab.by_venvery("--no-bytecode", pyz=True), ours=True),
        Contestant("venvery sync, with bytecode", lab.by_venvery(), ours=True),
        Contestant("uv pip sync, cold cache", lab.by_uv()),
        Contestant("uv pip sync, warm cache", lab.by_uv(cache=warm)),
        Contestant(
            "GNU tar --zstd, a local file", lambda folder: run(["tar", "-xf", compressed], lab.env, folder)
        ),
    ]
    floor = _floor(lab)
    if floor is not None:
        for name, ready in (("without", bare), ("with", whole)):
            archive = ready / "env.tar"
            found.append(
                Contestant(
                    f"the floor: 2 processes in C, from memory, {name} bytecode",
                    lambda folder, archive=archive: run([floor, archive, folder / "out", "2"], lab.env),
                )
            )
    return found


def _floor(lab: Lab) -> Path | None:
    """Compile the program that writes files as fast as can be; None without a compiler."""
    program = lab.scratch / "floor"
    if not program.exists() and shutil.which("cc") is not None:
        run(["cc", "-O2", "-o", program, HERE / "floor.c"], lab.env)
    return program if program.exists() else None


def from_store(lab: Lab) -> list[Contestant]:
    """With a local layer store, all of it or nine tenths there."""
    warm = lab.warmed(lambda cache: lab.by_uv(cache=cache), "uv")
    store = lab.warmed(lambda cache: lab.by_venvery(store=cache), "store")
    bare = lab.warmed(lambda cache: lab.by_venvery("--no-bytecode", store=cache), "bare-store")
    ready = lab.once(lab.by_venvery(store=store)) / "env"
    plain = lab.once(lab.by_venvery("--no-bytecode", store=bare)) / "env"
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
        Contestant(
            "the floor: cp -al, without bytecode",
            lambda folder: run(["cp", "-al", plain, folder / "env"], lab.env),
        ),
    ]


def _most_of(store: Path, to: Path) -> None:
    """Copy a store but for a tenth of its layers."""
    shutil.copytree(store, to, symlinks=True, copy_function=os.link)
    layers = sorted((to / "store-2/layers").iterdir())
    for layer in layers[:: 10 if len(layers) >= 10 else len(layers)]:
        shutil.rmtree(layer)


# Mirror and servers


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
