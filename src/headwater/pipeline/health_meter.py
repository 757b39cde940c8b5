"""Samples of one session's health, from what the packager has counted: nothing is done for it per frame."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.health import HealthSample
from headwater.pipeline.packager.flow import Flow
from headwater.pipeline.sound import Level

SAMPLE_MS = 1000

_LEAN_MS = 0.2
"""How much the earliest arrival may move in a second: clocks of encoder and server differ by less (200 ppm)."""


class HealthMeter:
    """Compares what has come of each track with what had come a second ago."""

    def __init__(self) -> None:
        self._before: dict[int, Flow] = {}
        self._jumps = 0
        self._earliest_ms: float | None = None

    def publisher_changed(self) -> None:
        """Another one, or the same again: it has its own delay."""
        self._earliest_ms = None

    def sample(
        self,
        flows: Sequence[Flow],
        *,
        jumps: int,
        at_ms: int,
        arrived_ms: int,
        rtt_ms: float | None,
        viewers: int,
        level: Level | None = None,
    ) -> HealthSample | None:
        """What came since the last sample; None for the first, and where nothing came.

        Args:
            flows: Of every track, totals.
            jumps: How often time stamps have jumped, in total.
            at_ms: Wall time now.
            arrived_ms: Wall time at which the newest media arrived.
            level: Of the sound, as measured last.
        """
        before, self._before = self._before, {flow.track_id: flow for flow in flows}
        jumped, self._jumps = jumps - self._jumps, jumps
        steps = [flow.since(before[flow.track_id]) for flow in flows if flow.track_id in before]
        came = [step for step in steps if step.samples]
        if not came:
            return None
        pictures = [step for step in came if step.video]
        first = pictures[0] if pictures else None
        return HealthSample(
            at_ms=at_ms,
            video_bps=sum(step.bits_per_second for step in pictures),
            audio_bps=sum(step.bits_per_second for step in came if not step.video),
            frame_rate=first.samples_per_second if first else 0.0,
            keyframe_interval_ms=round(first.gop_ms) if first else 0,
            dropped=sum(step.dropped for step in came),
            jumps=jumped,
            late_ms=self._late(arrived_ms - max(flow.end_ms for flow in flows)),
            rtt_ms=None if rtt_ms is None else round(rtt_ms, 1),
            viewers=viewers,
            audio_peak_db=None if level is None else level.peak_db,
            audio_rms_db=None if level is None else level.rms_db,
        )

    def _late(self, arrival_ms: float) -> int:
        """Against the earliest arrival: media that came at once has nothing in front of it."""
        earliest = self._earliest_ms
        self._earliest_ms = arrival_ms if earliest is None else min(arrival_ms, earliest + _LEAN_MS)
        return round(arrival_ms - self._earliest_ms)
