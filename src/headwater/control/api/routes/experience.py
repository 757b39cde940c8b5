"""How viewers fared: of one livestream session, and of a livestream's sessions together."""

from __future__ import annotations

import asyncio

from headwater.analytics.experience import PPM, Experience
from headwater.control.api.call import Call
from headwater.control.api.errors import not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.schemas import (
    Answer,
    ListAnswer,
    NoQuery,
    Spread,
    TimeRange,
    ViewerExperience,
    Viewing,
)
from headwater.control.api.times import FARTHEST_MS, check_range, iso_or_none, parse_time
from headwater.control.repository import experiences, livestreams, sessions

SESSIONS_LIMIT = 1000
"""Sessions of a livestream that are added up, the newest: some 10 MB at most, below a second."""


VIEWINGS_LIMIT = 100
"""Viewing sessions of one answer: those that fare worst, which is what is looked for."""


async def of_session(call: Call[NoQuery, None]) -> Answer[ViewerExperience]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await sessions.get(conn, call.app_id, call.path["session_id"])
        if session is None:
            raise not_found("The livestream session")
        found = await experiences.of_session(conn, session.id)
    whole = Experience() if found is None else Experience.unpacked(found[0])
    return Answer(shown(whole, 1, None if found is None else found[1]))


async def of_livestream(call: Call[TimeRange, None]) -> Answer[ViewerExperience]:
    from_ms = parse_time("start_time", call.query.start_time)
    to_ms = parse_time("end_time", call.query.end_time)
    check_range(from_ms, to_ms)
    await call.service.settled()
    async with call.service.database.read() as conn:
        livestream = await livestreams.get(conn, call.app_id, call.path["livestream_id"])
        if livestream is None:
            raise not_found("The livestream")
        found = await experiences.of_livestream(
            conn, livestream.id, from_ms or 0, FARTHEST_MS if to_ms is None else to_ms, SESSIONS_LIMIT
        )
    whole = Experience()
    for packed, _ in found:
        whole.merge(Experience.unpacked(packed))
        await asyncio.sleep(0)  # up to a millisecond each: media comes in between
    return Answer(shown(whole, len(found), found[0][1] if found else None))


async def viewings(call: Call[NoQuery, None]) -> ListAnswer[Viewing]:
    async with call.service.database.read() as conn:
        livestream = await livestreams.get(conn, call.app_id, call.path["livestream_id"])
    if livestream is None:
        raise not_found("The livestream")
    return ListAnswer(
        [
            Viewing(
                startup_ms=facts.startup_ms,
                stalls=facts.stalls,
                stalled_seconds=facts.stalled_ms / 1000,
                played_seconds=facts.played_ms / 1000,
                rebuffering_ratio=_rounded(facts.rebuffering),
                bitrate_kbps=_rounded(facts.kbps),
                latency_ms=_rounded(facts.latency_ms),
            )
            for facts in call.service.broadcasts.viewings(livestream.id, VIEWINGS_LIMIT)
        ]
    )


def shown(whole: Experience, session_count: int, updated_ms: int | None) -> ViewerExperience:
    """A whole in the API's words and units."""
    totals = whole.totals
    return ViewerExperience(
        sessions=session_count,
        updated_at=iso_or_none(updated_ms),
        views=totals["views"],
        started_views=totals["started"],
        stalled_views=totals["stalled_views"],
        stalls=totals["stalls"],
        stalled_seconds=totals["stalled_ms"] / 1000,
        played_seconds=totals["played_ms"] / 1000,
        rebuffering_ratio=_rounded(whole.rebuffering),
        startup_ms=_spread(whole, "startup_ms"),
        stalled_ms=_spread(whole, "stalled_ms"),
        rebuffering=_spread(whole, "rebuffering_ppm", PPM),
        bitrate_kbps=_spread(whole, "kbps"),
        latency_ms=_spread(whole, "latency_ms"),
    )


def _spread(whole: Experience, metric: str, unit: int = 1) -> Spread:
    def scaled(value: float | None) -> float | None:
        return None if value is None else _rounded(value / unit)

    quantiles = (scaled(whole.quantile(metric, q)) for q in (0.5, 0.95, 0.99))
    return Spread(whole.sketches[metric].total, scaled(whole.mean(metric)), *quantiles)


def _rounded(value: float | None) -> float | None:
    """Six digits after the point, which a ratio needs, are more than enough for all else."""
    return None if value is None else round(value, 6)


_LIVESTREAMS = APP + "/livestreams"

OPERATIONS = [
    Operation(
        "get_livestream_session_experience",
        "GET",
        _LIVESTREAMS + "/sessions/{session_id}/experience",
        "Fetch how the viewers of a livestream session fared",
        of_session,
        Answer[ViewerExperience],
        tag="Analytics",
    ),
    Operation(
        "get_livestream_experience",
        "GET",
        _LIVESTREAMS + "/{livestream_id}/experience",
        "Fetch how the viewers of a livestream fared, in all its sessions of a time range",
        of_livestream,
        Answer[ViewerExperience],
        query=TimeRange,
        tag="Analytics",
    ),
    Operation(
        "get_livestream_viewings",
        "GET",
        _LIVESTREAMS + "/{livestream_id}/experience/viewings",
        "Fetch how each of those fares who watch a livestream now, the worst first",
        viewings,
        ListAnswer[Viewing],
        tag="Analytics",
    ),
]
