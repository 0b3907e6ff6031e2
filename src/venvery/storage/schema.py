"""The tables, in words that SQLite and PostgreSQL both understand.

Every change of this file comes with a migration in `migrations/versions/`, a new last entry in `REVISIONS`,
and `python -m venvery.storage.schema` run anew, which writes `schema.sql`. Tests compare all of them.

Times are seconds since the epoch (UTC). Columns called `packed` hold `compression.pack` of plain values.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from venvery.storage.revisions import REVISIONS

__all__ = ["REVISIONS", "as_sql", "tables"]

tables = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

sources = Table(
    "sources",
    tables,
    Column("id", Integer, primary_key=True),
    Column("digest", String(71), nullable=False),  # of kind and location without password
    Column("kind", String(16), nullable=False),
    Column("location", Text, nullable=False),  # redacted
    UniqueConstraint("digest"),
    comment="Where listings come from, by what they are and not by the name that a configuration gives them.",
)

hosts = Table(
    "hosts",
    tables,
    Column("origin", String(255), primary_key=True),  # scheme://host:port
    Column("ability", String(32), primary_key=True),
    Column("works", Integer, nullable=False),
    Column("checked_at", Double, nullable=False),
    comment="What a host of files was found to do: serve metadata beside wheels, answer range requests.",
)

listings = Table(
    "listings",
    tables,
    Column("source", Integer, ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("project", String(255), primary_key=True),
    Column("known", Integer, nullable=False),  # 0: the source says that it has no such project
    Column("revision", String(71), nullable=False),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("body", String(71)),  # digest of the page as it came, to see at once that nothing changed
    Column("checked_at", Double, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    comment="One project page of one source, parsed; loaded by reading one row.",
)

core_metadata = Table(
    "core_metadata",
    tables,
    Column("file", String(80), primary_key=True),
    Column("body", Text),  # JSON; null when there is none
    Column("reason", Text),  # why there is none
    Column("needs_build", Integer, nullable=False, server_default="0"),
    Column("obtained_at", Double, nullable=False),
    comment="Core metadata of one file, or why it cannot be had. Immutable, as the file is.",
)

dependencies = Table(
    "dependencies",
    tables,
    Column("project", String(255), primary_key=True),
    Column("required", String(255), primary_key=True),
    comment="Which projects any release of a project requires: the reachable catalog in one recursive query.",
)

files = Table(
    "files",
    tables,
    Column("file", String(80), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("obtained_at", Double, nullable=False),
    comment="The blob that holds a file.",
)

local_files = Table(
    "local_files",
    tables,
    Column("path", Text, primary_key=True),
    Column("stamp", String(80), nullable=False),  # size, time of change and inode: not this? hash it again
    Column("sha256", String(64), nullable=False),
    comment="Hashes of files in folders, so that each is read once.",
)

layers = Table(
    "layers",
    tables,
    Column("wheel", String(71), primary_key=True),
    Column("family", String(64), primary_key=True),
    Column("recipe", String(64), primary_key=True),
    Column("digest", String(71), index=True),  # none: the wheel has nothing of the kind, as no modules to compile
    Column("info", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    comment="What one wheel became for one family of targets.",
)

environments = Table(
    "environments",
    tables,
    Column("key", String(71), primary_key=True),
    Column("manifest", LargeBinary, nullable=False),  # packed
    Column("lock", LargeBinary, nullable=False),  # packed
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double, nullable=False),
    Index(None, "last_used_at"),
    comment="Environments that were assembled: the manifest to stream, the lock it came from.",
)

answers = Table(
    "answers",
    tables,
    Column("request", String(71), primary_key=True),
    Column("lock", LargeBinary, nullable=False),  # packed
    Column("footprint", LargeBinary, nullable=False),  # packed
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double, nullable=False),
    Column("ends_at", Double),  # null: it holds as long as its footprint does
    Index(None, "last_used_at"),
    comment="Answers to fuzzy requests, with the revision of every listing they looked at.",
)

serials = Table(
    "serials",
    tables,
    Column("view", String(71), primary_key=True),  # a digest of the sources and of how they are united
    Column("project", String(255), primary_key=True),
    Column("revision", String(71), nullable=False),
    Column("serial", BigInteger, nullable=False, index=True),
    comment="The number of the last change of each project in a view.",
)

simple_pages = Table(
    "simple_pages",
    tables,
    Column("view", String(71), primary_key=True),
    Column("project", String(255), primary_key=True),
    Column("form", String(8), primary_key=True),
    Column("revision", String(71), nullable=False),
    Column("etag", String(71), nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("max_age", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # gzip, as it is sent
    comment="Pages of the simple API, written once for each revision.",
)

jobs = Table(
    "jobs",
    tables,
    Column("id", String(32), primary_key=True),
    Column("key", String(71), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),  # the fencing token
    Column("failures", Integer, nullable=False),  # attempts that were lost or are to be made again
    Column("scope", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # packed
    Column("result", LargeBinary),  # packed
    Column("reason", Text),
    Column("hint", Text),
    Column("worker", String(255)),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Index(None, "state", "priority", "created_at"),
    comment="What is to be made, is being made, and was made. `venvery.model.jobs` has the states.",
)
Index(
    "uq_jobs_active_key",
    jobs.c.key,
    unique=True,
    sqlite_where=jobs.c.state.in_(("queued", "running")),
    postgresql_where=jobs.c.state.in_(("queued", "running")),
)

job_events = Table(
    "job_events",
    tables,
    Column("job", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False),
    Column("at", Double, nullable=False),
    comment="What happened in a job, its log too. Lines are added and never changed.",
)

job_waits = Table(
    "job_waits",
    tables,
    Column("job", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("waits_for", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    comment="Which job waits for which other one: what it needs to build has to be built itself.",
)

workers = Table(
    "workers",
    tables,
    Column("name", String(255), primary_key=True),
    Column("scopes", Text, nullable=False),  # JSON
    Column("seen_at", Double, nullable=False),
    comment="Workers, and the families and platforms that each can build for.",
)

built_wheels = Table(
    "built_wheels",
    tables,
    Column("key", String(71), primary_key=True),  # source, family and platform, options
    Column("project", String(255), nullable=False),
    Column("filename", Text, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("glibc", Integer, nullable=False),  # the minor version of glibc 2 that it needs at least; 0: none
    Column("made_with", LargeBinary, nullable=False),  # packed: the lock of the build environment
    Column("created_at", Double, nullable=False),
    comment="The wheel that a source distribution became.",
)

built_metadata = Table(
    "built_metadata",
    tables,
    Column("key", String(71), primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    comment="The core metadata that a source distribution's back end computed.",
)


hosted_projects = Table(
    "hosted_projects",
    tables,
    Column("source", String(64), primary_key=True),  # by its name: a hosted source is nothing but its name
    Column("project", String(255), primary_key=True),
    Column("name", String(255), nullable=False),  # as its first upload wrote it
    Column("status", String(16), nullable=False, server_default="active"),  # PEP 792
    Column("status_reason", Text),
    Column("created_at", Double, nullable=False),
    comment="Projects of hosted sources. A row stays when all its files are deleted: the name stays owned.",
)

hosted_releases = Table(
    "hosted_releases",
    tables,
    Column("source", String(64), primary_key=True),
    Column("project", String(255), primary_key=True),
    Column("version", String(255), primary_key=True),  # normalised (PEP 440)
    Column("yanked", Text),  # null: not yanked; else the reason, which may be empty (PEP 592)
    Column("published_at", Double),  # null: staged, and seen by nobody
    Column("created_at", Double, nullable=False),
    Column("created_by", String(255), nullable=False),
    ForeignKeyConstraint(("source", "project"), ("hosted_projects.source", "hosted_projects.project")),
    comment="Releases of hosted projects; what is true of a release is true of all its files.",
)

hosted_files = Table(
    "hosted_files",
    tables,
    Column("source", String(64), primary_key=True),
    Column("filename", String(512), primary_key=True),
    Column("project", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("slot", String(512), nullable=False),  # the file name in its one normal form
    Column("sha256", String(64), nullable=False),  # hex
    Column("blake2b_256", String(64), nullable=False),  # hex
    Column("size", BigInteger, nullable=False),
    Column("requires_python", Text),
    Column("metadata", String(71)),  # digest of the blob with its METADATA; none for an sdist
    Column("metadata_size", BigInteger),
    Column("provenance", String(71)),  # digest of the blob with its provenance (PEP 740)
    Column("provenance_size", BigInteger),
    Column("uploaded_at", Double, nullable=False),
    Column("uploaded_by", String(255), nullable=False),
    Column("removed_at", Double),  # a tombstone: the name is never used again
    Column("removed_by", String(255)),
    UniqueConstraint("source", "slot"),
    Index(None, "source", "project"),
    Index(None, "sha256"),
    ForeignKeyConstraint(
        ("source", "project", "version"),
        ("hosted_releases.source", "hosted_releases.project", "hosted_releases.version"),
    ),
    comment="Files that were uploaded. Their blobs exist nowhere else and are never pruned.",
)

journal = Table(
    "journal",
    tables,
    Column("serial", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", String(255), nullable=False),
    Column("action", String(32), nullable=False),
    Column("source", String(64)),
    Column("project", String(255)),
    Column("version", String(255)),
    Column("filename", String(512)),
    Column("detail", Text),
    Index(None, "source", "project"),
    comment="Every change that somebody made: who, what, when. Its serial is that of the simple API.",
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    tables,
    Column("id", String(16), primary_key=True),  # what it is called in lists and in the journal
    Column("hash", String(64), nullable=False),  # SHA-256 in hex; the token itself is nowhere
    Column("note", String(255), nullable=False),
    Column("scopes", Text, nullable=False),  # separated by spaces
    Column("created_at", Double, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    UniqueConstraint("hash"),
    comment="Who may do what: tokens that were given out.",
)

blocks = Table(
    "blocks",
    tables,
    Column("pattern", String(255), primary_key=True),
    Column("specifier", String(255), primary_key=True),  # empty: every version
    Column("reason", Text, nullable=False),
    Column("blocked_at", Double, nullable=False),
    Column("blocked_by", String(255), nullable=False),
    comment="Releases that nobody gets, wherever they come from, beside those that the configuration blocks.",
)

environment_views = Table(
    "environment_views",
    tables,
    Column("key", String(71), primary_key=True),
    Column("view", String(64), primary_key=True),
    Column("fetched_at", Double, nullable=False),
    Column("fetched_by", String(255), nullable=False),
    Column("fetches", Integer, nullable=False),
    comment="Through which view an environment was had, and who had it last.",
)


def as_sql(name: str = "sqlite") -> str:
    """Write the tables as SQL. SQLite's is kept in a file, which makes a new database without SQLAlchemy."""
    dialect = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}[name]()
    made: list[DDLElement] = []
    for table in tables.sorted_tables:
        made.append(CreateTable(table))
        made += [CreateIndex(index) for index in sorted(table.indexes, key=lambda one: str(one.name))]
    lines = ";\n".join(str(one.compile(dialect=dialect)).strip() for one in made).splitlines()
    return "\n".join(line.rstrip().replace("\t", "    ") for line in lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("schema.sql").write_text(as_sql(), encoding="utf-8")
