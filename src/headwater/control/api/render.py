"""Rows as answers."""

from __future__ import annotations

from dataclasses import replace

from headwater import health
from headwater.control.api.call import AnyCall
from headwater.control.api.schemas import (
    ActiveSession,
    App,
    HealthSample,
    HealthWarning,
    Livestream,
    LivestreamWithSessions,
    PagedAnswer,
    Paging,
    Session,
    SessionDetails,
    SessionHealth,
    StatusName,
)
from headwater.control.api.times import iso, iso_or_none
from headwater.control.lifecycle import Status
from headwater.control.repository.accounts import AppRow
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.sessions import SessionRow
from headwater.events import LiveSnapshot

HEALTH_SAMPLES = 3600
"""Of one answer: an hour by the second; of a longer time each stands for some seconds. About 600 KB."""


def status_of(call: AnyCall, row: LivestreamRow) -> StatusName:
    """The status now: a playable broadcast is LIVE, whether or not that has reached the database."""
    snapshot = call.service.broadcasts.live(row.id)
    return Status.LIVE.value if snapshot is not None and snapshot.playable else Status(row.status).value


def stream_key_of(call: AnyCall, row: LivestreamRow) -> str:
    """The key, for those who may publish by it: leave to read is not leave to publish."""
    return row.stream_key if call.is_admin else ""


def ingest_server(call: AnyCall) -> str:
    return call.service.urls.ingest(call.scheme, call.host)


def playback_url(call: AnyCall, row: LivestreamRow) -> str:
    return call.service.urls.playback(row.playback_id, call.scheme, call.host)


def livestream(call: AnyCall, row: LivestreamRow) -> Livestream:
    return Livestream(
        id=row.id,
        created_at=iso(row.created_ms),
        disabled="disabled" if row.disabled else "",
        ingest_server=ingest_server(call),
        meeting_id=row.meeting_id,
        name=row.name,
        playback_url=playback_url(call, row),
        record=row.record,
        status=status_of(call, row),
        stream_key=stream_key_of(call, row),
        updated_at=iso(row.updated_ms),
    )


def current(call: AnyCall, row: SessionRow) -> SessionRow:
    """An open session with its totals as of now."""
    if row.stopped_ms is not None:
        return row
    snapshot = call.service.broadcasts.live(row.livestream_id)
    if snapshot is None or snapshot.session_id != row.id:
        return row
    return with_totals(row, snapshot, call.now_ms)


def with_totals(row: SessionRow, snapshot: LiveSnapshot, now_ms: int) -> SessionRow:
    return replace(
        row,
        ingest_seconds=snapshot.ingest_seconds,
        viewer_seconds=snapshot.viewer_seconds,
        known_ms=now_ms,
        updated_ms=now_ms,
    )


def session(call: AnyCall, row: SessionRow) -> Session:
    row = current(call, row)
    return Session(
        id=row.id,
        created_at=iso(row.created_ms),
        err_message=row.err_message,
        ingest_seconds=_rounded(row.ingest_seconds),
        invoked_time=iso(row.invoked_ms),
        livestream_id=row.livestream_id,
        started_time=iso(row.started_ms),
        stopped_time=iso_or_none(row.stopped_ms),
        updated_at=iso(row.updated_ms),
        viewer_seconds=_rounded(row.viewer_seconds),
    )


def active_session(call: AnyCall, row: SessionRow) -> ActiveSession:
    row = current(call, row)
    return ActiveSession(
        id=row.id,
        created_at=iso(row.created_ms),
        err_message=row.err_message,
        ingest_seconds=_decimal(row.ingest_seconds),
        invoked_time=iso(row.invoked_ms),
        livestream_id=row.livestream_id,
        started_time=iso(row.started_ms),
        stopped_time=iso_or_none(row.stopped_ms),
        updated_at=iso(row.updated_ms),
        viewer_seconds=_decimal(row.viewer_seconds),
    )


def session_details(call: AnyCall, row: SessionRow) -> SessionDetails:
    row = current(call, row)
    return SessionDetails(
        id=row.id,
        created_at=iso(row.created_ms),
        err_message=row.err_message,
        ingest_seconds=round(row.ingest_seconds),
        invoked_time=iso(row.invoked_ms),
        livestream_id=row.livestream_id,
        started_time=iso(row.started_ms),
        stopped_time=iso_or_none(row.stopped_ms),
        updated_at=iso(row.updated_ms),
        viewer_seconds=round(row.viewer_seconds),
    )


def session_health(row: SessionRow, samples: list[health.HealthSample]) -> SessionHealth:
    return SessionHealth(
        session_id=row.id,
        encoder=row.encoder,
        warnings=[HealthWarning(entry.code, entry.message) for entry in health.advise(samples)],
        samples=[
            HealthSample(
                at=iso(sample.at_ms),
                video_bps=sample.video_bps,
                audio_bps=sample.audio_bps,
                frame_rate=sample.frame_rate,
                keyframe_interval_ms=sample.keyframe_interval_ms,
                dropped=sample.dropped,
                jumps=sample.jumps,
                late_ms=sample.late_ms,
                rtt_ms=sample.rtt_ms,
                viewers=sample.viewers,
                audio_peak_db=sample.audio_peak_db,
                audio_rms_db=sample.audio_rms_db,
            )
            for sample in health.thin(samples, HEALTH_SAMPLES)
        ],
    )


def livestream_with_sessions(
    call: AnyCall, row: LivestreamRow, latest: SessionRow | None, page: list[SessionRow], shown: Paging
) -> PagedAnswer[LivestreamWithSessions]:
    data = LivestreamWithSessions(
        livestream=livestream(call, row),
        session=None if latest is None else session(call, latest),
        sessions=[session(call, entry) for entry in page],
        paging=shown,
    )
    return PagedAnswer(data, shown)


def app(row: AppRow) -> App:
    return App(row.id, iso(row.created_ms), row.name, row.record)


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _decimal(seconds: float) -> str:
    """`61.25`, `60`: no exponent, no trailing zeros."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
