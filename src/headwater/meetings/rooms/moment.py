"""The time as rooms are told it."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """Now.

    Attributes:
        s: Seconds of a monotonic clock, which waits are counted by.
        ms: Wall-clock milliseconds since the Unix epoch, which people read.
    """

    s: float
    ms: int
