"""Recordings have rows of their own; existing ones are filled in. Recording is switched per app and per livestream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apps", sa.Column("record", sa.Boolean(), nullable=True))
    op.add_column("livestreams", sa.Column("record", sa.Boolean(), nullable=True))
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("livestream_id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("start_reason", sa.String(length=32), nullable=False),
        sa.Column("stop_reason", sa.String(length=32), nullable=True),
        sa.Column("invoked_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("stopped_ms", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("spans", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("err_message", sa.Text(), nullable=True),
        sa.Column("clip_of", sa.String(length=36), nullable=True),
        sa.Column("clip_start", sa.Float(), nullable=True),
        sa.Column("clip_end", sa.Float(), nullable=True),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')",
            name=op.f("ck_recordings_status"),
        ),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_recordings_app_id")),
        sa.ForeignKeyConstraint(["livestream_id"], ["livestreams.id"], name=op.f("fk_recordings_livestream_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
    )
    op.create_index("ix_recordings_app_id_invoked_ms_id", "recordings", ["app_id", "invoked_ms", "id"])
    op.create_index("ix_recordings_livestream_id_invoked_ms", "recordings", ["livestream_id", "invoked_ms"])
    op.create_index("ix_recordings_node_status", "recordings", ["node", "status"])
    op.create_index(op.f("ix_recordings_clip_of"), "recordings", ["clip_of"])
    op.create_index(op.f("ix_recordings_session_id"), "recordings", ["session_id"])
    op.execute(
        """
        INSERT INTO recordings (id, app_id, livestream_id, session_id, node, status, file_name, start_reason,
            stop_reason, invoked_ms, started_ms, stopped_ms, seconds, path, created_ms, updated_ms)
        SELECT id, app_id, livestream_id, id, node, 'UPLOADED', id || '.mp4', 'RECORD_ON_START',
            'ALL_PEERS_LEFT', started_ms, started_ms, stopped_ms, ingest_seconds, recording, created_ms, updated_ms
        FROM livestream_sessions WHERE recording IS NOT NULL AND stopped_ms IS NOT NULL
        """
    )


def downgrade() -> None:
    op.drop_table("recordings")
    op.drop_column("livestreams", "record")
    op.drop_column("apps", "record")
