"""What the operator may set of the packager."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.errors import OperatorError

MIN_PART_TARGET_MS, MAX_PART_TARGET_MS = 200, 1000
MIN_SEGMENT_TARGET_MS, MAX_SEGMENT_TARGET_MS = 1000, 10_000
MAX_GOP_MS = 60_000
"""Longest first segment that may be allowed: a viewer waits that long for the first picture."""


@dataclass(frozen=True, slots=True)
class PackagerSettings:
    """Durations of what is made, and how long to wait for what is missing.

    Attributes:
        segment_target_ms: Wished segment duration; segments are whole GOPs, the nearest number of them.
        part_target_ms: Longest wished part; PART-TARGET is the longest whole number of frames within it.
        max_gop_ms: The first segment is cut here at the latest, even if no second sync sample came.
        first_segment_ms: The first segment may be this short, so that playing can begin after one GOP.
        probe_ms: Media held back at the start while the frame rate is measured.
        late_track_ms: How long the first playlist waits for an announced track.
    """

    segment_target_ms: int = 2000
    part_target_ms: int = 333
    max_gop_ms: int = 10_000
    first_segment_ms: int = 500
    probe_ms: int = 500
    late_track_ms: int = 1000

    def __post_init__(self) -> None:
        _check("part_target_ms", self.part_target_ms, MIN_PART_TARGET_MS, MAX_PART_TARGET_MS)
        _check("segment_target_ms", self.segment_target_ms, MIN_SEGMENT_TARGET_MS, MAX_SEGMENT_TARGET_MS)
        _check("max_gop_ms", self.max_gop_ms, self.segment_target_ms, MAX_GOP_MS)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise OperatorError(f"{name} is {value}; it is {least} to {most} milliseconds")
