"""How late the event loop is: a timer that is due again and again, and how long after that it runs."""

from __future__ import annotations

import asyncio
from bisect import bisect_left

SAMPLE_S = 0.25
"""Four samples a second see every stall of that length, and cost nothing."""

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopLag:
    """A histogram.

    Attributes:
        buckets: Samples by lag: at most each of `BOUNDS_S`, above the one before; beyond all of them in the last.
        total_s: The sum of all lags.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Sample from now on; in the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SAMPLE_S, self._sample, loop, loop.time() + SAMPLE_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, lag_s: float) -> None:
        """One sample; a clock that is read early makes it 0."""
        lag_s = max(0.0, lag_s)
        self.buckets[bisect_left(BOUNDS_S, lag_s)] += 1
        self.total_s += lag_s

    def cumulative(self) -> list[tuple[str, int]]:
        """As Prometheus has it: for each upper bound, all samples up to it."""
        found, so_far = [], 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.buckets, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.add(now - due)
        self._timer = loop.call_later(SAMPLE_S, self._sample, loop, now + SAMPLE_S)
