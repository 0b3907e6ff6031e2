"""Answers that end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Let an answer end although nothing that it rests on has changed."""
    op.add_column("answers", sa.Column("ends_at", sa.Double(), nullable=True))


def downgrade() -> None:
    """Forget all answers: who does not know when they end must not give them."""
    op.execute("DELETE FROM answers")
    with op.batch_alter_table("answers") as table:
        table.drop_column("ends_at")
