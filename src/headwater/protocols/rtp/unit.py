"""What a depacketizer makes of packets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Unit:
    """One access unit, put together again.

    Attributes:
        timestamp: As it came, 0 to 2^32 - 1 in the clock rate; wraps around.
        key: Decoding can start here, and its parameter sets are known.
        complete: Nothing of the picture or sound is missing; after a loss, what only describes it (SEI) may be.
        after_loss: Packets before it are missing, of it or of units that are gone: what it refers to may be gone too.
        payload: The coded bytes; see the depacketizer.
    """

    timestamp: int
    key: bool
    complete: bool
    after_loss: bool
    payload: bytes


class Continuity:
    """Whether a packet follows the one before it."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = -1

    def lost_before(self, sequence: int) -> bool:
        """Whether something is missing before this packet; never before the first."""
        lost = sequence != self._next and self._next >= 0
        self._next = (sequence + 1) & 0xFFFF
        return lost
