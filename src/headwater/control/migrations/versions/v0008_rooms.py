"""Rooms: presets, participants, meeting sessions and who was in them; the key of participants' tokens."""

from __future__ import annotations

import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ROLES = ("host", "participant", "viewer")


def upgrade() -> None:
    op.create_table(
        "presets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('host', 'participant', 'viewer')", name=op.f("ck_presets_role")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_presets_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presets")),
    )
    op.create_index("uq_presets_app_id_name", "presets", ["app_id", "name"], unique=True)
    _give_presets_to_apps()
    _create_participants()
    _create_sessions()
    op.create_table(
        "signing_keys",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.String(length=128), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_signing_keys")),
    )


def _give_presets_to_apps() -> None:
    """Apps that are there get what new ones are made with."""
    conn = op.get_bind()
    now_ms = time.time_ns() // 1_000_000
    presets = sa.table(
        "presets", *map(sa.column, ("id", "app_id", "name", "role", "settings", "created_ms", "updated_ms"))
    )
    for (app_id,) in conn.execute(sa.text("SELECT id FROM apps")).all():
        for role in _ROLES:
            values = {"id": str(uuid.uuid4()), "app_id": app_id, "name": role, "role": role, "settings": "{}"}
            conn.execute(presets.insert().values(**values, created_ms=now_ms, updated_ms=now_ms))


def _create_participants() -> None:
    op.create_table(
        "participants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("meeting_id", sa.String(length=36), nullable=False),
        sa.Column("custom_participant_id", sa.String(length=255), nullable=False),
        sa.Column("preset_id", sa.String(length=36), nullable=True),
        sa.Column("preset_alias", sa.String(length=255), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("picture", sa.Text(), nullable=True),
        sa.Column("token_serial", sa.Integer(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_participants_app_id")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_participants_meeting_id")),
        sa.ForeignKeyConstraint(
            ["preset_id"], ["presets.id"], name=op.f("fk_participants_preset_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participants")),
    )
    op.create_index(op.f("ix_participants_preset_id"), "participants", ["preset_id"], unique=False)
    op.create_index(
        "ix_participants_meeting_id_created_ms_id", "participants", ["meeting_id", "created_ms", "id"], unique=False
    )
    op.create_index(
        "uq_participants_custom",
        "participants",
        ["meeting_id", "custom_participant_id"],
        unique=True,
        sqlite_where=sa.text("deleted_ms IS NULL"),
        postgresql_where=sa.text("deleted_ms IS NULL"),
    )


def _create_sessions() -> None:
    op.create_table(
        "meeting_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("meeting_id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("known_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_reason", sa.String(length=32), nullable=True),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("live_joined_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_meeting_sessions_app_id")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_meeting_sessions_meeting_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting_sessions")),
    )
    op.create_index(
        "ix_meeting_sessions_app_id_started_ms_id", "meeting_sessions", ["app_id", "started_ms", "id"], unique=False
    )
    op.create_index(
        "ix_meeting_sessions_meeting_id_started_ms", "meeting_sessions", ["meeting_id", "started_ms"], unique=False
    )
    op.create_index(
        "uq_meeting_sessions_open",
        "meeting_sessions",
        ["meeting_id"],
        unique=True,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )
    op.create_table(
        "meeting_peers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=False),
        sa.Column("participant_id", sa.String(length=36), nullable=False),
        sa.Column("custom_participant_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("preset_name", sa.String(length=255), nullable=False),
        sa.Column("joined_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.Column("leave_reason", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["meeting_sessions.id"], name=op.f("fk_meeting_peers_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting_peers")),
    )
    op.create_index(
        "ix_meeting_peers_session_id_joined_ms_id", "meeting_peers", ["session_id", "joined_ms", "id"], unique=False
    )
    op.create_index("ix_meeting_peers_participant_id", "meeting_peers", ["participant_id"], unique=False)


def downgrade() -> None:
    for table in ("signing_keys", "meeting_peers", "meeting_sessions", "participants", "presets"):
        op.drop_table(table)
