"""Time for sources: they ask for the wall clock and wait for instants of it."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The wall clock as a source sees it; a test gives one that does not wait."""

    def now_ms(self) -> float:
        """Milliseconds since the Unix epoch."""

    def wait_until(self, wall_ms: float) -> bool:
        """Wait until the clock shows `wall_ms`; at once where it is past. False: the source is to stop."""


class WallClock:
    """Follows the monotonic clock from the wall time at its start: a clock that is set does not break the pacing."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._offset_ms = time.time_ns() / 1e6 - time.monotonic_ns() / 1e6

    def now_ms(self) -> float:
        """Milliseconds since the Unix epoch."""
        return time.monotonic_ns() / 1e6 + self._offset_ms

    def wait_until(self, wall_ms: float) -> bool:
        """Wait; False as soon as `stop` was called."""
        delay_s = (wall_ms - self.now_ms()) / 1000
        if delay_s > 0:
            return not self._stop.wait(delay_s)
        return not self._stop.is_set()

    def stop(self) -> None:
        """End every wait."""
        self._stop.set()
