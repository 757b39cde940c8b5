"""Analytics of an app: totals of a time range, and day by day; what goes on counts as it is now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS, Sums, day_start
from headwater.control.api.call import AnyCall, Call
from headwater.control.api.errors import ApiError
from headwater.control.api.operations import APP, Operation
from headwater.control.api.render import current
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
from headwater.control.repository import analytics, sessions, takes
from headwater.control.repository.analytics import Running

DEFAULT_DAYS = 30

DAYS_LIMIT = 400
"""Days of one answer: a year and a month, some 40 KB."""


async def overall(call: Call[TimeRange, None]) -> Answer[LivestreamTotals]:
    from_ms, to_ms = _time_range(call, FARTHEST_MS + 1)
    async with _reading(call) as (conn, running):
        found = await analytics.totals(conn, call.app_id, from_ms, to_ms, running)
    sums = found.sums
    return Answer(LivestreamTotals(found.livestreams, _seconds(sums.ingest_ms), _seconds(sums.viewer_ms)))


async def livestreams_daywise(call: Call[TimeRange, None]) -> ListAnswer[LivestreamDay]:
    from_ms, to_ms = _time_range(call, day_start(call.now_ms) + DAY_MS)
    days = await _days(call, "time", from_ms, to_ms)
    return ListAnswer(
        [
            LivestreamDay(day, sums.sessions, _seconds(sums.ingest_ms), _seconds(sums.viewer_ms))
            for day, sums in days.items()
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


def _time_range(call: Call[TimeRange, None], end_ms: int) -> tuple[int, int]:
    """The range that is asked for; by default today and the 30 days before it, until `end_ms`."""
    from_ms = parse_time("start_time", call.query.start_time)
    to_ms = parse_time("end_time", call.query.end_time)
    check_range(from_ms, to_ms)
    if from_ms is None:
        last_ms = call.now_ms if to_ms is None else max(to_ms - 1, 0)
        from_ms = max(day_start(last_ms) - DEFAULT_DAYS * DAY_MS, 0)
    return from_ms, end_ms if to_ms is None else to_ms


async def _days(call: AnyCall, unit: str, from_ms: int, to_ms: int) -> dict[str, Sums]:
    """The days of a range by their names."""
    if to_ms < from_ms:
        raise ApiError(400, f"start_{unit}: it lies in the future")
    if to_ms - from_ms > DAYS_LIMIT * DAY_MS:
        raise ApiError(400, f"start_{unit}: the time range is longer than {DAYS_LIMIT} days")
    async with _reading(call) as (conn, running):
        recording = await takes.going_on(conn, call.app_id, call.now_ms)
        days = await analytics.by_day(conn, call.app_id, from_ms, to_ms, running, recording)
    return {day_name(day * DAY_MS): sums for day, sums in days.items()}


@asynccontextmanager
async def _reading(call: AnyCall) -> AsyncIterator[tuple[AsyncConnection, list[Running]]]:
    """One state of the database, and the app's open sessions with their totals as of now."""
    await call.service.settled()
    async with call.service.database.read() as conn:
        await analytics.hold_still(conn)
        rows = await sessions.open_of_app(conn, call.app_id)
        yield conn, [Running(row.livestream_id, sessions.spell_of(current(call, row))) for row in rows]


def _recording_stats(days: dict[str, Sums]) -> RecordingStats:
    return RecordingStats(
        day_stats=[RecordingDay(day, round(sums.recorded_ms / 60_000), sums.recordings) for day, sums in days.items()],
        recording_count=sum(sums.recordings for sums in days.values()),
        recording_minutes_consumed=_minutes(sum(sums.recorded_ms for sums in days.values())),
    )


def _session_stats(days: dict[str, Sums]) -> SessionStats:
    return SessionStats(
        day_stats=[SessionDay(day, _minutes(sums.session_ms), sums.sessions) for day, sums in days.items()],
        sessions_count=sum(sums.sessions for sums in days.values()),
        sessions_minutes_consumed=_minutes(sum(sums.session_ms for sums in days.values())),
    )


def _seconds(ms: int) -> int:
    return round(ms / 1000)


def _minutes(ms: int) -> float:
    return round(ms / 60_000, 3)


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
