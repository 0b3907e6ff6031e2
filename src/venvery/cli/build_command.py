"""`venvery build`: sends a project's folder or a source distribution, and gets the wheel."""

from __future__ import annotations

import asyncio
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from venvery.cli.console import say
from venvery.cli.settings import configuration_of, server_of
from venvery.errors import BadInput, BuildFailed

if TYPE_CHECKING:
    import argparse

    from venvery.services.house import House

__all__ = ["pack_project", "run"]

_LEFT_OUT = frozenset({
    "__pycache__", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    "node_modules", ".hg", ".svn", ".idea", ".vscode", ".eggs", "dist", "build",
})  # fmt: skip
"""Folders that no build needs; `.git` stays, for back ends that ask it for the version."""


def run(arguments: argparse.Namespace) -> int:
    """Build, and write the wheel into a folder. Raises `BuildFailed`, `BuildRefused`, `ClientError`."""
    source = Path(arguments.source)
    target = {name: value for name in ("python", "platform") if (value := getattr(arguments, name))}
    settings = _settings(arguments.config_setting)
    with tempfile.TemporaryFile() as packed:
        filename = _pack(source, packed)
        packed.seek(0)
        server = server_of(arguments)
        if server is not None:
            made = _on_server(server, filename, packed, target, settings, Path(arguments.out))
        else:
            made = _here(arguments, filename, packed, target, settings, Path(arguments.out))
    if arguments.json:
        print(json.dumps({"wheel": str(made)}))
    else:
        print(made)
    return 0


def pack_project(folder: Path, out: BinaryIO) -> str:
    """Pack a project's folder as a source that can be built; gives its name."""
    if not ((folder / "pyproject.toml").is_file() or (folder / "setup.py").is_file()):
        raise BadInput(f"{folder} has neither a pyproject.toml nor a setup.py")

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        name = Path(member.name).name
        skipped = name in _LEFT_OUT and not (member.isfile() or (name in ("dist", "build") and "/" in member.name))
        return None if skipped or not (member.isfile() or member.isdir() or member.issym()) else member

    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, f"project/{path.name}", filter=lambda member: chosen(member))
    return f"{folder.resolve().name or 'project'}.tar.gz"


def _pack(source: Path, out: BinaryIO) -> str:
    try:
        if source.is_dir():
            return pack_project(source, out)
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                out.write(piece)
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror or error}") from None
    return source.name


def _settings(given: list[str]) -> dict[str, Any]:
    """Read `KEY=VALUE`, several times the same key as a list, as pip and build do."""
    settings: dict[str, Any] = {}
    for item in given:
        key, _, value = item.partition("=")
        before = settings.get(key)
        if before is None:
            settings[key] = value
        else:
            settings[key] = [*(before if isinstance(before, list) else [before]), value]
    return settings


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(1 << 20), b"")


def _on_server(
    server: str, filename: str, packed: BinaryIO, target: dict[str, str], settings: dict[str, Any], out: Path
) -> Path:
    from venvery.cli.asking_server import ask_server

    params = {"filename": filename, "config_settings": json.dumps(settings), **target}
    headers = {"Content-Type": "application/octet-stream"}
    job = ask_server(server, "POST", "/v1/builds", content=_pieces(packed), params=params, headers=headers).json()
    told = ""
    while True:
        doing = job.get("phase") or job["state"]
        if doing != told:
            say(f"{job['title']}: {doing}")
            told = doing
        if job["state"] not in ("queued", "running"):
            break
        job = ask_server(server, "GET", f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=1"}).json()
    if job["state"] != "done":
        log = ask_server(server, "GET", f"/v1/jobs/{job['id']}/log").text
        where = f"{server}/v1/jobs/{job['id']}/log"
        raise _failed(job, log, log_url=where)
    wheel = ask_server(server, "GET", f"/v1/jobs/{job['id']}/wheel").content
    return _write(out, job["result"]["wheel"]["filename"], wheel)


def _here(
    arguments: argparse.Namespace,
    filename: str,
    packed: BinaryIO,
    target: dict[str, str],
    settings: dict[str, Any],
    out: Path,
) -> Path:
    from venvery.cli.build_lines import follow
    from venvery.cli.embedded import in_house
    from venvery.model.targets import target_from_json

    async def build(house: House) -> Path:
        with house.incoming_source() as incoming:
            for piece in _pieces(packed):
                incoming.write(piece)
            stored = incoming.commit()
        defaults = house.defaults
        wanted = target_from_json(target, default_platform=defaults.platform, default_python=defaults.python)
        job = await house.submit_source(stored, filename, wanted, settings)
        follow(house)(job)
        job = await house.builds.ended(job.id)
        told = house.jobs.describe(job)
        if job.state != "done":
            raise _failed(told, house.jobs.log(job.id))
        name, file, _size = house.jobs.wheel(job.id)
        with file:
            return await asyncio.to_thread(_write, out, name, file.read())

    return in_house(configuration_of(arguments), build)


def _failed(job: dict[str, Any], log: str, **evidence: Any) -> BuildFailed:
    said = f"{job['title']}: it failed: {job.get('reason')}"
    return BuildFailed(said, hint=job.get("hint"), job=job["id"], log=log, **evidence)


def _write(out: Path, name: str, data: bytes) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        fresh = out / f".{name}.{os.getpid()}"
        fresh.write_bytes(data)
        return fresh.replace(out / Path(name).name)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}") from None
