"""Pages of the simple API as they were written, and serials."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "serials",
        sa.Column("view", sa.String(length=71), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.String(length=71), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("view", "project", name=op.f("pk_serials")),
        comment="The number of the last change of each project in a view.",
    )
    op.create_index(op.f("ix_serials_serial"), "serials", ["serial"], unique=False)
    op.create_table(
        "simple_pages",
        sa.Column("view", sa.String(length=71), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("form", sa.String(length=8), nullable=False),
        sa.Column("revision", sa.String(length=71), nullable=False),
        sa.Column("etag", sa.String(length=71), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("max_age", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("view", "project", "form", name=op.f("pk_simple_pages")),
        comment="Pages of the simple API, written once for each revision.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("simple_pages")
    op.drop_table("serials")
