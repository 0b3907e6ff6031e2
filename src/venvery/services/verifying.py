"""`venvery verify`: is an environment what was signed, and signed by whom?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from venvery.client.errors import ClientError
from venvery.client.interpreter import find_python
from venvery.client.state import read_state
from venvery.environments.bytecode import compile_modules
from venvery.environments.checking import Checked, check_installed
from venvery.environments.dsse import open_envelope, signed_by
from venvery.environments.installed import Installed, read_document
from venvery.environments.provenance import PAYLOAD_TYPE, check_statement
from venvery.errors import VerificationFailed
from venvery.model.targets import Family
from venvery.services.keys import KnownKey, ServerKeys, reachable, read_keys
from venvery.services.known_keys import KnownKeys

__all__ = ["Signature", "Trust", "Verified", "check_files", "check_signature", "find_compiler", "server_of"]

Trust = Literal["pinned", "endorsed", "own", "known", "first use", "nobody"]
"""Why a key is believed: it was given; one that is believed endorses it; it is this machine's own data folder's;
it is known of that server; it is seen for the first time. `nobody`: no key was needed."""

UNKNOWN = "an unknown server"
EMBEDDED = "this machine"
"""What sync writes down in place of a server's URL where there was none."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed an environment, and why that is believed."""

    key: str
    trust: Trust
    server: str


@dataclass(slots=True)
class Verified:
    """What `verify` found."""

    directory: str
    signature: Signature | None = None
    checked: Checked = field(default_factory=Checked)
    rebuilt: int | None = None
    """Layers that were made again from wheels of an index; None: that was not asked for."""
    problems: list[str] = field(default_factory=list)
    """What is wrong beside single files."""
    allow_compiled: bool = False

    @property
    def wrong(self) -> list[Any]:
        """The findings that count."""
        allowed = {"compiled"} if self.allow_compiled else set()
        return [finding for finding in self.checked.findings if finding.kind not in allowed]

    @property
    def fine(self) -> bool:
        """The verdict."""
        return not self.problems and not self.wrong

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        signature = self.signature
        return {
            "directory": self.directory,
            "verified": self.fine,
            "signature": None
            if signature is None
            else {"key": signature.key, "trust": signature.trust, "server": signature.server},
            "layers": self.checked.layers,
            "files": self.checked.files,
            "rebuilt": self.rebuilt,
            "problems": self.problems,
            "findings": [
                {"kind": finding.kind, "path": finding.path, "about": finding.about}
                for finding in self.checked.findings
            ],
            "notes": self.checked.notes,
        }


def server_of(directory: Path) -> str:
    """Tell which server an environment says that it came from."""
    return str((read_state(str(directory)) or {}).get("server") or UNKNOWN)


def check_signature(
    server: str, installed: Installed, pinned: Sequence[str], known: KnownKeys, own: ServerKeys | None
) -> Signature:
    """Verify the signature of an environment's manifest, and decide whether its key is believed.

    `pinned`: only these keys, and those that they endorse, are believed. Else a key is believed that signs on
    this machine's own data folder, or that is known of the server, or when it is the first one of that server:
    then it is written down. Raises `VerificationFailed`.
    """
    encoded = read_document(installed.root, "provenance.json")
    if encoded is None:
        raise VerificationFailed(
            "the environment is not signed: it has no .venvery/provenance.json",
            hint="sync it again, or check it against an index with --rebuild",
        )
    envelope = open_envelope(encoded, PAYLOAD_TYPE)
    key = signed_by(envelope, {key for key, _signature in envelope.signatures})
    if key is None:
        raise VerificationFailed("the signature is not one of what it is on")
    check_statement(envelope.payload, installed.encoded)
    chain = _chain(installed)
    if pinned:
        return Signature(key, _of_pinned(key, frozenset(pinned), chain), server)
    if server == EMBEDDED and own is not None and _is_own(key, own):
        return Signature(key, "own", server)
    # Unpacked with tar, it does not say where it is from: then any server's key will do.
    believed = known.of(server) if server != UNKNOWN else known.all()
    if not believed or (server == UNKNOWN and key not in reachable(chain, believed)):
        known.add(server, frozenset({key}))
        return Signature(key, "first use", server)
    if key in believed:
        return Signature(key, "known", server)
    if key in reachable(chain, believed):
        known.add(server, frozenset({key}))
        return Signature(key, "endorsed", server)
    raise VerificationFailed(
        f"it is signed by {key}, which is not the key that is known of {server}",
        hint=f"if that server has really lost its key, remove it from {known.path}",
    )


def _of_pinned(key: str, pinned: frozenset[str], chain: Sequence[KnownKey]) -> Trust:
    if key in pinned:
        return "pinned"
    if key in reachable(chain, pinned):
        return "endorsed"
    raise VerificationFailed(f"it is signed by {key}, which is not the key that was given")


def _chain(installed: Installed) -> tuple[KnownKey, ...]:
    encoded = read_document(installed.root, "keys.json")
    return () if encoded is None else read_keys(encoded)


def _is_own(key: str, own: ServerKeys) -> bool:
    return own.exists and key in {known.key for known in own.known}


def check_files(installed: Installed, prefix: str | None) -> Checked:
    """Compare every file with the manifest, which is believed."""
    family = installed.manifest.target.family

    def compile_anew(modules: Sequence[tuple[str, bytes]]) -> Iterable[bytes] | None:
        interpreter = find_compiler(family, installed.root)
        return None if interpreter is None else compile_modules(modules, family, interpreter)

    return check_installed(installed, prefix, compile_anew)


def find_compiler(family: Family, root: Path) -> str | None:
    """Find an interpreter that compiles for a family: on PATH, but never one in the environment `root` itself."""
    inside = os.path.realpath(root)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    outside = [
        folder for folder in folders if not f"{os.path.realpath(folder)}{os.sep}".startswith(inside + os.sep)
    ]
    try:
        return find_python(family.python, {**os.environ, "PATH": os.pathsep.join(outside)}).executable
    except ClientError:
        return None
