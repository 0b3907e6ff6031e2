"""A view as one file, carried to where no network leads: written here, checked and taken in there.

    venvery-export.json     what the view lists: projects, files, hashes, times, yanks
    blobs/<sha256>          the files themselves, but for those that the other side has

It is a plain tar, the same bytes for the same view. Nothing in it is believed on the other side: the file names
must parse, the bytes must have their hashes, and all of it is listed in one transaction, or none.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast, get_args

from venvery.catalog.metadata import bytes_in_wheel
from venvery.catalog.page_writers import Learnt
from venvery.catalog.remote_zip import BadWheel
from venvery.errors import BadInput, StorageFailed, WrongHash
from venvery.model.digests import is_digest
from venvery.model.files import DistFile, FileName, Listing, ProjectState, parse_filename
from venvery.model.names import NormalizedName, is_valid_name, normalize
from venvery.storage.hosted import NewFile, Taken
from venvery.uploads.checking import slot_of

if TYPE_CHECKING:
    from venvery.storage.blobs import Blobs
    from venvery.storage.database import Database
    from venvery.storage.leases import Lease

__all__ = ["Carried", "inventory", "read_inventory", "take_in", "write_export"]

FORMAT = 1
LIST = "venvery-export.json"
_END_OF_TIME = 253_402_300_800.0
"""Seconds since the epoch when the year 10000 begins."""
LIST_LIMIT = 1 << 30
"""Bytes of the list in an export; what is larger is none."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What an export or an import came to."""

    projects: int
    files: int
    """Files that are listed."""
    carried: int
    """Files whose bytes are in the export."""
    bytes: int
    new: int = 0
    """Files that an import listed and that were not listed before."""

    def to_json(self) -> dict[str, int]:
        """Give it as plain values."""
        return {name: getattr(self, name) for name in ("projects", "files", "carried", "bytes", "new")}


def inventory(database: Database) -> str:
    """Write down which uploaded and imported files are here, for `write_export` on the other side."""
    return json.dumps({"venvery-inventory": FORMAT, "files": database.hosted.digests()}) + "\n"


def read_inventory(text: str) -> frozenset[str]:
    """Read what `inventory` wrote. Raises `BadInput`."""
    try:
        values = json.loads(text)
        found = frozenset(map(str, values["files"]))
        if values["venvery-inventory"] != FORMAT:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("this is no inventory", hint="venvery import --inventory writes one") from None
    return found


# out


def write_export(
    path: Path, listings: Iterable[tuple[Listing, Learnt]], blobs: Blobs, have: frozenset[str]
) -> Carried:
    """Write the files of some listings that are here. Raises `StorageFailed`."""
    projects = [entry for listing, learnt in listings if (entry := _project(listing, learnt, blobs))["files"]]
    wanted = {file["sha256"]: file["size"] for project in projects for file in project["files"]}
    going = sorted(digest for digest in wanted if digest not in have)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with blobs.hold([f"sha256:{digest}" for digest in going]), tarfile.open(temporary, "w") as archive:
            _add(archive, LIST, json.dumps({"venvery-export": FORMAT, "projects": projects}).encode())
            for digest in going:
                with blobs.open(f"sha256:{digest}") as data:
                    archive.addfile(_member(f"blobs/{digest}", wanted[digest]), data)
        temporary.replace(path)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return Carried(len(projects), len(wanted), len(going), sum(wanted[digest] for digest in going))


def _project(listing: Listing, learnt: Learnt, blobs: Blobs) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for file in sorted(listing.files, key=lambda file: file.filename.endswith(".zip")):
        sha256 = learnt.sha256(file)
        named = parse_filename(file.filename)
        if sha256 is not None and named is not None and blobs.has(f"sha256:{sha256}"):
            files.setdefault(slot_of(named), _file(file, sha256, blobs))  # of two sdists the .tar.gz
    entry: dict[str, Any] = {"project": listing.project, "files": [files[slot] for slot in sorted(files)]}
    if listing.status is not None:
        entry["status"] = {"status": listing.status.state, "reason": listing.status.reason}
    return entry


def _file(file: DistFile, sha256: str, blobs: Blobs) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "sha256": sha256,
        "size": blobs.size(f"sha256:{sha256}"),
        "requires_python": file.requires_python,
        "yanked": file.yanked,
        "upload_time": None if file.upload_time is None else file.upload_time.timestamp(),
    }


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_member(name, len(data)), io.BytesIO(data))


# in


