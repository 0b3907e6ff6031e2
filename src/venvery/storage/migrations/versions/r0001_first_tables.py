"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "answers",
        sa.Column("request", sa.String(length=71), nullable=False),
        sa.Column("lock", sa.LargeBinary(), nullable=False),
        sa.Column("footprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_answers")),
        comment="Answers to fuzzy requests, with the revision of every listing they looked at.",
    )
    op.create_index(op.f("ix_answers_last_used_at"), "answers", ["last_used_at"], unique=False)
    op.create_table(
        "core_metadata",
        sa.Column("file", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("needs_build", sa.Integer(), server_default="0", nullable=False),
        sa.Column("obtained_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_core_metadata")),
        comment="Core metadata of one file, or why it cannot be had. Immutable, as the file is.",
    )
    op.create_table(
        "dependencies",
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("required", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("project", "required", name=op.f("pk_dependencies")),
        comment="Which projects any release of a project requires: the reachable catalog in one recursive query.",
    )
    op.create_table(
        "environments",
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("lock", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_environments")),
        comment="Environments that were assembled: the manifest to stream, the lock it came from.",
    )
    op.create_index(op.f("ix_environments_last_used_at"), "environments", ["last_used_at"], unique=False)
    op.create_table(
        "files",
        sa.Column("file", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("obtained_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_files")),
        comment="The blob that holds a file.",
    )
    op.create_table(
        "hosts",
        sa.Column("origin", sa.String(length=255), nullable=False),
        sa.Column("ability", sa.String(length=32), nullable=False),
        sa.Column("works", sa.Integer(), nullable=False),
        sa.Column("checked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "ability", name=op.f("pk_hosts")),
        comment="What a host of files was found to do: serve metadata beside wheels, answer range requests.",
    )
    op.create_table(
        "layers",
        sa.Column("wheel", sa.String(length=71), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=True),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("wheel", "family", "recipe", name=op.f("pk_layers")),
        comment="What one wheel became for one family of targets.",
    )
    op.create_index(op.f("ix_layers_digest"), "layers", ["digest"], unique=False)
    op.create_table(
        "local_files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("stamp", sa.String(length=80), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_local_files")),
        comment="Hashes of files in folders, so that each is read once.",
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("digest", name=op.f("uq_sources_digest")),
        comment="Where listings come from, by what they are and not by the name that a configuration gives them.",
    )
    op.create_table(
        "listings",
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("revision", sa.String(length=71), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("body", sa.String(length=71), nullable=True),
        sa.Column("checked_at", sa.Double(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source"], ["sources.id"], name=op.f("fk_listings_source_sources"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source", "project", name=op.f("pk_listings")),
        comment="One project page of one source, parsed; loaded by reading one row.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("listings")
    op.drop_table("sources")
    op.drop_table("local_files")
    op.drop_table("layers")
    op.drop_table("hosts")
    op.drop_table("files")
    op.drop_table("environments")
    op.drop_table("dependencies")
    op.drop_table("core_metadata")
    op.drop_table("answers")
