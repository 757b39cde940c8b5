"""Analytics of an app: totals of a time range, and day by day. Computed from the durable sessions."""

from __future__ import annotations

from headwater.analytics.days import DAY_MS, Day, day_start
from headwater.analytics.sessions import by_day, totals
from headwater.control.api.call import AnyCall, Call
from headwater.control.api.errors import ApiError
from headwater.control.api.operations import APP, Operation
from headwater.control.api.schemas import (
    Answer,
    DateRange,
    ListAnswer,
    LivestreamDay,
    LivestreamTotals,
    OrgAnalytics,
    RecordingDay,
    RecordingStats,
    SessionDay,
    SessionStats,
    TimeRange,
)
from headwater.control.api.times import FARTHEST_MS, check_range, day_name, parse_date, parse_time
from headwater.control.tables import livestream_sessions

DEFAULT_DAYS = 30

DAYS_LIMIT = 400
"""Days of one answer: a year and a month, some 40 KB."""


async def overall(call: Call[TimeRange, None]) -> Answer[LivestreamTotals]:
    from_ms = parse_time("start_time", call.query.start_time)
    to_ms = parse_time("end_time", call.query.end_time)
    check_range(from_ms, to_ms)
    await call.service.settled()
    async with call.service.database.read() as conn:
        sums = await totals(
            conn,
            livestream_sessions,
            call.app_id,
            0 if from_ms is None else from_ms,
            FARTHEST_MS if to_ms is None else to_ms,
        )
    return Answer(LivestreamTotals(sums.livestreams, round(sums.ingest_seconds), round(sums.viewer_seconds)))


async def livestreams_daywise(call: Call[TimeRange, None]) -> ListAnswer[LivestreamDay]:
    from_ms = parse_time("start_time", call.query.start_time)
    to_ms = parse_time("end_time", call.query.end_time)
    check_range(from_ms, to_ms)
    to_ms = call.now_ms + 1 if to_ms is None else to_ms
    from_ms = day_start(to_ms) - DEFAULT_DAYS * DAY_MS if from_ms is None else from_ms
    days = await _days(call, "time", max(from_ms, 0), to_ms)
    return ListAnswer(
        [
            LivestreamDay(day_name(day.start_ms), day.sessions, round(day.ingest_seconds), round(day.viewer_seconds))
            for day in days
        ]
    )


async def org_daywise(call: Call[DateRange, None]) -> Answer[OrgAnalytics]:
    from_ms = parse_date("start_date", call.query.start_date)
    last_ms = parse_date("end_date", call.query.end_date)
    check_range(from_ms, last_ms, "date")
    last_ms = day_start(call.now_ms) if last_ms is None else last_ms
    from_ms = last_ms - DEFAULT_DAYS * DAY_MS if from_ms is None else from_ms
    days = await _days(call, "date", max(from_ms, 0), last_ms + DAY_MS)
    return Answer(OrgAnalytics(_recording_stats(days), _session_stats(days)))


async def _days(call: AnyCall, unit: str, from_ms: int, to_ms: int) -> list[Day]:
    if to_ms < from_ms:
        raise ApiError(400, f"start_{unit}: it lies in the future")
    if to_ms - from_ms > DAYS_LIMIT * DAY_MS:
        raise ApiError(400, f"start_{unit}: the time range is longer than {DAYS_LIMIT} days")
    await call.service.settled()
    async with call.service.database.read() as conn:
        return await by_day(conn, livestream_sessions, call.app_id, from_ms, to_ms)


def _recording_stats(days: list[Day]) -> RecordingStats:
    return RecordingStats(
        day_stats=[
            RecordingDay(day_name(day.start_ms), round(day.recorded_seconds / 60), day.recordings) for day in days
        ],
        recording_count=sum(day.recordings for day in days),
        recording_minutes_consumed=_minutes(sum(day.recorded_seconds for day in days)),
    )


def _session_stats(days: list[Day]) -> SessionStats:
    return SessionStats(
        day_stats=[SessionDay(day_name(day.start_ms), _minutes(day.session_ms / 1000), day.sessions) for day in days],
        sessions_count=sum(day.sessions for day in days),
        sessions_minutes_consumed=_minutes(sum(day.session_ms for day in days) / 1000),
    )


def _minutes(seconds: float) -> float:
    return round(seconds / 60, 3)


_ANALYTICS = APP + "/analytics"

OPERATIONS = [
    Operation(
        "get_livestream_analytics_complete",
        "GET",
        _ANALYTICS + "/livestreams/overall",
        "Fetch complete analytics data for your livestreams",
        overall,
        Answer[LivestreamTotals],
        query=TimeRange,
        tag="Analytics",
    ),
    Operation(
        "get_livestream_analytics_daywise",
        "GET",
        _ANALYTICS + "/livestreams/daywise",
        "Fetch day-wise analytics data for your livestreams",
        livestreams_daywise,
        ListAnswer[LivestreamDay],
        query=TimeRange,
        tag="Analytics",
    ),
    Operation(
        "get_org_analytics",
        "GET",
        _ANALYTICS + "/daywise",
        "Fetch day-wise session and recording analytics data for an App",
        org_daywise,
        Answer[OrgAnalytics],
        query=DateRange,
        tag="Analytics",
    ),
]
