"""Looks at results as a user would: runs the environment, reads its records, reads what was said."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.running import Result, clean_environment
from tests.support.wheels import normalize

__all__ = [
    "HERE_PYTHON",
    "SIGNED",
    "TINY",
    "Answer",
    "asks",
    "check_environment",
    "curl",
    "installed",
    "members",
    "pip_agrees",
    "refuses",
    "run_python",
    "strays",
]

HERE_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"

TINY = {
    "django": "5.2",
    "asgiref": "3.8.1",
    "sqlparse": "0.5.3",
    "requests": "2.32.3",
    "urllib3": "2.2.0",
    "idna": "3.7",
    "certifi": "2024.7.4",
    "charset-normalizer": "3.3.2",
}
"""The one right answer to `django>=1.8` and `requests>=2.7` in the tiny world, on Linux."""


SIGNED = (".venvery/provenance.json", ".venvery/keys.json")
"""What each server signs with a key of its own; all else is the same bytes from every server."""


def asks(folder: Path, *requirements: str, name: str = "requirements.txt") -> Path:
    """Write a requirements file."""
    path = folder / name
    path.write_text("".join(line + "\n" for line in requirements or ("django>=1.8", "requests>=2.7")))
    return path


def run_python(environment: Path, *args: str, cwd: Path | None = None) -> str:
    """Run the environment's Python and give its output; fails with what it said."""
    done = subprocess.run(
        [str(environment / "bin" / "python"), *args],
        env=clean_environment(environment.parent / "home-of-environment"),
        cwd=cwd or environment.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def installed(environment: Path) -> dict[str, str]:
    """Ask the environment's own Python which distributions it sees."""
    return _ask(environment)[0]


def _ask(environment: Path) -> tuple[dict[str, str], str]:
    """Ask the environment's own Python for its distributions and its prefix."""
    code = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps([{d.metadata['Name']: d.version for d in m.distributions()}, sys.prefix]))"
    )
    # -I: what else lies in the folder or in variables does not count
    found, prefix = json.loads(run_python(environment, "-I", "-c", code))
    return {normalize(name): version for name, version in found.items()}, prefix


def check_environment(environment: Path, expected: Mapping[str, str]) -> None:
    """Insist that the environment holds exactly these distributions, is complete, and runs from where it is."""
    found, prefix = _ask(environment)
    assert found == dict(expected)
    assert prefix == str(environment.absolute())
    site = next(environment.glob("lib/python*/site-packages"))
    recorded: set[Path] = set()
    for record in sorted(site.glob("*.dist-info/RECORD")):
        recorded |= _check_record(site, record)
        assert (record.parent / "INSTALLER").read_text().strip() == "venvery"
    loose = {path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc"} - recorded
    # what belongs to the environment and not to a distribution lies at the top, as virtualenv's own files do
    assert {path for path in loose if path.parent != site} == set()
    for script in (environment / "bin").iterdir():
        assert os.access(script, os.X_OK) or script.name.lower().startswith("activate"), script


def pip_agrees(environment: Path) -> None:
    """Let pip look for missing and conflicting dependencies."""
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "check"]
    done = subprocess.run(
        pip, env=clean_environment(environment.parent / "home-of-pip"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _check_record(site: Path, record: Path) -> set[Path]:
    """Check each line of a RECORD (PEP 376); give the files."""
    files = set()
    for name, digest, size in csv.reader(record.read_text(encoding="utf-8").splitlines()):
        path = Path(os.path.normpath(site / name))
        assert path.is_file(), f"{record.parent.name} records {name}, which is not there"
        files.add(path)
        if digest:
            algorithm, _, value = digest.partition("=")
            actual = base64.urlsafe_b64encode(hashlib.new(algorithm, path.read_bytes()).digest()).rstrip(b"=")
            assert value == actual.decode(), f"{record.parent.name}: {name} is not what RECORD says"
            assert size == "" or int(size) == path.stat().st_size
        else:
            # a launcher is written for each prefix, the layer with this RECORD is the same for all
            launcher = path.parent.name == "bin"
            assert launcher or name.endswith((".pyc", "/RECORD")), f"{record.parent.name}: {name} has no hash"
    return files


def members(archive: bytes, *, but: Collection[str] = ()) -> list[tuple[str, int, bytes]]:
    """Give name, mode and content of each member of a tar, in order, but for the named ones."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = [(member, opened.extractfile(member) if member.isfile() else None) for member in opened]
        return [
            (member.name, member.mode, file.read() if file else member.linkname.encode())
            for member, file in files
            if member.name not in but
        ]


def refuses(result: Result, code: int, *words: str) -> None:
    """Insist on a clear no: the exit code, a short text on stderr that has the words, nothing on stdout."""
    result.check(code)
    assert result.stdout == "", f"data on stdout although it failed\n{result}"
    assert "Traceback" not in result.stderr, str(result)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert lines, f"it said nothing\n{result}"
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, f"one sentence, please\n{result}"
    for word in words:
        assert re.search(word, result.stderr, re.IGNORECASE), f"no {word!r} in what it said\n{result}"


def strays(folder: Path, *, but: tuple[str, ...] = ()) -> list[str]:
    """List what lies in a folder beside what is expected there."""
    return sorted(path.name for path in folder.iterdir() if path.name not in but)


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    def problem(self, status: int, *words: str) -> dict[str, Any]:
        """Insist on problem+json (RFC 9457) with that status and words in its text."""
        assert self.status == status, f"{self.status}\n{self.body.decode(errors='replace')}"
        assert self.headers["content-type"].split(";")[0] == "application/problem+json"
        problem: dict[str, Any] = self.json()
        assert problem["status"] == status
        assert problem["type"]
        assert problem["title"]
        text = json.dumps(problem)
        assert "Traceback" not in text
        for word in words:
            assert re.search(word, text, re.IGNORECASE), f"no {word!r} in {text}"
        return problem


def curl(folder: Path, url: str, *args: str) -> Answer:
    """Ask with curl, as people do from a shell."""
    head, body = folder / "curl.head", folder / "curl.body"
    body.unlink(missing_ok=True)
    done = subprocess.run(
        ["curl", "-sS", "-D", str(head), "-o", str(body), *args, url],
        env=clean_environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"curl: exit {done.returncode}: {done.stderr}"
    # with `Expect: 100-continue` there is a first, empty answer
    last = re.split(r"\r?\n\r?\n", head.read_text(encoding="latin-1").strip())[-1].splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in last[1:])}
    return Answer(int(last[0].split()[1]), headers, body.read_bytes() if body.exists() else b"")
