"""Time ranges, days, and how a session's totals spread over them. Pure.

Times are milliseconds since the Unix epoch, ranges are half-open, days are UTC's. A session's seconds count as spread
evenly over its time: half of a session that lies in the range brings half of its seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Spell:
    """A session as analytics see it: when it was, and its totals.

    Attributes:
        end_ms: When it ended, or until when its totals are known; equal to `start_ms` for one that was over at once.
    """

    start_ms: int
    end_ms: int
    ingest_seconds: float
    viewer_seconds: float
    recorded: bool


@dataclass(slots=True)
class Day:
    """What happened on one day.

    Attributes:
        start_ms: The day's start.
        sessions: Sessions that started on it; `recordings`: those of them that were recorded.
        session_ms: Time during which a session was open, summed over the sessions.
        recorded_seconds: Ingest seconds of recorded sessions.
    """

    start_ms: int
    sessions: int = 0
    session_ms: float = 0.0
    ingest_seconds: float = 0.0
    viewer_seconds: float = 0.0
    recordings: int = 0
    recorded_seconds: float = 0.0


def day_start(ms: int) -> int:
    return ms - ms % DAY_MS


def days_of(from_ms: int, to_ms: int) -> dict[int, Day]:
    """Every day that a range touches, by its start, in order."""
    return {start: Day(start) for start in range(day_start(from_ms), max(to_ms, from_ms + 1), DAY_MS)}


def shares(spell: Spell, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, float]]:
    """Split a session over the days of a range.

    Yields:
        (start of the day, milliseconds on it, share of the whole session): the shares sum up to 1 where all of the
        session lies in the range.
    """
    if spell.end_ms <= spell.start_ms:
        if from_ms <= spell.start_ms < to_ms:
            yield day_start(spell.start_ms), 0, 1.0
        return
    length = spell.end_ms - spell.start_ms
    low, end = max(spell.start_ms, from_ms), min(spell.end_ms, to_ms)
    while low < end:
        start = day_start(low)
        high = min(end, start + DAY_MS)
        yield start, high - low, (high - low) / length
        low = high


def add(days: dict[int, Day], spell: Spell, from_ms: int, to_ms: int) -> None:
    """Count a session in the days of a range."""
    for start, ms, share in shares(spell, from_ms, to_ms):
        day = days[start]
        day.session_ms += ms
        day.ingest_seconds += spell.ingest_seconds * share
        day.viewer_seconds += spell.viewer_seconds * share
        if spell.recorded:
            day.recorded_seconds += spell.ingest_seconds * share
    if from_ms <= spell.start_ms < to_ms:
        day = days[day_start(spell.start_ms)]
        day.sessions += 1
        day.recordings += spell.recorded
