"""Tokens, blocked releases, and through which view an environment was had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "blocks",
        sa.Column("pattern", sa.String(length=255), nullable=False),
        sa.Column("specifier", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("blocked_at", sa.Double(), nullable=False),
        sa.Column("blocked_by", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("pattern", "specifier", name=op.f("pk_blocks")),
        comment="Releases that nobody gets, wherever they come from, beside those that the configuration blocks.",
    )
    op.create_table(
        "environment_views",
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("view", sa.String(length=64), nullable=False),
        sa.Column("fetched_at", sa.Double(), nullable=False),
        sa.Column("fetched_by", sa.String(length=255), nullable=False),
        sa.Column("fetches", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "view", name=op.f("pk_environment_views")),
        comment="Through which view an environment was had, and who had it last.",
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
        comment="Who may do what: tokens that were given out.",
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("tokens")
    op.drop_table("environment_views")
    op.drop_table("blocks")
