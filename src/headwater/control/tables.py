"""The tables, as SQLAlchemy Core; `migrations/` creates them, a test holds the two together.

    accounts ─┬─ apps ─┬─ livestreams ─┬─ livestream_sessions ─┬─ session_health
              │        │               │                       └─ session_experiences
              │        │               ├─ analytics_livestream_days
              │        │               ├─ recordings
              │        │               └─ events
              │        ├─ analytics_days, analytics_returns, analytics_overnight, analytics_overnight_recordings
              │        ├─ webhooks ─┬─ webhook_deliveries ── webhook_attempts
              │        │            └─ webhook_lanes
              │        ├─ presets ──── (participants.preset_id)
              │        └─ meetings ─┬─ participants
              │                     ├─ meeting_sessions ── meeting_peers
              │                     └─ (livestreams.meeting_id)
              └─ tokens (optionally of one app)

Times are wall-clock milliseconds since the Unix epoch: the same in SQLite and PostgreSQL, and free of time zones.
Nothing that has been broadcast is ever deleted: analytics stay true (`livestreams.deleted_ms`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only in a column that is declared INTEGER PRIMARY KEY."""


def _ms(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable)


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    _ms("created_ms"),
)

apps = Table(
    "apps",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    # Whether sessions are recorded; null: as the server's settings say.
    Column("record", Boolean, nullable=True),
    _ms("created_ms"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=True),
    Column("name", String(255), nullable=False),
    Column("permission", String(16), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    _ms("created_ms"),
    _ms("revoked_ms", nullable=True),
    CheckConstraint("permission IN ('admin', 'read')", name="permission"),
)

meetings = Table(
    "meetings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("title", String(255), nullable=True),
    Column("status", String(16), nullable=False),
    # Everything else of a meeting as the API takes it, in JSON: nothing is searched by it.
    Column("settings", Text, nullable=False),
    _ms("created_ms"),
    _ms("updated_ms"),
    CheckConstraint("status IN ('ACTIVE', 'INACTIVE')", name="status"),
    Index("ix_meetings_app_id_created_ms", "app_id", "created_ms"),
)

# Named roles. What a preset does not say, its role does (`presets.ROLES`).
presets = Table(
    "presets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    # What was given beside it, in JSON: `config`, `permissions`, `ui` as the API takes them.
    Column("settings", Text, nullable=False),
    _ms("created_ms"),
    _ms("updated_ms"),
    CheckConstraint("role IN ('host', 'participant', 'viewer')", name="role"),
    Index("uq_presets_app_id_name", "app_id", "name", unique=True),
)

participants = Table(
    "participants",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("meeting_id", String(36), ForeignKey("meetings.id"), nullable=False),
    Column("custom_participant_id", String(255), nullable=False),
    # Null only of those who were deleted, once their preset is as well.
    Column("preset_id", String(36), ForeignKey("presets.id", ondelete="SET NULL"), nullable=True, index=True),
    # The name that the preset was asked for by, where that is not its own (`presets.ALIASES`).
    Column("preset_alias", String(255), nullable=True),
    Column("name", String(255), nullable=True),
    Column("picture", Text, nullable=True),
    # Which tokens are valid: those with this number.
    Column("token_serial", Integer, nullable=False),
    # Sessions of the past name their participants: rows stay.
    _ms("deleted_ms", nullable=True),
    _ms("created_ms"),
    _ms("updated_ms"),
    Index("ix_participants_meeting_id_created_ms_id", "meeting_id", "created_ms", "id"),
    Index(
        "uq_participants_custom",
        "meeting_id",
        "custom_participant_id",
        unique=True,
        sqlite_where=text("deleted_ms IS NULL"),
        postgresql_where=text("deleted_ms IS NULL"),
    ),
)

meeting_sessions = Table(
    "meeting_sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("meeting_id", String(36), ForeignKey("meetings.id"), nullable=False),
    # The server that has the room; its own recovery closes it after a crash, nobody else's.
    Column("node", String(64), nullable=False),
    _ms("started_ms"),
    _ms("ended_ms", nullable=True),
    # Until when it is known to have been open: a crash ends it there.
    _ms("known_ms"),
    Column("end_reason", String(32), nullable=True),
    # Added up from `meeting_peers`: who is inside, and how long those were who are not any more. Those inside have
    # been there for `live * now - live_joined_ms` together, so that all sessions can be sorted by it.
    Column("live", Integer, nullable=False),
    Column("live_joined_ms", BigInteger, nullable=False),
    Column("left_ms", BigInteger, nullable=False),
    Column("most", Integer, nullable=False),
    _ms("created_ms"),
    _ms("updated_ms"),
    Index("ix_meeting_sessions_app_id_started_ms_id", "app_id", "started_ms", "id"),
    Index("ix_meeting_sessions_meeting_id_started_ms", "meeting_id", "started_ms"),
    Index(
        "uq_meeting_sessions_open",
        "meeting_id",
        unique=True,
        sqlite_where=text("ended_ms IS NULL"),
        postgresql_where=text("ended_ms IS NULL"),
    ),
)

# One stay of a participant in a session; as it was then, whatever became of the participant.
meeting_peers = Table(
    "meeting_peers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("session_id", String(36), ForeignKey("meeting_sessions.id"), nullable=False),
    Column("participant_id", String(36), nullable=False),
    Column("custom_participant_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("preset_name", String(255), nullable=False),
    _ms("joined_ms"),
    _ms("left_ms", nullable=True),
    Column("leave_reason", String(32), nullable=True),
    Index("ix_meeting_peers_session_id_joined_ms_id", "session_id", "joined_ms", "id"),
    Index("ix_meeting_peers_participant_id", "participant_id"),
)

livestreams = Table(
    "livestreams",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("meeting_id", String(36), ForeignKey("meetings.id"), nullable=True, index=True),
    Column("name", String(255), nullable=True),
    Column("status", String(16), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("stream_key", String(64), nullable=False),
    Column("stream_key_hash", String(64), nullable=False, unique=True),
    Column("playback_id", String(32), nullable=False, unique=True),
    Column("width", Integer, nullable=True),
    Column("height", Integer, nullable=True),
    # Whether sessions are recorded; null: as the app says.
    Column("record", Boolean, nullable=True),
    _ms("invoked_ms"),
    # A meeting's livestream that was stopped: its key admits nobody any more.
    _ms("ended_ms", nullable=True),
    _ms("deleted_ms", nullable=True),
    _ms("created_ms"),
    _ms("updated_ms"),
    CheckConstraint("status IN ('INVOKED', 'LIVE', 'IDLE', 'ERRORED')", name="status"),
    Index("ix_livestreams_app_id_created_ms_id", "app_id", "created_ms", "id"),
)

livestream_sessions = Table(
    "livestream_sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("livestream_id", String(36), ForeignKey("livestreams.id"), nullable=False),
    # The livestream's app again, so that an app's analytics read one index.
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    # The server that has the session; its own recovery closes it after a crash, nobody else's.
    Column("node", String(64), nullable=False),
    _ms("invoked_ms"),
    _ms("started_ms"),
    _ms("stopped_ms", nullable=True),
    # Until when the totals below are known: the last progress while it is open, then `stopped_ms`.
    _ms("known_ms"),
    Column("ingest_seconds", Float, nullable=False),
    Column("viewer_seconds", Float, nullable=False),
    Column("err_message", Text, nullable=True),
    Column("recording", Text, nullable=True),
    Column("encoder", String(255), nullable=False),
    # Whether it is in the roll-ups, fixed as it ends.
    Column("counted", Boolean, nullable=False, server_default=false()),
    _ms("created_ms"),
    _ms("updated_ms"),
    Index("ix_livestream_sessions_livestream_id_started_ms", "livestream_id", "started_ms"),
    Index(
        "ix_livestream_sessions_counted",
        "app_id",
        "started_ms",
        sqlite_where=text("counted = 1"),
        postgresql_where=text("counted"),
    ),
    Index(
        "ix_livestream_sessions_open",
        "app_id",
        sqlite_where=text("stopped_ms IS NULL"),
        postgresql_where=text("stopped_ms IS NULL"),
    ),
    Index(
        "uq_livestream_sessions_open",
        "livestream_id",
        unique=True,
        sqlite_where=text("stopped_ms IS NULL"),
        postgresql_where=text("stopped_ms IS NULL"),
    ),
)


def _day(name: str = "day") -> Column[Any]:
    """A UTC day as its number since the Unix epoch."""
    return Column(name, Integer, primary_key=True)


# Roll-ups of the ended sessions that count, and of recordings; `repository/analytics.py` says what they are for.
analytics_days = Table(
    "analytics_days",
    metadata,
    Column("app_id", String(36), ForeignKey("apps.id"), primary_key=True),
    _day(),
    Column("sessions", BigInteger, nullable=False),
    _ms("session_ms"),
    _ms("ingest_ms"),
    _ms("viewer_ms"),
    Column("recordings", BigInteger, nullable=False),
    _ms("recorded_ms"),
    sqlite_with_rowid=False,
)

analytics_livestream_days = Table(
    "analytics_livestream_days",
    metadata,
    Column("livestream_id", String(36), ForeignKey("livestreams.id"), primary_key=True),
    _day(),
    sqlite_with_rowid=False,
)

analytics_returns = Table(
    "analytics_returns",
    metadata,
    Column("app_id", String(36), ForeignKey("apps.id"), primary_key=True),
    _day(),
    _day("previous_day"),
    Column("livestreams", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

analytics_overnight = Table(
    "analytics_overnight",
    metadata,
    Column("app_id", String(36), ForeignKey("apps.id"), primary_key=True),
    _day(),
    Column("session_id", String(36), ForeignKey("livestream_sessions.id"), primary_key=True),
    sqlite_with_rowid=False,
)

analytics_overnight_recordings = Table(
    "analytics_overnight_recordings",
    metadata,
    Column("app_id", String(36), ForeignKey("apps.id"), primary_key=True),
    _day(),
    Column("recording_id", String(36), ForeignKey("recordings.id"), primary_key=True),
    sqlite_with_rowid=False,
)

RECORDING_NOW: Final = "status IN ('RECORDING', 'PAUSED', 'UPLOADING') AND path IS NULL AND clip_of IS NULL"
"""Recordings that have begun and whose file is not whole. Questions say it in these words: so its index is used."""

recordings = Table(
    "recordings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False),
    Column("livestream_id", String(36), ForeignKey("livestreams.id"), nullable=False),
    Column("session_id", String(36), nullable=False, index=True),
    # The server that has the file.
    Column("node", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("start_reason", String(32), nullable=False),
    Column("stop_reason", String(32), nullable=True),
    _ms("invoked_ms"),
    _ms("started_ms", nullable=True),
    _ms("stopped_ms", nullable=True),
    # How long it plays.
    Column("seconds", Float, nullable=True),
    # JSON: wall times between which it records; null: the whole session.
    Column("spans", Text, nullable=True),
    # Below the data folder; null until the file is whole. It stays when the file is removed.
    Column("path", Text, nullable=True),
    Column("file_size", BigInteger, nullable=True),
    Column("err_message", Text, nullable=True),
    # A clip: of which recording, and its seconds from the beginning of that.
    Column("clip_of", String(36), nullable=True, index=True),
    Column("clip_start", Float, nullable=True),
    Column("clip_end", Float, nullable=True),
    # Its name in the store, once it is there whole; SHA-256 of the file.
    Column("remote", Text, nullable=True),
    Column("sha256", String(64), nullable=True),
    # When the file was deleted; the row stays.
    _ms("removed_ms", nullable=True),
    # It is in the roll-ups; `repository/takes.py`.
    Column("counted", Boolean, nullable=False, server_default=false()),
    _ms("created_ms"),
    _ms("updated_ms"),
    CheckConstraint("status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')", name="status"),
    Index("ix_recordings_app_id_invoked_ms_id", "app_id", "invoked_ms", "id"),
    Index("ix_recordings_livestream_id_invoked_ms", "livestream_id", "invoked_ms"),
    Index("ix_recordings_node_status", "node", "status"),
    Index(
        "ix_recordings_counted",
        "app_id",
        "started_ms",
        sqlite_where=text("counted = 1"),
        postgresql_where=text("counted"),
    ),
    Index(
        "ix_recordings_going_on",
        "app_id",
        sqlite_where=text(RECORDING_NOW),
        postgresql_where=text(RECORDING_NOW),
    ),
)

# How media arrived, some ten seconds a row: `headwater.health.HealthSample`s, in MessagePack.
session_health = Table(
    "session_health",
    metadata,
    Column("session_id", String(36), ForeignKey("livestream_sessions.id"), primary_key=True),
    Column("first_ms", BigInteger, primary_key=True),
    Column("samples", LargeBinary, nullable=False),
    Index("ix_session_health_first_ms", "first_ms"),
)

session_experiences = Table(
    "session_experiences",
    metadata,
    Column("session_id", String(36), ForeignKey("livestream_sessions.id"), primary_key=True),
    Column("livestream_id", String(36), ForeignKey("livestreams.id"), nullable=False),
    # How all viewers of the session fared, added up: nothing of any one of them.
    Column("packed", Text, nullable=False),
    _ms("updated_ms"),
    Index("ix_session_experiences_livestream_id_updated_ms", "livestream_id", "updated_ms"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("livestream_id", String(36), ForeignKey("livestreams.id"), nullable=False),
    Column("session_id", String(36), nullable=True),
    _ms("at_ms"),
    Column("kind", String(32), nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_events_livestream_id_id", "livestream_id", "id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("app_id", String(36), ForeignKey("apps.id"), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("url", Text, nullable=False),
    # A JSON array of event names: an app has few webhooks, and they are always read together.
    Column("events", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    _ms("created_ms"),
    _ms("updated_ms"),
)

# The outbox, and the log of what became of it: an event for one webhook. It is written in the transaction of the change
# that it tells; `seq` is the order of a lane, because whoever adds to a lane holds the lock of what it is about.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("webhook_id", String(36), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("event", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status_code", Integer, nullable=True),
    Column("error", Text, nullable=True),
    _ms("created_ms"),
    # When the present round of attempts began: `created_ms`, or when it was sent again by hand.
    _ms("queued_ms"),
    _ms("finished_ms", nullable=True),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    Index("ix_webhook_deliveries_webhook_id_state_seq", "webhook_id", "state", "seq"),
    Index(
        "ix_webhook_deliveries_waiting",
        "webhook_id",
        "lane",
        "seq",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)

# A lane is what has to stay in order: the events about one livestream (or meeting) for one webhook. It is there while
# any of them wait; who delivers holds a lease, because several servers may share a database.
webhook_lanes = Table(
    "webhook_lanes",
    metadata,
    Column("webhook_id", String(36), ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True),
    Column("lane", String(64), primary_key=True),
    _ms("next_ms"),
    _ms("leased_until_ms"),
    Column("node", String(64), nullable=False),
    Index("ix_webhook_lanes_next_ms", "next_ms"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("delivery_seq", BigInteger, ForeignKey("webhook_deliveries.seq", ondelete="CASCADE"), nullable=False),
    _ms("at_ms"),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer, nullable=True),
    Column("answer", Text, nullable=False),
    Column("error", Text, nullable=True),
    Index("ix_webhook_attempts_delivery_seq_id", "delivery_seq", "id"),
)

# One row: the key that all servers of this database sign webhooks with.
webhook_key = Table(
    "webhook_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("private_pem", Text, nullable=False),
    _ms("created_ms"),
    CheckConstraint("id = 1", name="one"),
)

# What this database signs by, one row a use: all its servers know the same.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("secret", String(128), nullable=False),
    _ms("created_ms"),
)
