"""Times the way from a lock to an environment: beside uv, pip, `curl | tar` and the physical floor.

    python benchmarks/deliver.py --mirror DIR --scratch /dev/shm
    python benchmarks/deliver.py --parts first-import,link --sizes small --runs 7

Needs uv, and once the index that pip on this machine is configured for: the wheels are fetched into `--mirror`
and served from there on loopback, to every contestant alike. Parts: `first-import` (until the first import has
run, less what that import takes when everything is in place), `fuzzy` (the same from requirements), `install`
(installing alone, without bytecode), `store` (with a local layer store, beside `cp -al`), `link` (as first-import,
through 50 ms and 200 Mbit/s), `server` (first byte, bytes per second beside nginx, memory).

What is measured goes to `results/deliver.json`, part by part, and the report is written anew from all of it: so a
part can be measured again by itself.
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
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from chart import Bar, bar_chart  # noqa: E402
from delivery_ways import (  # noqa: E402
    ENVIRONMENTS,
    PYTHON,
    Lab,
    fill_mirror,
    first_import,
    from_store,
    fuzzy,
    install,
    process,
)
from sending import (  # noqa: E402
    download,
    find_nginx,
    key_of,
    memory_under_downloads,
    nginx,
    post_first_byte,
)
from tests.support.index_server import closed_port  # noqa: E402
from tests.support.machine import find_uv  # noqa: E402
from tests.support.running import Venvery, clean_environment  # noqa: E402
from timing import machine, measure, run  # noqa: E402

from venvery.client.pack import pack  # noqa: E402

TITLES = {
    "first-import": "Bare machine, lock known: until the first import, beyond that import with all in place",
    "fuzzy": "Bare machine, from requirements, warm server: until the first import, counted as above",
    "install": "Installing alone",
    "store": "With what the machine has seen before",
    "link": "Until the first import, through a link of 50 ms and 200 Mbit/s, counted as above",
    "server": "The server alone",
}
BEYOND = ("first-import", "fuzzy", "link")
"""Parts in which the import alone is taken off."""
GOALS = (
    ("first-import", "uv pip sync, cold cache", "venvery sync", 6.0),
    ("first-import", "uv pip sync, warm cache", "venvery sync", 5.0),
    ("first-import", "uv pip sync --compile-bytecode, cold cache", "venvery sync", 10.0),
    ("first-import", "python -m venv && pip install", "venvery sync", 10.0),
    ("fuzzy", "uv pip install -r, cold cache", "venvery sync -r", 6.0),
    ("install", "uv pip sync, cold cache", "venvery sync --no-bytecode", 2.0),
    ("store", "uv pip sync, warm cache", "venvery sync, 90 % in the store, without bytecode", 1.0),
    ("store", "the floor: cp -al", "venvery sync, 100 % in the store", 1 / 1.2),
)
"""Part, the other, ours, and how many times as long the other is to take."""

Results = dict[str, dict[str, Any]]
"""Part → size → {"seconds": {contestant: [s]}, "ours": [contestant], "about": text}, and further for `server`."""


def measure_part(part: str, lab: Lab, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a part for one environment."""
    makers = {"first-import": first_import, "link": first_import, "fuzzy": fuzzy, "install": install}
    found = makers.get(part, from_store)(lab)
    if options.fast:
        found = [one for one in found if one.rounds > options.runs]
    before = os.getloadavg()[0]
    measured = measure(found, options.runs, lab.scratch, keep=False)
    return {
        "seconds": {one.contestant.name: one.seconds for one in measured},
        "processor": {one.contestant.name: one.processor for one in measured},
        "ours": [one.contestant.name for one in measured if one.contestant.ours],
        "about": f"{options.runs} rounds, {_now()}, load {before:.1f} before and {os.getloadavg()[0]:.1f} after",
    }


def measure_server(lab: Lab, pid: int, scratch: Path, runs: int) -> dict[str, Any]:
    """Measure the server as a sender."""
    before = os.getloadavg()[0]
    key, layers = key_of(lab.server, lab.pylock.read_text(), PYTHON)
    url = f"{lab.server}/v1/environments/{key}.tar.zst?prefix=/srv/env"
    post_first_byte(lab.server, lab.pylock.read_text(), PYTHON, 3)
    posts = post_first_byte(lab.server, lab.pylock.read_text(), PYTHON, runs * 4)
    ours, theirs = [], []
    program = find_nginx()
    with contextlib.ExitStack() as stack:
        other = None
        if program is not None:
            port = closed_port()
            folder = Path(tempfile.mkdtemp(dir=scratch))
            root = stack.enter_context(nginx(program, folder, port))
            run(["curl", "-sSf", "-o", root / "env.tar.zst", url], lab.env)
            other = f"http://127.0.0.1:{port}/env.tar.zst"
        for _ in range(runs * 4):
            ours.append(download(url))
            if other is not None:
                theirs.append(download(other))
    memory = memory_under_downloads(pid, url, 50, 12)
    return {
        "layers": layers,
        "megabytes": ours[0].size / 1e6,
        "post": posts,
        "get": [one.first_byte for one in ours],
        "rate": [one.size / one.seconds / 1e9 for one in ours],
        "nginx": [one.size / one.seconds / 1e9 for one in theirs],
        "memory": memory,
        "about": f"{runs * 4} downloads, {_now()}, load {before:.1f} before and {os.getloadavg()[0]:.1f} after",
    }


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M}"


