"""A clock that never waits: tests ask for an hour and have it at once."""

from __future__ import annotations


class FastClock:
    """Shows whatever instant was last waited for."""

    def __init__(self, start_ms: float = 1_790_000_123_456.7) -> None:
        self.at_ms = start_ms

    def now_ms(self) -> float:
        return self.at_ms

    def wait_until(self, wall_ms: float) -> bool:
        self.at_ms = max(self.at_ms, wall_ms)
        return True
