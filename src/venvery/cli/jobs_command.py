"""`venvery jobs`: what is built, was built and failed; logs; cancel and retry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from venvery.cli.settings import configuration_of, server_of

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """List jobs, or look at one. Raises `NotFound`, `BadInput`, `ClientError`."""
    from venvery.errors import BadInput

    if arguments.action == "list":
        listed = _ask(arguments, "GET", "/v1/jobs")["jobs"]
        if arguments.json:
            print(json.dumps(listed, indent=2))
        else:
            for job in listed:
                print(f"{job['id']}  {_when(job['created_at'])}  {job['state']:<9}  {job['title']}")
        return 0
    if not arguments.job:
        raise BadInput("which job?", hint=f"venvery jobs {arguments.action} ID; venvery jobs lists them")
    if arguments.action == "log":
        print(_ask(arguments, "GET", f"/v1/jobs/{arguments.job}/log"), end="")
        return 0
    action = "" if arguments.action == "show" else f"/{arguments.action}"
    job = _ask(arguments, "POST" if action else "GET", f"/v1/jobs/{arguments.job}{action}")
    if arguments.json:
        print(json.dumps(job, indent=2))
    else:
        _show(job)
    return 0


def _show(job: dict[str, Any]) -> None:
    for name in ("id", "title", "state", "phase", "attempt", "target", "worker", "reason", "hint"):
        if job.get(name) is not None:
            print(f"{name + ':':<9} {job[name]}")
    made = (job.get("result") or {}).get("wheel")
    if made:
        print(f"{'wheel:':<9} {made['filename']} (sha256 {made['sha256']})")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _ask(arguments: argparse.Namespace, method: str, path: str) -> Any:
    """Ask the server, or the local data folder in its words."""
    server = server_of(arguments)
    if server is not None:
        from venvery.cli.asking_server import ask_server

        answer = ask_server(server, method, path)
        return answer.text if path.endswith("/log") else answer.json()
    return _ask_here(arguments, path)


def _ask_here(arguments: argparse.Namespace, path: str) -> Any:
    from venvery.services.build_requests import JobDesk
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database

    configuration = configuration_of(arguments)
    with Database.open(configuration.database_at) as database:
        desk = JobDesk(database, Blobs.open_folder(configuration.data / "blobs"))
        parts = path.split("/")[3:]
        if not parts:
            return {"jobs": [job.to_json() for job in desk.newest(100)]}
        if parts[1:] == ["log"]:
            return desk.log(parts[0])
        act = {"cancel": desk.cancel, "retry": desk.retry}.get(parts[1] if parts[1:] else "", desk.get)
        return desk.describe(act(parts[0]))
