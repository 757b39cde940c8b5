"""What has come of a track, in totals that only grow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flow:
    """One track's totals, or the difference of two.

    Attributes:
        video: A video track.
        samples: Access units taken.
        size: Their bytes.
        end_ms: Media time behind the last one.
        gop_ms: Between the last two sync samples; 0: not known, or audio.
        dropped: Units that did not come, or came twice.
    """

    track_id: int
    video: bool
    samples: int
    size: int
    end_ms: float
    gop_ms: float
    dropped: int

    def since(self, before: Flow) -> Flow:
        """What came after `before`; `end_ms` is how much media."""
        return Flow(
            self.track_id,
            self.video,
            self.samples - before.samples,
            self.size - before.size,
            self.end_ms - before.end_ms,
            self.gop_ms,
            self.dropped - before.dropped,
        )

    @property
    def bits_per_second(self) -> int:
        """Of a difference."""
        return round(self.size * 8000 / self.end_ms) if self.end_ms > 0 else 0

    @property
    def samples_per_second(self) -> float:
        """Of a difference."""
        return round(self.samples * 1000 / self.end_ms, 2) if self.end_ms > 0 else 0.0
