"""Questions about what was uploaded: hosted projects, their releases and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from venvery.errors import FileExists, NotFound, UploadRefused
from venvery.storage.journal import Note, write_down
from venvery.storage.transactions import upsert

if TYPE_CHECKING:
    from venvery.storage.database import Database
    from venvery.storage.transactions import Transaction

__all__ = ["Hosted", "HostedFile", "HostedProject", "NewFile", "Taken"]


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose bytes are stored, with what is to be said of it."""

    source: str
    filename: str
    project: str
    """Normalised (PEP 503)."""
    version: str
    """Normalised (PEP 440)."""
    slot: str
    """The file name in its one normal form: two files of one slot would be the same file to a client."""
    sha256: str
    blake2b_256: str
    size: int
    requires_python: str | None = None
    metadata: str | None = None
    """The digest of the blob that holds its METADATA; None for an sdist."""
    metadata_size: int | None = None
    provenance: str | None = None
    """The digest of the blob that holds its provenance object (PEP 740)."""
    provenance_size: int | None = None


@dataclass(frozen=True, slots=True)
class HostedFile(NewFile):
    """A file that is there."""

    uploaded_at: float = 0.0
    uploaded_by: str = ""
    yanked: str | None = None
    """None: its release is not yanked. Else the reason, which may be empty (PEP 592)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that comes from another server, with what was said of it there."""

    file: NewFile
    uploaded_at: float | None
    """When it was uploaded or first seen there; None: as of now."""
    yanked: str | None


@dataclass(frozen=True, slots=True)
class HostedProject:
    """A project of a hosted source."""

    source: str
    project: str
    name: str
    """As its first upload wrote it."""
    status: str
    """`active`, `archived`, `quarantined` or `deprecated` (PEP 792)."""
    status_reason: str | None
    created_at: float


_NEW = tuple(field.name for field in fields(NewFile))
_FILE = ", ".join(f"f.{name}" for name in (*_NEW, "uploaded_at", "uploaded_by")) + ", r.yanked"
_PROJECT = ", ".join(field.name for field in fields(HostedProject))
_JOINED = """FROM hosted_files f JOIN hosted_releases r
ON r.source = f.source AND r.project = f.project AND r.version = f.version
WHERE f.removed_at IS NULL AND r.published_at IS NOT NULL"""
_FILES = f"SELECT {_FILE} {_JOINED} AND f.source = :source AND f.project = :project ORDER BY f.filename"
_BY_NAME = f"SELECT {_FILE} {_JOINED} AND f.source = :source AND f.filename = :filename"
_BY_HASH = f"SELECT {_FILE} {_JOINED} AND f.sha256 = :sha256 ORDER BY f.uploaded_at"
_TAKEN = """SELECT filename, sha256, removed_at FROM hosted_files
WHERE source = :source AND (slot = :slot OR filename = :filename)"""
_SDIST = """SELECT filename FROM hosted_files WHERE source = :source AND project = :project
AND version = :version AND removed_at IS NULL AND filename LIKE '%.tar.gz'"""
_ADD_PROJECT = """INSERT INTO hosted_projects (source, project, name, created_at)
VALUES (:source, :project, :name, :now) ON CONFLICT (source, project) DO NOTHING"""
_ADD_RELEASE = """INSERT INTO hosted_releases (source, project, version, published_at, created_at, created_by)
VALUES (:source, :project, :version, :now, :now, :who) ON CONFLICT (source, project, version) DO NOTHING"""
_ADD_FILE = (
    f"INSERT INTO hosted_files ({', '.join(_NEW)}, uploaded_at, uploaded_by) "
    f"VALUES ({', '.join(':' + name for name in _NEW)}, :now, :who)"
)
_HELD = upsert("files", ("file", "digest", "size", "obtained_at"), key=("file",))
_RELEASE = """SELECT r.yanked FROM hosted_releases r WHERE r.source = :source AND r.project = :project
AND r.version = :version"""
_YANK = """UPDATE hosted_releases SET yanked = :reason
WHERE source = :source AND project = :project AND version = :version"""
_REMOVE = """UPDATE hosted_files SET removed_at = :now, removed_by = :who
WHERE source = :source AND filename = :filename"""
_SET_STATUS = """UPDATE hosted_projects SET status = :status, status_reason = :reason
WHERE source = :source AND project = :project"""


