"""EXT-X-PROGRAM-DATE-TIME within one media playlist."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.hlscheck.observation import Observation, Snapshot
from headwater.hlscheck.rules.base import (
    Evidence,
    Severity,
    live,
    live_part_snapshots,
    low_latency_live,
    number,
    rule,
    seen,
    snapshots,
)

PDT_DRIFT_S = 0.1  # what rounding and a slewed clock may add up to between two segments
PDT_OVERLAP_S = 1.0  # the draft lets sub-second overlaps pass (6.2.1)
DATE_RESOLUTION_S = 1.0  # HTTP Date counts whole seconds
CLOCK_SLACK_S = 0.25  # between reading the header and the server's stamping it


@rule(
    "pdt-present",
    "B.1",
    Severity.MUST,
    "Every low-latency media playlist has EXT-X-PROGRAM-DATE-TIME",
    "Apply EXT-X-PROGRAM-DATE-TIME to the first segment at least; to each is better.",
    over=live_part_snapshots,
    needs=low_latency_live,
)
def pdt_present(snapshot: Snapshot) -> Iterable[Evidence]:
    if "EXT-X-PROGRAM-DATE-TIME" not in snapshot.playlist.tag_lines:
        yield seen(snapshot, "EXT-X-PROGRAM-DATE-TIME is absent")


@rule(
    "pdt-discontinuity",
    "6.2.1",
    Severity.SHOULD,
    "Each segment with EXT-X-DISCONTINUITY has its own EXT-X-PROGRAM-DATE-TIME",
    "Write EXT-X-PROGRAM-DATE-TIME again after each EXT-X-DISCONTINUITY.",
    over=snapshots,
)
def pdt_discontinuity(snapshot: Snapshot) -> Iterable[Evidence]:
    if "EXT-X-PROGRAM-DATE-TIME" not in snapshot.playlist.tag_lines:
        return
    for segment in snapshot.playlist.all_segments:
        if segment.discontinuity and segment.program_date_time_line is None:
            yield seen(snapshot, f"segment {segment.msn} has a discontinuity and no date", segment.line)


def _pdt_steps(snapshot: Snapshot) -> Iterable[tuple[int, int, float]]:
    """(MSN, line, seconds) by which each date is later than the one before it plus the EXTINFs between."""
    expected: float | None = None
    for segment in snapshot.playlist.all_segments:
        if segment.discontinuity:
            expected = None
        if segment.program_date_time is not None:
            stamp = segment.program_date_time.timestamp()
            if expected is not None:
                yield segment.msn, segment.program_date_time_line or segment.line, stamp - expected
            expected = stamp
        if expected is not None:
            expected += segment.duration or 0.0


@rule(
    "pdt-ambiguous",
    "6.2.1",
    Severity.MUST,
    "EXT-X-PROGRAM-DATE-TIME maps every date to one segment: dates overlap by less than a second",
    "Derive dates from one clock that never steps back; after a step, write EXT-X-DISCONTINUITY.",
    over=snapshots,
)
def pdt_ambiguous(snapshot: Snapshot) -> Iterable[Evidence]:
    for msn, line, step in _pdt_steps(snapshot):
        if step <= -PDT_OVERLAP_S:
            yield seen(snapshot, f"segment {msn} is dated {number(-step)} s before the end of the one before", line)


@rule(
    "pdt-drift",
    "6.2.1",
    Severity.SHOULD,
    "EXT-X-PROGRAM-DATE-TIME goes on by the durations of the segments between",
    "Date each segment by the one before plus its duration, and slew slowly towards the clock.",
    over=snapshots,
)
def pdt_drift(snapshot: Snapshot) -> Iterable[Evidence]:
    for msn, line, step in _pdt_steps(snapshot):
        if abs(step) > PDT_DRIFT_S and step > -PDT_OVERLAP_S:
            yield seen(snapshot, f"segment {msn} is dated {step:+.3f} s from where the durations before lead", line)


def _dated_by_server(observation: Observation) -> Iterable[tuple[Snapshot, float, bool]]:
    """(snapshot, the latest that the server's clock can have shown when it answered, whether its Date says so).

    Date counts whole seconds and many servers make it once a second: each is late by up to two seconds. The one that
    was least late, of all answers, tells how far the server's clock is from ours.
    """
    loads = [s for s in snapshots(observation) if not s.playlist.ended]
    offsets = [date - s.exchange.wall_at for s in loads if (date := s.exchange.server_date) is not None]
    offset = max(offsets) + DATE_RESOLUTION_S if offsets else 0.0
    return ((s, s.exchange.wall_at + offset, bool(offsets)) for s in loads)


@rule(
    "pdt-future",
    "6.3.3",
    Severity.SHOULD,
    "No listed media is dated in the future of the server's own clock",
    "Date media by when it was received, not by the encoder's clock; players seek by these dates.",
    over=_dated_by_server,
    needs=live,
)
def pdt_future(subject: tuple[Snapshot, float, bool]) -> Iterable[Evidence]:
    snapshot, now, told = subject
    date: float | None = None
    for segment in snapshot.playlist.all_segments:
        if segment.program_date_time is not None:
            date = segment.program_date_time.timestamp()
        if date is None:
            continue
        date += segment.duration if segment.duration is not None else sum(p.duration for p in segment.parts)
    if date is not None and date > now + CLOCK_SLACK_S:
        by = "the server's clock (its Date fields)" if told else "this machine's clock"
        yield seen(snapshot, f"the listed media ends {number(date - now)} s in the future of {by}")
