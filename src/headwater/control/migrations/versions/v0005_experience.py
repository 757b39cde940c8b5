"""How the viewers of each session fared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_experiences",
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("livestream_id", sa.String(length=36), nullable=False),
        sa.Column("packed", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["livestream_sessions.id"], name=op.f("fk_session_experiences_session_id")
        ),
        sa.ForeignKeyConstraint(
            ["livestream_id"], ["livestreams.id"], name=op.f("fk_session_experiences_livestream_id")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_experiences")),
    )
    op.create_index(
        "ix_session_experiences_livestream_id_updated_ms",
        "session_experiences",
        ["livestream_id", "updated_ms"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_session_experiences_livestream_id_updated_ms", table_name="session_experiences")
    op.drop_table("session_experiences")
