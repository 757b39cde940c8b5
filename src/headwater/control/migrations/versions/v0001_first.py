"""The first schema; `tables.py` describes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "apps",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_apps_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
    )
    op.create_index(op.f("ix_apps_account_id"), "apps", ["account_id"], unique=False)
    op.create_table(
        "meetings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'INACTIVE')", name=op.f("ck_meetings_status")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_meetings_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meetings")),
    )
    op.create_index("ix_meetings_app_id_created_ms", "meetings", ["app_id", "created_ms"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("permission", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("permission IN ('admin', 'read')", name=op.f("ck_tokens_permission")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_tokens_account_id")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_tokens_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index(op.f("ix_tokens_account_id"), "tokens", ["account_id"], unique=False)
    op.create_table(
        "livestreams",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("meeting_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("stream_key", sa.String(length=64), nullable=False),
        sa.Column("stream_key_hash", sa.String(length=64), nullable=False),
        sa.Column("playback_id", sa.String(length=32), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("invoked_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('INVOKED', 'LIVE', 'IDLE', 'ERRORED')", name=op.f("ck_livestreams_status")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_livestreams_app_id")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meetings.id"], name=op.f("fk_livestreams_meeting_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_livestreams")),
        sa.UniqueConstraint("playback_id", name=op.f("uq_livestreams_playback_id")),
        sa.UniqueConstraint("stream_key_hash", name=op.f("uq_livestreams_stream_key_hash")),
    )
    op.create_index("ix_livestreams_app_id_created_ms_id", "livestreams", ["app_id", "created_ms", "id"], unique=False)
    op.create_index(op.f("ix_livestreams_meeting_id"), "livestreams", ["meeting_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("livestream_id", sa.String(length=36), nullable=False),
        sa.Column("session_id", sa.String(length=36), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["livestream_id"], ["livestreams.id"], name=op.f("fk_events_livestream_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_livestream_id_id", "events", ["livestream_id", "id"], unique=False)
    op.create_table(
        "livestream_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("livestream_id", sa.String(length=36), nullable=False),
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("invoked_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("stopped_ms", sa.BigInteger(), nullable=True),
        sa.Column("known_ms", sa.BigInteger(), nullable=False),
        sa.Column("ingest_seconds", sa.Float(), nullable=False),
        sa.Column("viewer_seconds", sa.Float(), nullable=False),
        sa.Column("err_message", sa.Text(), nullable=True),
        sa.Column("recording", sa.Text(), nullable=True),
        sa.Column("encoder", sa.String(length=255), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_livestream_sessions_app_id")),
        sa.ForeignKeyConstraint(
            ["livestream_id"], ["livestreams.id"], name=op.f("fk_livestream_sessions_livestream_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_livestream_sessions")),
    )
    op.create_index(
        "ix_livestream_sessions_app_id_known_ms", "livestream_sessions", ["app_id", "known_ms"], unique=False
    )
    op.create_index(
        "ix_livestream_sessions_livestream_id_started_ms",
        "livestream_sessions",
        ["livestream_id", "started_ms"],
        unique=False,
    )
    op.create_index(
        "uq_livestream_sessions_open",
        "livestream_sessions",
        ["livestream_id"],
        unique=True,
        sqlite_where=sa.text("stopped_ms IS NULL"),
        postgresql_where=sa.text("stopped_ms IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_livestream_sessions_open",
        table_name="livestream_sessions",
        sqlite_where=sa.text("stopped_ms IS NULL"),
        postgresql_where=sa.text("stopped_ms IS NULL"),
    )
    op.drop_index("ix_livestream_sessions_livestream_id_started_ms", table_name="livestream_sessions")
    op.drop_index("ix_livestream_sessions_app_id_known_ms", table_name="livestream_sessions")
    op.drop_table("livestream_sessions")
    op.drop_index("ix_events_livestream_id_id", table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_livestreams_meeting_id"), table_name="livestreams")
    op.drop_index("ix_livestreams_app_id_created_ms_id", table_name="livestreams")
    op.drop_table("livestreams")
    op.drop_index(op.f("ix_tokens_account_id"), table_name="tokens")
    op.drop_table("tokens")
    op.drop_index("ix_meetings_app_id_created_ms", table_name="meetings")
    op.drop_table("meetings")
    op.drop_index(op.f("ix_apps_account_id"), table_name="apps")
    op.drop_table("apps")
    op.drop_table("accounts")
