"""RTMP timestamps, which wrap, made into times that do not."""

from __future__ import annotations

_WRAP_32 = 1 << 32
_WRAP_24 = 1 << 24
_HALF_32 = 1 << 31

_NEAR_MS = 60_000
"""A jump within this of a multiple of 2^24 ms is a 24-bit clock that wrapped, not a jump; a real one meets it by chance
in 0.7 % of cases, and then is only made smaller."""


class Unwrapper:
    """Follows one publisher's clock. Audio and video share it: they are close together and wrap one after the other.

    A 32-bit clock wraps after 49 days. Some encoders never use the extended timestamp: theirs wraps at 24 bits, after 4
    h 39 min.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp: int) -> int:
        """The 64-bit time nearest to the last one that the 32-bit `timestamp` (milliseconds) can mean."""
        last = self._last
        if last is None:
            self._last = timestamp
            return timestamp
        difference = (timestamp - last + _HALF_32) % _WRAP_32 - _HALF_32
        if timestamp < _WRAP_24 and not -_NEAR_MS < difference < _NEAR_MS:
            short = (difference + _WRAP_24 // 2) % _WRAP_24 - _WRAP_24 // 2
            if -_NEAR_MS < short < _NEAR_MS:
                difference = short
        self._last = unwrapped = last + difference
        return unwrapped
