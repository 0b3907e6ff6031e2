"""Jobs, the workers that do them, and what was built."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "built_metadata",
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_built_metadata")),
        comment="The core metadata that a source distribution's back end computed.",
    )
    op.create_table(
        "built_wheels",
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("glibc", sa.Integer(), nullable=False),
        sa.Column("made_with", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_built_wheels")),
        comment="The wheel that a source distribution became.",
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        comment="What is to be made, is being made, and was made. `venvery.model.jobs` has the states.",
    )
    op.create_index(op.f("ix_jobs_key"), "jobs", ["key"], unique=False)
    op.create_index(
        op.f("ix_jobs_state_priority_created_at"), "jobs", ["state", "priority", "created_at"], unique=False
    )
    op.create_index(
        "uq_jobs_active_key",
        "jobs",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
        comment="Workers, and the families and platforms that each can build for.",
    )
    op.create_table(
        "job_events",
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_events_job_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job", "number", name=op.f("pk_job_events")),
        comment="What happened in a job, its log too. Lines are added and never changed.",
    )
    op.create_table(
        "job_waits",
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("waits_for", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_waits_job_jobs"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["waits_for"], ["jobs.id"], name=op.f("fk_job_waits_waits_for_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "waits_for", name=op.f("pk_job_waits")),
        comment="Which job waits for which other one: what it needs to build has to be built itself.",
    )