# The report


def medians(part: str, found: dict[str, Any], what: str = "seconds") -> dict[str, tuple[float, float, float]]:
    """Give median, least and most of each contestant, beyond the import alone where that is taken off.

    It is taken off round by round: on a busy machine a slow minute is slow for both.
    """
    measured: dict[str, list[float]] = dict(found[what])
    if part in BEYOND:
        alone = measured.pop("import alone, all in place")
        measured = {
            name: [max(0.0, value - own) for value, own in zip(values, alone, strict=False)]
            for name, values in measured.items()
        }
    return {name: (median(values), min(values), max(values)) for name, values in measured.items()}


def table(part: str, size: str, found: dict[str, Any]) -> str:
    """Write a Markdown table: seconds, and how many times as long each takes as the first of ours."""
    rows, used = medians(part, found), medians(part, found, "processor")
    first = rows[found["ours"][0]][0]
    lines = [f"| {size} | median, s | fastest | slowest | beside the first of ours | processor, s |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (middle, low, high) in rows.items():
        bold = "**" if name in found["ours"] else ""
        times = f"{middle / first:.1f}×" if name != found["ours"][0] and first else ""
        shown = name.replace("|", "\\|")
        times_and_work = f"{times} | {used[name][0]:.2f}"
        lines.append(f"| {shown} | {bold}{middle:.2f}{bold} | {low:.2f} | {high:.2f} | {times_and_work} |")
    note = f"{found['about']}."
    if part in BEYOND:
        note += f" The import alone takes {median(found['seconds']['import alone, all in place']):.2f} s."
    return "\n".join([*lines, "", note, ""])


def goals(results: Results) -> str:
    """Write what was aimed at beside what was reached."""
    lines = ["| | against | aimed at | reached | in processor time |", "| --- | --- | ---: | ---: | ---: |"]
    for part, other, ours, aim in GOALS:
        for size, found in results.get(part, {}).items():
            rows = medians(part, found)
            if other in rows and ours in rows and rows[ours][0]:
                ratio = rows[other][0] / rows[ours][0]
                used = medians(part, found, "processor")
                work = used[other][0] / (used[ours][0] or 1e-3)
                mark = "✓" if ratio >= aim else "✗"
                shown = other.replace("|", "\\|")
                lines.append(f"| {size}: {ours} | {shown} | {aim:.2g}× | {ratio:.2g}× {mark} | {work:.2g}× |")
    for size, found in results.get("server", {}).items():
        post, get = (median(found[name]) * 1000 for name in ("post", "get"))
        lines.append(
            f"| {size}: first byte, {found['layers']} layers | – | 5 ms | {post:.1f}, by key {get:.1f} ms |"
        )
        if found["nginx"]:
            ratio = median(found["rate"]) / median(found["nginx"])
            mark = "✓" if ratio >= 1 else "✗"
            lines.append(f"| {size}: bytes per second | nginx | 1× | {ratio:.2g}× {mark} | |")
    return "\n".join([*lines, ""])


def server_section(results: Results) -> str:
    """Write what the server does as a sender."""
    lines = ["| | layers | MB | first byte of a POST, ms | of a GET | GB/s | nginx, GB/s |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    told = []
    for size, found in results["server"].items():
        post, get = (
            f"{median(found[name]) * 1000:.1f} (best {min(found[name]) * 1000:.1f})" for name in ("post", "get")
        )
        rates = [
            f"{median(found[name]):.2f} (best {max(found[name]):.2f})" if found[name] else "–"
            for name in ("rate", "nginx")
        ]
        row = [size, str(found["layers"]), f"{found['megabytes']:.0f}", post, get, *rates]
        lines.append(f"| {' | '.join(row)} |")
        steps = ", ".join(f"{second:.0f} s: {megabytes:.0f}" for second, megabytes in found["memory"])
        told.append(
            f"{size}: {found['about']}. Resident MB with 50 slow downloads at once, over and over: {steps}.\n"
        )
    return "\n".join([*lines, "", *told])


def report(results: Results, folder: Path, preface: str) -> str:
    """Write the report from all that was measured, and its pictures."""
    parts = [preface, "## Aims\n", goals(results)]
    for part, title in TITLES.items():
        if part not in results:
            continue
        parts.append(f"## {title}\n")
        if part == "server":
            parts.append(server_section(results))
            continue
        for size, found in results[part].items():
            parts.append(table(part, size, found))
            name = f"deliver_{part.replace('-', '_')}_{size}.svg"
            bars = [
                Bar(who, middle, low, high, who in found["ours"])
                for who, (middle, low, high) in medians(part, found).items()
            ]
            words = f"medians; {machine()}; {found['about']}"
            (folder / name).write_text(bar_chart(f"{size}: {title}", words, bars), encoding="utf-8")
            parts.append(f"![The same as bars]({name})\n")
    return "\n".join(parts)


def _preface(uv: Path, options: argparse.Namespace) -> str:
    says = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    where = (
        "memory (tmpfs)"
        if options.scratch and str(options.scratch).startswith("/dev/shm")
        else "files on the disk"
    )
    named = "; ".join(f"{name}: {', '.join(asked)}" for name, (asked, _) in ENVIRONMENTS.items())
    return (
        "# From a lock to a ready environment\n\n"
        f"{named}.\nMedians of interleaved runs, {machine()}, {says}. Environments, caches and stores in {where}."
        " Index and server are on the same machine and take their share of the cores; all contestants fetch the"
        " same wheels, or what is made of them, over loopback. Compare numbers of one table with each other only:"
        " the tables were measured one after the other, at the loads that they name.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", default="small,medium,large", help="of small,medium,large (all)")
    parser.add_argument("--parts", default=",".join(TITLES), help=f"of {','.join(TITLES)} (all)")
    parser.add_argument("--runs", type=int, default=5, help="how many rounds (5)")
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
    if not set(sizes) <= set(ENVIRONMENTS) or not set(parts) <= set(TITLES):
        parser.error("there is no such size or part")
    options.results.mkdir(parents=True, exist_ok=True)
    # hardlinks work within one file system only: everything lies in one scratch folder
    scratch = Path(tempfile.mkdtemp(prefix="deliver-", dir=options.scratch))
    try:
        compare(scratch, options.mirror or scratch / "mirror", uv, sizes, parts, options)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def compare(
    scratch: Path, mirror: Path, uv: Path, sizes: Sequence[str], parts: Sequence[str], options: argparse.Namespace
) -> None:
    """Measure what is asked for; the report is written as it comes: what was measured is not lost."""
    fill_mirror(mirror, uv, sizes)
    env = clean_environment(scratch / "home")
    pyz = scratch / "venvery.pyz"
    pyz.write_bytes(pack())
    kept = options.results / "deliver.json"
    results: Results = json.loads(kept.read_text()) if kept.exists() else {}
    with contextlib.ExitStack() as stack:
        ports = {"index": closed_port()}
        words = (sys.executable, HERE / "mirror.py", mirror / "wheels", str(ports["index"]))
        stack.enter_context(process(*words, env=env, port=ports["index"]))
        index = f"http://127.0.0.1:{ports['index']}/simple/"
        command = Venvery(scratch, index_url=index)
        server = stack.enter_context(command.serve("--data", scratch / "server-data"))
        behind = {}
        for name, target in (("index", ports["index"]), ("server", server.port)):
            behind[name] = closed_port()
            words = (sys.executable, HERE / "link.py", str(behind[name]), str(target))
            stack.enter_context(process(*words, env=env, port=behind[name]))
        labs = []
        for size in sizes:
            lock, pylock = mirror / f"{size}.txt", scratch / f"pylock.{size}.toml"
            ask = ["resolve", "--server", server.url, "-r", str(lock), "--format", "pylock", "-o", str(pylock)]
            run(command.command(*ask), command.env, scratch)
            code = ENVIRONMENTS[size][1]
            asked = mirror / f"{size}.in"
            labs.append(Lab(size, scratch, env, uv, pyz, index, server.url, lock, pylock, asked, code))
        for part in parts:
            for lab in labs:
                there = lab.through(behind) if part == "link" else lab
                if part == "server":
                    found = measure_server(there, server.process.pid, scratch, options.runs)
                else:
                    found = measure_part(part, there, options)
                results.setdefault(part, {})[lab.size] = found
                kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                text = report(results, options.results, _preface(uv, options))
                (options.results / "deliver.md").write_text(text, encoding="utf-8")
                print(f"{part}, {lab.size}: done", file=sys.stderr)


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
