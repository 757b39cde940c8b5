"""How media arrived in a session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_health",
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["livestream_sessions.id"], name=op.f("fk_session_health_session_id")),
        sa.PrimaryKeyConstraint("session_id", "first_ms", name=op.f("pk_session_health")),
    )
    op.create_index("ix_session_health_first_ms", "session_health", ["first_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("session_health")