def take_in(path: Path, database: Database, blobs: Blobs, *, source: str, who: str) -> Carried:
    """Check an export, and list its files in a hosted source: all of them, or none.

    Raises `BadInput` for what is no export or a hostile one, `FileExists` when a name is taken by other bytes,
    `WrongHash`, `StorageFailed`.
    """
    lease = blobs.hold()
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            members = iter(archive)
            projects = _read_list(archive, members)
            wanted = {file.sha256: file.size for project in projects for file in project.files}
            came = _read_blobs(archive, members, wanted, blobs, lease)
        missing = [digest for digest in wanted if not blobs.use(f"sha256:{digest}")]
        if missing:
            raise BadInput(
                f"{len(missing)} of the files that it lists are neither in it nor here",
                hint="export again, with an inventory that was written here, or without one",
            )
        taken = [_taken(one, project, source, blobs, lease) for project in projects for one in project.files]
        states: dict[str, tuple[str, str | None]]
        states = {project.name: project.state for project in projects if project.state is not None}
        new = database.hosted.take(taken, states, source=source, who=who)
        return Carried(len(projects), len(taken), len(came), sum(wanted[digest] for digest in came), new)
    except tarfile.TarError as error:
        raise BadInput(f"{path} is no export, or is cut off: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from None
    finally:
        lease.release()


@dataclass(frozen=True, slots=True)
class _File:
    named: FileName
    filename: str
    sha256: str
    size: int
    requires_python: str | None
    yanked: str | None
    upload_time: float | None


@dataclass(frozen=True, slots=True)
class _Project:
    name: NormalizedName
    files: tuple[_File, ...]
    state: tuple[str, str | None] | None


def _read_list(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> list[_Project]:
    member = next(members, None)
    if member is None or member.name != LIST or not member.isreg() or member.size > LIST_LIMIT:
        raise BadInput("this is no export: its list is missing", hint="venvery export writes one")
    try:
        values = json.loads(_open(archive, member).read())
        if values["venvery-export"] != FORMAT:
            raise BadInput("this export was written by another venvery", hint="use the same version on both sides")
        projects = [_read_project(entry) for entry in values["projects"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput("the list of this export is damaged") from None
    if len({project.name for project in projects}) != len(projects):
        raise BadInput("the list of this export has a project twice")
    return projects


def _read_project(entry: Mapping[str, Any]) -> _Project:
    name = entry["project"]
    if not is_valid_name(name) or normalize(name) != name:
        raise BadInput(f"{str(name)[:80]!r} in the export is not a normalised project name")
    files = tuple(_read_file(file, normalize(name)) for file in entry["files"])
    if len({file.filename for file in files}) != len(files):
        raise BadInput(f"{name} has a file twice in the export")
    status = entry.get("status")
    state = None if status is None else (str(status["status"]), _text(status.get("reason")))
    if state is not None and state[0] not in get_args(ProjectState):
        raise BadInput(f"{name} has a status that nobody knows in the export")
    return _Project(normalize(name), files, state)


def _read_file(entry: Mapping[str, Any], project: NormalizedName) -> _File:
    filename, sha256, size, time = entry["filename"], entry["sha256"], entry["size"], entry["upload_time"]
    named = parse_filename(filename)
    if named is None or named.project != project or "/" in filename or not filename.isprintable():
        raise BadInput(f"{str(filename)[:120]!r} in the export is not a file of {project}")
    if not is_digest(f"sha256:{sha256}") or not isinstance(size, int) or size < 0:
        raise BadInput(f"{filename} has no proper hash or size in the export")
    if time is not None and not 0 <= float(time) < _END_OF_TIME:
        raise BadInput(f"{filename} has no proper upload time in the export")
    python, yanked = _text(entry["requires_python"]), _text(entry["yanked"])
    return _File(named, filename, sha256, size, python, yanked, None if time is None else float(time))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError


def _read_blobs(
    archive: tarfile.TarFile,
    members: Iterator[tarfile.TarInfo],
    wanted: Mapping[str, int],
    blobs: Blobs,
    lease: Lease,
) -> list[str]:
    """Store the blobs that the list names, and refuse any other member. Gives their hashes."""
    came: list[str] = []
    for member in members:
        digest = member.name.removeprefix("blobs/")
        if not member.isreg() or member.name != f"blobs/{digest}" or digest not in wanted or digest in came:
            raise BadInput(f"{member.name[:120]!r} has no place in an export")
        if member.size != wanted[digest]:
            raise BadInput(f"{member.name} has {member.size} bytes, and the list says {wanted[digest]}")
        try:
            blobs.put(_open(archive, member), expect=f"sha256:{digest}", keep=lease)
        except WrongHash as wrong:
            raise WrongHash(f"{member.name} in the export: {wrong}", **wrong.evidence) from None
        came.append(digest)
    return came


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    data = archive.extractfile(member)
    if data is None:
        raise BadInput(f"{member.name[:120]!r} has no place in an export")
    return data


def _taken(file: _File, project: _Project, source: str, blobs: Blobs, lease: Lease) -> Taken:
    """Make what is to be listed of a file; its metadata is read out of the wheel, whatever the export says."""
    digest = f"sha256:{file.sha256}"
    blobs_of: dict[str, Any] = {}
    if file.named.kind == "wheel":
        try:
            metadata = blobs.put(_metadata(file, project, blobs.open(digest)), keep=lease)
            blobs_of = {"metadata": metadata.digest, "metadata_size": metadata.size}
        except BadWheel as bad:
            raise BadInput(f"{file.filename} in the export is no wheel: {bad}") from None
    new = NewFile(
        source=source,
        filename=file.filename,
        project=project.name,
        version=str(file.named.version),
        slot=slot_of(file.named),
        sha256=file.sha256,
        blake2b_256=_blake2b(blobs, digest),
        size=blobs.size(digest),
        requires_python=file.requires_python,
        **blobs_of,
    )
    return Taken(new, file.upload_time, file.yanked)


def _metadata(file: _File, project: _Project, data: IO[bytes]) -> bytes:
    with data:
        about = DistFile(file.filename, "", project.name, file.named.version, "wheel", file.named.tag)
        return bytes_in_wheel(about, cast("Any", data))


def _blake2b(blobs: Blobs, digest: str) -> str:
    with blobs.open(digest) as data:
        whole = hashlib.file_digest(cast("Any", data), lambda: hashlib.blake2b(digest_size=32))
    return whole.hexdigest()
