"""Time ranges, days, and how the totals of sessions and of recordings spread over them. Pure.

Times are milliseconds since the Unix epoch, ranges are half-open, days are UTC's, numbered from the epoch.
A session's seconds count as spread evenly over its time: half of a session that lies in the range brings half of its
seconds; a recording's, as spread over the time in which it did not pause. All sums are of whole milliseconds, so that
no order of adding them up makes a difference:

    1001 ms over midnight     |·····500····|·····501·····|     parts add up to the whole, wherever it is cut
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Spell:
    """A session as analytics see it: when it was, and its totals.

    Attributes:
        end_ms: When it ended, or until when its totals are known; equal to `start_ms` for one that was over at once.
        ingest_ms, viewer_ms: Ingest and viewer seconds, in milliseconds.
    """

    start_ms: int
    end_ms: int
    ingest_ms: int
    viewer_ms: int


@dataclass(frozen=True, slots=True)
class Take:
    """A recording as analytics see it: when it was, and how long it plays.

    Attributes:
        end_ms: When it ended, or until when it is known.
        recorded_ms: How long it plays; spread evenly over the time in which it recorded.
        spans: Between which times it recorded, in order and without overlaps; none: from its start to its end.
    """

    start_ms: int
    end_ms: int
    recorded_ms: int
    spans: tuple[tuple[int, int], ...] = ()

    def until(self, at_ms: int) -> int:
        """How much of it had been recorded at a time: all of it at its end, nothing at its start."""
        spans = self.spans or ((self.start_ms, self.end_ms),)
        whole = sum(end - start for start, end in spans)
        if whole <= 0:
            return self.recorded_ms if at_ms > self.start_ms else 0
        return self.recorded_ms * sum(max(0, min(end, at_ms) - start) for start, end in spans) // whole


def take(start_ms: int, end_ms: int, recorded_ms: int | None, spans: Iterable[tuple[int, int | None]] | None) -> Take:
    """Make a recording of what is stored of it, whatever clocks did meanwhile.

    Args:
        recorded_ms: None: as long as it recorded.
        spans: Between which times it recorded, the last one open where a crash came; None: all of it.
    """
    end_ms = max(start_ms, end_ms)
    kept: list[tuple[int, int]] = []
    at_ms = start_ms
    for low, high in spans or ():
        low, high = max(low, at_ms), end_ms if high is None else min(high, end_ms)
        if low < high:
            kept.append((low, high))
            at_ms = high
    if recorded_ms is None:
        recorded_ms = end_ms - start_ms if spans is None else sum(high - low for low, high in kept)
    return Take(start_ms, end_ms, recorded_ms, tuple(kept))


@dataclass(slots=True)
class Sums:
    """What happened in some time, most often a day.

    Attributes:
        sessions, recordings: Those that started in it.
        session_ms: Time during which a session was open, summed over the sessions.
        recorded_ms: What was recorded in it, as it plays.
    """

    sessions: int = 0
    session_ms: int = 0
    ingest_ms: int = 0
    viewer_ms: int = 0
    recordings: int = 0
    recorded_ms: int = 0

    def add(self, other: Sums) -> None:
        self.sessions += other.sessions
        self.session_ms += other.session_ms
        self.ingest_ms += other.ingest_ms
        self.viewer_ms += other.viewer_ms
        self.recordings += other.recordings
        self.recorded_ms += other.recorded_ms


def milliseconds(seconds: float) -> int:
    """Seconds in whole milliseconds; rounded as `sessions.close` does it, so that an end changes no total by one."""
    return round(round(seconds, 3) * 1000)


def day_of(ms: int) -> int:
    return ms // DAY_MS


def day_start(ms: int) -> int:
    return ms - ms % DAY_MS


def days_of(from_ms: int, to_ms: int) -> range:
    """Every day that a range touches; that of its start where it is empty."""
    return range(day_of(from_ms), day_of(max(to_ms - 1, from_ms)) + 1)


def split(spell: Spell, from_ms: int, to_ms: int) -> Iterator[tuple[int, Sums]]:
    """Split a session over the days of a range.

    Yields:
        (day, what the session brings to it), in order, for the days on which it has time in the range, or on which it
        was over at once.
    """
    low, end = max(spell.start_ms, from_ms), min(spell.end_ms, to_ms)
    if spell.end_ms <= spell.start_ms and from_ms <= spell.start_ms < to_ms:
        yield day_of(spell.start_ms), Sums(1, 0, spell.ingest_ms, spell.viewer_ms)
    while low < end:
        day = day_of(low)
        high = min(end, (day + 1) * DAY_MS)
        ingest, viewer = _part(spell, spell.ingest_ms, low, high), _part(spell, spell.viewer_ms, low, high)
        yield day, Sums(int(low == spell.start_ms), high - low, ingest, viewer)
        low = high


def split_take(take: Take, from_ms: int, to_ms: int) -> Iterator[tuple[int, Sums]]:
    """Split a recording over the days of a range, as `split` does a session."""
    low, end = max(take.start_ms, from_ms), min(take.end_ms, to_ms)
    if take.end_ms <= take.start_ms and from_ms <= take.start_ms < to_ms:
        yield day_of(take.start_ms), Sums(recordings=1, recorded_ms=take.recorded_ms)
    while low < end:
        day = day_of(low)
        high = min(end, (day + 1) * DAY_MS)
        recorded_ms = take.until(high) - take.until(low)
        yield day, Sums(recordings=int(low == take.start_ms), recorded_ms=recorded_ms)
        low = high


def spread_take(take: Take) -> list[tuple[int, Sums]]:
    """Split a whole recording over its days: one after the other, without a gap."""
    return list(split_take(take, take.start_ms, max(take.end_ms, take.start_ms + 1)))


def spread(spell: Spell) -> list[tuple[int, Sums]]:
    """Split a whole session over its days: one after the other, without a gap."""
    return list(split(spell, spell.start_ms, max(spell.end_ms, spell.start_ms + 1)))


def _part(spell: Spell, total: int, low: int, high: int) -> int:
    """What falls between two moments of a session; the parts of adjacent ranges add up to that of both."""
    length = spell.end_ms - spell.start_ms
    return total * (high - spell.start_ms) // length - total * (low - spell.start_ms) // length


@dataclass(frozen=True, slots=True)
class Cut:
    """A range as whole days and what remains at its ends.

    Attributes:
        days: The days that lie in it wholly.
        rests: At most two ranges, each within one day.
    """

    days: range
    rests: tuple[tuple[int, int], ...]


def cut(from_ms: int, to_ms: int) -> Cut:
    """Cut a range at the midnights nearest to its ends."""
    first, end = -(-from_ms // DAY_MS), to_ms // DAY_MS
    if first > end:  # all of it lies within one day
        return Cut(range(0), ((from_ms, to_ms),) if from_ms < to_ms else ())
    ends = ((from_ms, first * DAY_MS), (end * DAY_MS, to_ms))
    return Cut(range(first, end), tuple((low, high) for low, high in ends if low < high))