class Hosted:
    """What hosted sources hold, by the name of the source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> list[tuple[str, str]]:
        """List all (source, project), those without files too: a name that was once used stays owned."""
        with self._database.look() as transaction:
            return [(one, two) for one, two in transaction.rows("SELECT source, project FROM hosted_projects")]

    def projects(self, source: str) -> list[HostedProject]:
        """List the projects of a source, sorted by name."""
        sql = f"SELECT {_PROJECT} FROM hosted_projects WHERE source = :source ORDER BY project"
        with self._database.look() as transaction:
            return [HostedProject(*row) for row in transaction.rows(sql, source=source)]

    def project(self, source: str, project: str) -> HostedProject | None:
        """Give a project of a source; None when nothing of that name was ever uploaded there."""
        sql = f"SELECT {_PROJECT} FROM hosted_projects WHERE source = :source AND project = :project"
        with self._database.look() as transaction:
            row = transaction.row(sql, source=source, project=project)
        return None if row is None else HostedProject(*row)

    def listing(self, source: str, project: str) -> tuple[HostedProject, list[HostedFile]] | None:
        """Give a project with all its files, as one moment had them; None when there is no such project."""
        sql = f"SELECT {_PROJECT} FROM hosted_projects WHERE source = :source AND project = :project"
        with self._database.look() as transaction:
            row = transaction.row(sql, source=source, project=project)
            if row is None:
                return None
            files = transaction.rows(_FILES, source=source, project=project)
        return HostedProject(*row), [HostedFile(*file) for file in files]

    def file(self, source: str, filename: str) -> HostedFile | None:
        """Give a file by its name."""
        with self._database.look() as transaction:
            row = transaction.row(_BY_NAME, source=source, filename=filename)
        return None if row is None else HostedFile(*row)

    def by_sha256(self, sha256: str) -> list[HostedFile]:
        """Give the files that have these bytes, in whichever source; the SHA-256 in hex."""
        with self._database.look() as transaction:
            return [HostedFile(*row) for row in transaction.rows(_BY_HASH, sha256=sha256)]

    def add(self, file: NewFile, *, name: str, who: str) -> bool:
        """Publish a file whose blobs are stored; False when the very same was there already.

        `name` is the project's name as written. Raises `FileExists` when its name is taken by other bytes or
        was taken by a file that was deleted, `UploadRefused` for a second sdist of a release.
        """
        with self._database.change(lasting=True) as transaction:
            if not _is_new(transaction, file):
                return False
            now = self._database.clock()
            _insert(transaction, file, name, who, now)
            write_down(
                transaction,
                now,
                who,
                Note("upload", file.source, file.project, file.version, file.filename, f"sha256:{file.sha256}"),
            )
            return True

    def yank(self, source: str, project: str, version: str, *, reason: str | None, who: str) -> bool:
        """Yank a release with a reason, which may be empty; None: it is yanked no longer.

        False when it was so already. Raises `NotFound`.
        """
        about = {"source": source, "project": project, "version": version}
        with self._database.change(lasting=True) as transaction:
            row = transaction.row(_RELEASE, **about)
            if row is None:
                raise _no_release(source, project, version)
            if row[0] == reason:
                return False
            transaction.do(_YANK, reason=reason, **about)
            note = Note("unyank" if reason is None else "yank", source, project, version, detail=reason or None)
            write_down(transaction, self._database.clock(), who, note)
            return True

    def delete(
        self, source: str, project: str, *, version: str | None, filename: str | None, who: str
    ) -> list[str]:
        """Delete a file, a release's files or all files of a project, and give their names.

        Their names are never used again. Raises `NotFound` when there is nothing to delete.
        """
        with self._database.change(lasting=True) as transaction:
            rows = [HostedFile(*row) for row in transaction.rows(_FILES, source=source, project=project)]
            going = [
                file
                for file in rows
                if (version is None or file.version == version) and (filename is None or file.filename == filename)
            ]
            if not going:
                raise _no_release(source, project, version, filename)
            now = self._database.clock()
            for file in going:
                transaction.do(_REMOVE, source=source, filename=file.filename, now=now, who=who)
                note = Note("delete", source, project, file.version, file.filename, f"sha256:{file.sha256}")
                write_down(transaction, now, who, note)
            return [file.filename for file in going]

    def promote(self, project: str, version: str, *, source: str, to: str, who: str) -> list[str]:
        """Publish the files of a release in another source too, all at once, and give the names of the new ones.

        Raises `NotFound`, and `FileExists` or `UploadRefused` as `add` does; then nothing is promoted.
        """
        with self._database.change(lasting=True) as transaction:
            rows = [HostedFile(*row) for row in transaction.rows(_FILES, source=source, project=project)]
            going = [file for file in rows if file.version == version]
            if not going:
                raise _no_release(source, project, version)
            sql = "SELECT name FROM hosted_projects WHERE source = :source AND project = :project"
            name = str(transaction.value(sql, source=source, project=project))
            now = self._database.clock()
            promoted = []
            for file in going:
                copy = NewFile(to, *(getattr(file, column) for column in _NEW[1:]))
                if _is_new(transaction, copy):
                    _insert(transaction, copy, name, who, now)
                    note = Note("promote", to, project, version, file.filename, f"from {source}")
                    write_down(transaction, now, who, note)
                    promoted.append(file.filename)
            return promoted

    def take(
        self, files: Sequence[Taken], states: Mapping[str, tuple[str, str | None]], *, source: str, who: str
    ) -> int:
        """List files that come from another server, all of them or none, and give how many were not there before.

        `states` has the status of projects, as (status, reason). Raises `FileExists` as `add` does.
        """
        with self._database.change(lasting=True) as transaction:
            now = self._database.clock()
            new = [one for one in files if _is_new(transaction, one.file, one_sdist=False)]
            for one in new:
                file = one.file
                _insert(transaction, file, file.project, who, now if one.uploaded_at is None else one.uploaded_at)
                _hold(transaction, file, now)
                if one.yanked is not None:
                    about = {"source": source, "project": file.project, "version": file.version}
                    transaction.do(_YANK, reason=one.yanked, **about)
                detail = f"sha256:{file.sha256}"
                note = Note("import", source, file.project, file.version, file.filename, detail)
                write_down(transaction, now, who, note)
            for project, (status, reason) in states.items():
                transaction.do(_SET_STATUS, status=status, reason=reason, source=source, project=project)
            return len(new)

    def digests(self) -> list[str]:
        """List the SHA-256 (hex) of all files that are there, sorted."""
        sql = "SELECT DISTINCT sha256 FROM hosted_files WHERE removed_at IS NULL ORDER BY sha256"
        with self._database.look() as transaction:
            return [row[0] for row in transaction.rows(sql)]

    def set_status(self, source: str, project: str, status: str, *, reason: str | None, who: str) -> None:
        """Set the status of a project (PEP 792). Raises `NotFound`."""
        about = {"source": source, "project": project}
        sql = "SELECT 1 FROM hosted_projects WHERE source = :source AND project = :project"
        with self._database.change(lasting=True) as transaction:
            if transaction.value(sql, **about) is None:
                raise NotFound(f"the source {source} has no project {project}")
            transaction.do(_SET_STATUS, status=status, reason=reason, **about)
            detail = status if reason is None else f"{status}: {reason}"
            write_down(transaction, self._database.clock(), who, Note("status", source, project, detail=detail))


def _hold(transaction: Transaction, file: NewFile, now: float) -> None:
    """Hold a file's blobs by a row of now: one with the old time of its upload does not show that it is new.

    Whoever removes blobs in this moment looks for rows that were written since it began.
    """
    rows = [(file.sha256, f"sha256:{file.sha256}", file.size)]
    if file.metadata is not None:
        rows.append((f"metadata:{file.sha256}", file.metadata, file.metadata_size or 0))
    for key, digest, size in rows:
        transaction.do(_HELD, file=key, digest=digest, size=size, obtained_at=now)


def _is_new(transaction: Transaction, file: NewFile, *, one_sdist: bool = True) -> bool:
    """Tell whether a file is to be added, and not the same as one that is there."""
    taken = transaction.row(_TAKEN, source=file.source, slot=file.slot, filename=file.filename)
    if taken is not None:
        filename, sha256, removed_at = taken
        if removed_at is not None:
            raise FileExists(
                f"File already exists: {filename} was deleted, and its name is never used again",
                hint="upload it as a new version",
            )
        if filename == file.filename and sha256 == file.sha256:
            return False
        said = "with other bytes" if filename == file.filename else f"under the name {filename}"
        raise FileExists(f"File already exists: {file.filename}, {said}", hint="upload it as a new version")
    if one_sdist and file.filename.endswith(".tar.gz"):
        about = {"source": file.source, "project": file.project, "version": file.version}
        other = transaction.value(_SDIST, **about)
        if other is not None:
            raise UploadRefused(f"{file.project} {file.version} has a source distribution already: {other}")
    return True


def _insert(transaction: Transaction, file: NewFile, name: str, who: str, now: float) -> None:
    about = {"source": file.source, "project": file.project, "now": now}
    transaction.do(_ADD_PROJECT, name=name, **about)
    transaction.do(_ADD_RELEASE, version=file.version, who=who, **about)
    transaction.do(_ADD_FILE, now=now, who=who, **{column: getattr(file, column) for column in _NEW})


def _no_release(source: str, project: str, version: str | None, filename: str | None = None) -> NotFound:
    what = filename or " ".join(part for part in (project, version) if part)
    return NotFound(f"the source {source} has no {what}")
