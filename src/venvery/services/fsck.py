"""Checks a data folder: every row has its bytes, every byte its row, and deep down each is what it says.

Nothing is removed by others meanwhile (the lock of `prune` is held), and whoever adds writes bytes first and the
row behind them. So rows are read first and bytes second, and what is missing then is missing indeed.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from venvery.client.locks import FolderLock
from venvery.environments import LayerInfo, Manifest
from venvery.environments.encodings import zstd
from venvery.errors import VenveryError
from venvery.resolve.readers import lock_from_document
from venvery.services.keeping import ORPHAN_AGE
from venvery.storage.blobs import BlobFile, Blobs
from venvery.storage.database import Database
from venvery.storage.holdings import HoldingRow

__all__ = ["Problem", "Report", "check"]

Kind = Literal["missing", "size", "damaged", "orphan", "stranger", "unreadable", "database"]
CHUNK = 1 << 20


@dataclass(slots=True)
class Problem:
    """One thing that is not as it should be."""

    kind: Kind
    what: str
    detail: str
    repaired: bool = False

    def to_json(self) -> dict[str, Any]:
        """Write as `fsck --json` prints it."""
        return {"kind": self.kind, "what": self.what, "detail": self.detail, "repaired": self.repaired}


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    deep: bool
    rows: int = 0
    blobs: int = 0
    size: int = 0
    """Bytes of all blobs."""
    environments: int = 0
    removed_environments: int = 0
    """Of these, how many have layers that were removed, and are made anew when they are next asked for."""
    leftovers: int = 0
    """Files of killed writers that were cleared away."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether all is well now."""
        return all(problem.repaired for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Write as `fsck --json` prints it."""
        return {
            "ok": self.fine,
            "deep": self.deep,
            "rows": self.rows,
            "blobs": self.blobs,
            "bytes": self.size,
            "environments": self.environments,
            "environments_to_be_made_anew": self.removed_environments,
            "leftovers_cleared": self.leftovers,
            "problems": [problem.to_json() for problem in self.problems],
        }


def check(
    folder: Path,
    database: Database,
    blobs: Blobs,
    *,
    deep: bool = False,
    repair: bool = False,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Check the data folder; with `deep` read all bytes, with `repair` remove what is wrong.

    What is removed is fetched or made again when it is next needed. Raises `StorageFailed` when the folder
    cannot be read at all.
    """
    with FolderLock(str(folder / "prune.lock")):
        return _Checker(database, blobs, Report(deep), repair, clock()).run()


class _Checker:
    def __init__(self, database: Database, blobs: Blobs, report: Report, repair: bool, now: float) -> None:
        self._database = database
        self._blobs = blobs
        self._report = report
        self._repair = repair
        self._now = now
        self._uploaded: set[str] = set()
        """What exists nowhere else: a damaged copy may be all that is left of it, and stays."""

    def run(self) -> Report:
        report = self._report
        self._check_database()
        report.leftovers = self._blobs.clear_incoming()
        rows = self._database.holdings.all()
        files = {file.digest: file for file in self._blobs.files()}
        report.rows, report.blobs = len(rows), len(files)
        report.size = sum(file.size for file in files.values())
        self._uploaded = {digest for row in rows if row.kind == "hosted" for digest, _size in row.blobs}
        bad = self._damaged_blobs(files) if report.deep else set()
        sound = [row for row in rows if self._check_row(row, files, bad)]
        if self._repair:
            true = set(sound)
            self._drop_rows([row for row in rows if row not in true and row.kind != "hosted"], bad)
            rows = [row for row in rows if row in true or row.kind == "hosted"]
        self._check_orphans(rows, files, bad)
        self._check_strangers()
        self._check_environments(sound)
        if report.deep:
            self._check_answers()
        return report

    def _found(self, kind: Kind, what: str, detail: str, *, repaired: bool | None = None) -> None:
        self._report.problems.append(Problem(kind, what, detail, self._repair if repaired is None else repaired))

    def _mends(self, digest: str) -> bool:
        """Tell whether a blob is repaired: what was uploaded can only be put back from a backup."""
        return self._repair and digest not in self._uploaded

    def _check_database(self) -> None:
        for line in self._database.damage(deep=self._report.deep):
            self._found("database", "venvery.sqlite", line, repaired=False)

    def _damaged_blobs(self, files: dict[str, BlobFile]) -> set[str]:
        """Read every blob, and compare what it is with what its name says."""
        bad = set()
        for digest in sorted(files):
            found = _digest_of(self._blobs.stream(digest))
            if found != digest:
                bad.add(digest)
                self._found("damaged", digest, f"its bytes are {found}", repaired=self._mends(digest))
        return bad

    def _check_row(self, row: HoldingRow, files: dict[str, BlobFile], bad: set[str]) -> bool:
        """Tell whether a row tells the truth."""
        before = len(self._report.problems)
        if not row.blobs:
            self._found("unreadable", row.name, f"the {row.kind} row cannot be read")
        for digest, size in row.blobs:
            if digest not in files:
                self._found("missing", row.name, f"its blob {digest} is not there", repaired=self._mends(digest))
            elif files[digest].size != size and digest not in bad:
                detail = f"its blob {digest} has {files[digest].size} bytes, not {size}"
                self._found("size", row.name, detail, repaired=self._mends(digest))
        if any(digest in bad for digest, _size in row.blobs):
            return False
        if self._report.deep and row.kind == "layer" and len(self._report.problems) == before:
            self._check_content(row)
        return len(self._report.problems) == before

    def _check_content(self, row: HoldingRow) -> None:
        """Unpack both encodings of a layer, and compare them with its digest."""
        stored = self._database.layers.get(row.key[0], row.key[1], row.key[2])
        if stored is None:
            return
        try:
            layer = LayerInfo.from_json(stored)
            for digest, unpacked in ((layer.zstd.digest, _unzstd), (layer.deflate.digest, _inflate)):
                with self._blobs.open(digest) as file:
                    found = _digest_of(unpacked(file))
                if found != layer.digest:
                    self._found("damaged", row.name, f"{digest} unpacks to {found}, not to {layer.digest}")
        except (KeyError, TypeError, ValueError, EOFError, zlib.error, zstd.ZstdError) as error:
            self._found("damaged", row.name, f"it cannot be unpacked: {error}")

    def _drop_rows(self, rows: list[HoldingRow], bad: set[str]) -> None:
        """Forget what is not true, and remove bytes that are not what they say."""
        self._database.holdings.forget(rows)
        for digest in bad - self._uploaded:
            self._blobs.delete(digest)

    def _check_orphans(self, rows: Iterable[HoldingRow], files: dict[str, BlobFile], bad: set[str]) -> None:
        """Find bytes that no row names; young ones may be waiting for theirs."""
        named = {digest for row in rows for digest, _size in row.blobs} | bad
        orphans = [
            file for file in files.values() if file.digest not in named and file.used_at < self._now - ORPHAN_AGE
        ]
        if not orphans:
            return
        with self._blobs.leases.removing() as in_use:
            wanted = in_use | self._database.holdings.newer_than(self._now)
            for file in orphans:
                if file.digest in wanted:
                    continue
                self._found("orphan", file.digest, f"no row names its {file.size} bytes")
                if self._repair:
                    self._blobs.delete(file.digest)

    def _check_strangers(self) -> None:
        """Name what does not belong here; it is not ours to remove."""
        for path in self._blobs.strangers():
            self._found("stranger", str(path), "it is no blob; remove it by hand", repaired=False)

    def _check_environments(self, rows: Iterable[HoldingRow]) -> None:
        """Check that manifests and locks can be read, and count those that wait to be made anew."""
        there = {digest for row in rows for digest, _size in row.blobs}
        for key in self._database.environments.list_keys():
            self._report.environments += 1
            try:
                manifest = self._read_environment(key)
            except (VenveryError, ValueError, TypeError, KeyError, zstd.ZstdError) as error:
                self._found("unreadable", f"environment {key}", str(error) or type(error).__name__)
                if self._repair:
                    self._database.environments.forget(key)
                continue
            if manifest is not None and not there.issuperset(
                digest for layer in manifest.layers for digest in (layer.zstd.digest, layer.deflate.digest)
            ):
                self._report.removed_environments += 1

    def _read_environment(self, key: str) -> Manifest | None:
        stored = self._database.environments.get(key)
        if stored is None:
            return None
        manifest = Manifest.from_json(stored.manifest)
        if manifest.key != key:
            raise ValueError(f"its manifest is that of {manifest.key}")
        lock_from_document(stored.lock)
        return manifest

    def _check_answers(self) -> None:
        for request in self._database.answers.requests():
            try:
                self._database.answers.get(request)
            except (ValueError, TypeError, KeyError, zstd.ZstdError) as error:
                self._found("unreadable", f"answer {request}", str(error) or type(error).__name__)
                if self._repair:
                    self._database.answers.forget(request)


def _digest_of(chunks: Iterable[bytes]) -> str:
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    with zstd.open(file) as unpacked:
        while chunk := unpacked.read(CHUNK):
            yield chunk


def _inflate(file: IO[bytes]) -> Iterator[bytes]:
    """Unpack a raw deflate segment, which has no final block."""
    unpacker = zlib.decompressobj(-15)
    while chunk := file.read(CHUNK):
        yield unpacker.decompress(chunk)
    yield unpacker.flush()
