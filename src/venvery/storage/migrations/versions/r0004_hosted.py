"""The hosted sources: projects, releases, files; and the journal of every change."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "hosted_projects",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("source", "project", name=op.f("pk_hosted_projects")),
        comment="Projects of hosted sources. A row stays when all its files are deleted: the name stays owned.",
    )
    op.create_table(
        "journal",
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("project", sa.String(length=255), nullable=True),
        sa.Column("version", sa.String(length=255), nullable=True),
        sa.Column("filename", sa.String(length=512), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_journal")),
        comment="Every change that somebody made: who, what, when. Its serial is that of the simple API.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_journal_source_project"), "journal", ["source", "project"], unique=False)
    op.create_table(
        "hosted_releases",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("yanked", sa.Text(), nullable=True),
        sa.Column("published_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["source", "project"],
            ["hosted_projects.source", "hosted_projects.project"],
            name=op.f("fk_hosted_releases_source_hosted_projects"),
        ),
        sa.PrimaryKeyConstraint("source", "project", "version", name=op.f("pk_hosted_releases")),
        comment="Releases of hosted projects; what is true of a release is true of all its files.",
    )
    op.create_table(
        "hosted_files",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("filename", sa.String(length=512), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("slot", sa.String(length=512), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("blake2b_256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("requires_python", sa.Text(), nullable=True),
        sa.Column("metadata", sa.String(length=71), nullable=True),
        sa.Column("metadata_size", sa.BigInteger(), nullable=True),
        sa.Column("provenance", sa.String(length=71), nullable=True),
        sa.Column("provenance_size", sa.BigInteger(), nullable=True),
        sa.Column("uploaded_at", sa.Double(), nullable=False),
        sa.Column("uploaded_by", sa.String(length=255), nullable=False),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.Column("removed_by", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["source", "project", "version"],
            ["hosted_releases.source", "hosted_releases.project", "hosted_releases.version"],
            name=op.f("fk_hosted_files_source_hosted_releases"),
        ),
        sa.PrimaryKeyConstraint("source", "filename", name=op.f("pk_hosted_files")),
        sa.UniqueConstraint("source", "slot", name=op.f("uq_hosted_files_source_slot")),
        comment="Files that were uploaded. Their blobs exist nowhere else and are never pruned.",
    )
    op.create_index(op.f("ix_hosted_files_sha256"), "hosted_files", ["sha256"], unique=False)
    op.create_index(op.f("ix_hosted_files_source_project"), "hosted_files", ["source", "project"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f("ix_hosted_files_source_project"), table_name="hosted_files")
    op.drop_index(op.f("ix_hosted_files_sha256"), table_name="hosted_files")
    op.drop_table("hosted_files")
    op.drop_table("hosted_releases")
    op.drop_index(op.f("ix_journal_source_project"), table_name="journal")
    op.drop_table("journal")
    op.drop_table("hosted_projects")
