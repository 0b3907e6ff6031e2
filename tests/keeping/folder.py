"""A data folder with layers and files of known size and age, made by hand."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from venvery.model.digests import hex_of, sha256
from venvery.services.keeping import Goal, Keeper, Pruned
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database

__all__ = ["KB", "Folder"]

KB = 1000


class Folder:
    """A data folder. Ages are in seconds before now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database.open(path / "venvery.sqlite", clock=self.clock)
        self.blobs = Blobs.open_folder(path / "blobs")
        self.keeper = Keeper(path, self.database, self.blobs)
        self.ago = 0.0

    def clock(self) -> float:
        return time.time() - self.ago

    def blob(self, content: bytes, age: float) -> str:
        """Store a blob that was last used some time ago."""
        digest = self.blobs.put(content).digest
        self.age(digest, age)
        return digest

    def age(self, digest: str, age: float) -> None:
        """Say that a blob was last used some time ago."""
        path = self.blobs.path(digest)
        assert path is not None
        then = time.time() - age
        os.utime(path, (then, then))

    def file(self, name: str, size: int, age: float) -> str:
        """Add a fetched file."""
        digest = self.blob(name.encode().ljust(size, b"."), age)
        self.ago = age
        self.database.files.put(name, type("Stored", (), {"digest": digest, "size": size}))  # type: ignore[arg-type]
        self.ago = 0.0
        return digest

    def layer(
        self, name: str, size: int, age: float, *, family: str = "posix-3.11", wheel: str | None = None
    ) -> str:
        """Add a layer of which each encoding has half of the size; give the digest of one."""
        zstd = self.blob(b"z" + name.encode().ljust(size // 2 - 1, b"."), age)
        deflate = self.blob(b"d" + name.encode().ljust(size // 2 - 1, b"."), age)
        info: dict[str, Any] = {
            "digest": sha256(name.encode()),
            "kind": "wheel",
            "project": name,
            "version": "1.0",
            "wheel": [f"{name}-1.0-py3-none-any.whl", "", 0],
            "zstd": {"digest": zstd, "size": size // 2, "frames": []},
            "deflate": {"digest": deflate, "size": size // 2, "crc32": 0},
        }
        self.ago = age
        self.database.layers.put(wheel or hex_of(sha256(name.encode())), family, "2", info)
        self.ago = 0.0
        return zstd

    def prune(self, **goal: Any) -> Pruned:
        return self.keeper.prune(Goal(**goal))

    def bytes(self) -> int:
        """Count the bytes of all blobs, as `du` would."""
        return sum(path.stat().st_size for path in (self.path / "blobs" / "sha256").rglob("*") if path.is_file())

    def settle(self) -> None:
        """Take the log of late changes into the database, so that its size is what it will be."""
        with contextlib.closing(sqlite3.connect(self.path / "venvery.sqlite")) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

    def rows(self) -> set[str]:
        return {row.name.split()[0] for row in self.database.holdings.all()}

    def close(self) -> None:
        self.database.close()
