"""Measures the server as a sender: first byte, bytes per second beside nginx, memory under many downloads."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Sent", "download", "find_nginx", "key_of", "memory_under_downloads", "nginx", "post_first_byte"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One download."""

    first_byte: float
    """Seconds."""
    seconds: float
    size: int


def key_of(server: str, pylock: str, python: str) -> tuple[str, int]:
    """Give the key of a lock's environment, and how many layers it has."""
    body = json.dumps({"pylock": pylock, "target": {"python": python}}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{server}/v1/environments", body, headers)) as answer:
        manifest = json.load(answer)
    return manifest["key"], len(manifest["layers"])


def download(url: str, *, post: bytes | None = None, pause: float = 0) -> Sent:
    """Download as fast as a program can that only counts, or with a pause after each piece."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    head = (
        f"{'GET' if post is None else 'POST'} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
    )
    if post is not None:
        kinds = "Content-Type: application/json\r\nAccept: application/x-tar+zstd\r\n"
        head += f"{kinds}Content-Length: {len(post)}\r\n"
    room = memoryview(bytearray(1 << 20))
    started = time.perf_counter()
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head.encode() + b"\r\n" + (post or b""))
        size = count = connection.recv_into(room)
        first = time.perf_counter() - started
        while count:
            count = connection.recv_into(room)
            size += count
            if pause:
                time.sleep(pause)
    return Sent(first, time.perf_counter() - started, size)


def post_first_byte(server: str, pylock: str, python: str, runs: int) -> list[float]:
    """Time, in seconds, from a request with the lock until the first byte of the archive."""
    body = {"pylock": pylock, "target": {"python": python}, "prefix": "/srv/env"}
    encoded = json.dumps(body).encode()
    return [download(f"{server}/v1/environments", post=encoded).first_byte for _ in range(runs)]


def find_nginx() -> str | None:
    """Find nginx on PATH or where distributions put it."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def nginx(program: str, folder: Path, port: int) -> Iterator[Path]:
    """Run nginx with one process and `sendfile`; what is put into the folder that is given is served."""
    root = folder / "www"
    root.mkdir(parents=True)
    own = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {folder / name};" for name in own)
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else it gives up the right to read our folder
    configuration.write_text(
        f"{user} daemon off; worker_processes 1; events {{}}\n"
        f"pid {folder / 'pid'}; error_log {folder / 'error.log'};\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    running = subprocess.Popen([program, "-c", configuration, "-p", folder], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield root
    finally:
        running.terminate()
        running.wait(10)


def memory_under_downloads(pid: int, url: str, clients: int, seconds: float) -> list[tuple[float, float]]:
    """Have so many clients download again and again, slowly; give (second, resident MB of the server)."""
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                download(url, pause=0.01)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    began = time.monotonic()
    seen = [(0.0, _resident(pid))]
    for thread in threads:
        thread.start()
    while time.monotonic() - began < seconds:
        time.sleep(seconds / 8)
        seen.append((time.monotonic() - began, _resident(pid)))
    over.set()
    for thread in threads:
        thread.join(60)
    seen.append((time.monotonic() - began, _resident(pid)))
    return seen


def _resident(pid: int) -> float:
    """Give a process's resident memory, in MB, with that of its children (Linux)."""
    total = 0.0
    for name in [str(pid), *_children(pid)]:
        with contextlib.suppress(OSError):
            line = next(
                line for line in Path(f"/proc/{name}/status").read_text().splitlines() if line.startswith("VmRSS")
            )
            total += int(line.split()[1]) / 1000
    return total


def _children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []
