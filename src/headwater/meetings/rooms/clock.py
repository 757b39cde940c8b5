"""The clocks that rooms ask; tests give others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from headwater.meetings.rooms.moment import Moment
from headwater.protocols.rtp.rtcp import ntp_of


def wall_ms() -> float:
    """Wall-clock milliseconds since the Unix epoch."""
    return time.time() * 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """A monotonic clock in seconds, and the wall clock in milliseconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], float] = wall_ms

    def now(self) -> Moment:
        return Moment(self.monotonic(), round(self.wall_ms()))

    def ntp(self) -> int:
        """The wall clock as RTCP writes it."""
        return ntp_of(self.wall_ms())
