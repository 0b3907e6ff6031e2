"""The servers' keys that a person has come to know, in the configuration folder of that person.

    known-keys.json   {"venvery_known_keys": 1, "servers": {URL: {"keys": [key], "since": RFC 3339}}}

A server's first key is believed when it is first seen, as with SSH; a later one only when a known one endorses it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from venvery.client.locks import FolderLock
from venvery.errors import BadConfiguration, StorageFailed
from venvery.model.keys import is_key

__all__ = ["KnownKeys", "default_known_keys"]


def default_known_keys(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> KnownKeys:
    """Give the file of this person: in `VENVERY_CONFIG_DIR`, else in the platform's configuration folder."""
    if environ.get("VENVERY_CONFIG_DIR"):
        folder = Path(environ["VENVERY_CONFIG_DIR"])
    elif platform == "win32":
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "venvery"
    elif platform == "darwin":
        folder = home / "Library" / "Application Support" / "venvery"
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "venvery"
    return KnownKeys(folder / "known-keys.json")


class KnownKeys:
    """The file; it is read anew each time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, server: str) -> frozenset[str]:
        """Give the keys of a server that are believed. Raises `BadConfiguration` for a damaged file."""
        entry = self._servers().get(server, {})
        return frozenset(entry.get("keys", ()))

    def all(self) -> frozenset[str]:
        """Give the keys of all servers. Raises `BadConfiguration` for a damaged file."""
        return frozenset(key for entry in self._servers().values() for key in entry["keys"])

    def add(self, server: str, keys: frozenset[str]) -> None:
        """Believe further keys of a server. Raises `BadConfiguration` or `StorageFailed`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FolderLock(str(self.path) + ".lock"):
                servers = self._servers()
                now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                entry = servers.setdefault(server, {"keys": [], "since": now})
                entry["keys"] = sorted(keys.union(entry["keys"]))
                temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
                temporary.write_text(json.dumps({"venvery_known_keys": 1, "servers": servers}, indent=1) + "\n")
                temporary.replace(self.path)
        except OSError as error:
            raise StorageFailed(f"{self.path} cannot be written: {error.strerror}") from error

    def _servers(self) -> dict[str, Any]:
        try:
            document = json.loads(self.path.read_bytes())
            servers: dict[str, Any] = document["servers"]
            if not all(all(map(is_key, entry["keys"])) for entry in servers.values()):
                raise ValueError("not keys")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BadConfiguration(f"{self.path} cannot be read: {error.strerror}") from error
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise BadConfiguration(
                f"{self.path} is damaged", hint="mend it, or remove it to begin anew"
            ) from error
        return servers
