"""Publishing: what is uploaded, yanked, deleted and promoted in hosted sources. Each is one transaction."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from venvery.errors import BadInput, LimitExceeded, NotFound, UploadRefused
from venvery.model.names import parse_name
from venvery.model.policy import covers
from venvery.model.sources import SourceSpec
from venvery.model.versions import InvalidVersion, parse_version
from venvery.storage.blobs import Blobs
from venvery.storage.database import Database
from venvery.storage.hosted import NewFile
from venvery.uploads import Claims, check_claims, check_upload
from venvery.uploads.attestations import provenance_of

__all__ = ["Arriving", "Published", "Publisher"]


@dataclass(frozen=True, slots=True)
class Published:
    """A file that is listed now."""

    source: str
    filename: str
    project: str
    version: str
    sha256: str
    new: bool
    """False when the very same file was there already."""

    def to_json(self) -> dict[str, Any]:
        """Write as the answer to an upload."""
        return {
            "source": self.source,
            "filename": self.filename,
            "project": self.project,
            "version": self.version,
            "sha256": self.sha256,
            "new": self.new,
        }


class Arriving:
    """A file on its way in: hashed while it is written, dropped unless it is published."""

    def __init__(self, blobs: Blobs, most: int) -> None:
        self.incoming = blobs.incoming()
        self._most = most
        self._hashes: dict[str, Any] = {
            "md5": hashlib.md5(usedforsecurity=False),
            "sha256": hashlib.sha256(),
            "blake2b_256": hashlib.blake2b(digest_size=32),
        }

    def __enter__(self) -> Arriving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.incoming.abandon()

    def write(self, data: bytes) -> None:
        """Take further bytes. Raises `LimitExceeded`, `StorageFailed`."""
        if self.incoming.size + len(data) > self._most:
            raise LimitExceeded(
                f"the file is larger than {self._most} bytes",
                hint="the configuration may allow more: upload-bytes in [limits]",
                limit="upload-bytes",
                most=self._most,
            )
        for hasher in self._hashes.values():
            hasher.update(data)
        self.incoming.write(data)

    def digests(self) -> dict[str, str]:
        """Give the hex digests of all bytes so far."""
        return {name: hasher.hexdigest() for name, hasher in self._hashes.items()}


class Publisher:
    """Changes hosted sources."""

    def __init__(self, database: Database, blobs: Blobs, sources: Sequence[SourceSpec], *, most: int) -> None:
        self._database = database
        self._blobs = blobs
        self._sources = {spec.name: spec for spec in sources if spec.kind == "hosted"}
        self._most = most

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """The hosted sources, in the order of the configuration."""
        return tuple(self._sources.values())

    def source(self, name: str | None) -> SourceSpec:
        """Give a hosted source; the first one for None. Raises `NotFound`."""
        known = ", ".join(self._sources) or "none"
        if name is None:
            if not self._sources:
                raise NotFound("no source is hosted here")
            return next(iter(self._sources.values()))
        if name not in self._sources:
            raise NotFound(f"there is no hosted source {name[:80]!r}", hint=f"hosted sources: {known}")
        return self._sources[name]

    def begin(self) -> Arriving:
        """Start to receive a file. Raises `StorageFailed`."""
        return Arriving(self._blobs, self._most)

    def publish(
        self, arriving: Arriving, claims: Claims, *, to: str | None, who: str, attestations: str | None = None
    ) -> Published:
        """Check a file that is all there, and publish it: when this returns, it is listed and lasts.

        The very same file again changes nothing. Raises `UploadRefused`, `FileExists`, `StorageFailed`; then
        nothing has changed.
        """
        source = self.source(to)
        digests = arriving.digests()
        named = check_claims(claims, digests)
        if source.projects and not any(covers(pattern, named.project) for pattern in source.projects):
            raise UploadRefused(
                f"the source {source.name} does not take {named.project}",
                hint=f"it takes {', '.join(source.projects)}",
            )
        sha256 = digests["sha256"]
        done = Published(source.name, claims.filename, named.project, str(named.version), sha256, new=True)
        there = self._database.hosted.file(source.name, claims.filename)
        if there is not None and there.sha256 == sha256:
            return Published(source.name, claims.filename, named.project, str(named.version), sha256, new=False)
        with os.fdopen(arriving.incoming.read_along(), "rb") as stream:
            checked = check_upload(stream, claims, named)
        provenance = provenance_of(attestations, claims.filename, sha256, who) if attestations else None
        lease = self._blobs.hold()
        try:
            stored = arriving.incoming.commit(keep=lease)
            metadata = self._blobs.put(checked.metadata, keep=lease) if checked.metadata is not None else None
            proof = self._blobs.put(provenance, keep=lease) if provenance is not None else None
            new = NewFile(
                source=source.name,
                filename=claims.filename,
                project=named.project,
                version=str(named.version),
                slot=checked.slot,
                sha256=sha256,
                blake2b_256=digests["blake2b_256"],
                size=stored.size,
                requires_python=checked.requires_python,
                metadata=metadata.digest if metadata else None,
                metadata_size=metadata.size if metadata else None,
                provenance=proof.digest if proof else None,
                provenance_size=proof.size if proof else None,
            )
            if not self._database.hosted.add(new, name=checked.name, who=who):
                return Published(
                    source.name, claims.filename, named.project, str(named.version), sha256, new=False
                )
        finally:
            lease.release()
        return done

    def change(self, action: str, body: Mapping[str, Any], *, who: str) -> dict[str, Any]:
        """Do one thing to a release or project, and say what was done.

        `yank`, `unyank`, `promote`, `delete` or `status`. Raises `NotFound`, `BadInput`, `UploadRefused`.
        """
        if action == "yank":
            return self.yank(body, who=who)
        if action == "unyank":
            return self.yank(body, who=who, undo=True)
        if action == "promote":
            return self.promote(body, who=who)
        if action == "delete":
            return self.delete(body, who=who)
        if action == "status":
            return self.set_status(body, who=who)
        raise NotFound(f"nothing called {action[:40]!r} is done to releases")

    def yank(self, body: Mapping[str, Any], *, who: str, undo: bool = False) -> dict[str, Any]:
        """Yank a release (PEP 592), or take that back: `source`, `project`, `version`, `reason`."""
        source, project, version = self._release(body, ("source", "project", "version", "reason"))
        reason = None if undo else (_text(body, "reason") or "")
        changed = self._database.hosted.yank(source, project, version, reason=reason, who=who)
        return {"source": source, "project": project, "version": version, "yanked": reason, "changed": changed}

    def delete(self, body: Mapping[str, Any], *, who: str) -> dict[str, Any]:
        """Delete a release, or one file of it, for good: `source`, `project`, `version`, `filename`."""
        source, project, version = self._release(body, ("source", "project", "version", "filename"))
        filename = _text(body, "filename")
        gone = self._database.hosted.delete(source, project, version=version, filename=filename, who=who)
        return {"source": source, "project": project, "version": version, "deleted": gone}

    def promote(self, body: Mapping[str, Any], *, who: str) -> dict[str, Any]:
        """Publish a release of `source` in the hosted source `to` as well: `project`, `version`."""
        source, project, version = self._release(body, ("source", "project", "version", "to"))
        to = self.source(_text(body, "to"))
        if to.name == source:
            raise BadInput("a release is promoted from one source to another", hint='say "to"')
        if to.projects and not any(covers(pattern, project) for pattern in to.projects):
            raise UploadRefused(f"the source {to.name} does not take {project}")
        promoted = self._database.hosted.promote(project, version, source=source, to=to.name, who=who)
        return {"source": source, "to": to.name, "project": project, "version": version, "promoted": promoted}

    def set_status(self, body: Mapping[str, Any], *, who: str) -> dict[str, Any]:
        """Set the status of a project (PEP 792): `source`, `project`, `status`, `reason`."""
        _check_fields(body, ("source", "project", "status", "reason"))
        source, project = self.source(_text(body, "source")).name, parse_name(_text(body, "project") or "")
        status = _text(body, "status")
        if status not in ("active", "archived", "quarantined", "deprecated"):
            raise BadInput('"status" is active, archived, quarantined or deprecated')
        self._database.hosted.set_status(source, project, status, reason=_text(body, "reason"), who=who)
        return {"source": source, "project": project, "status": status}

    def _release(self, body: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, str, str]:
        _check_fields(body, fields)
        version = _text(body, "version") or ""
        try:
            normal = str(parse_version(version))
        except InvalidVersion:
            raise BadInput(f'"version" is a version, not {version[:80]!r}') from None
        return self.source(_text(body, "source")).name, parse_name(_text(body, "project") or ""), normal


def _check_fields(body: Mapping[str, Any], fields: Sequence[str]) -> None:
    unknown = sorted(set(body) - set(fields))
    if unknown:
        raise BadInput(
            f"the request has an unknown field {unknown[0][:80]!r}", hint=f"fields: {', '.join(fields)}"
        )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 4000):
        raise BadInput(f"{name!r} is a text")
    return value
