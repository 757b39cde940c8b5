"""The newest packets of a track, for those who missed one (RFC 4585, 6.2.1). Bounded in number and age."""

from __future__ import annotations

from typing import TypeAlias

Kept: TypeAlias = tuple[int, int, int, bytes]
"""A packet without what is written anew for each receiver: first byte, marker (128 or 0), timestamp, payload."""

VIDEO_PACKETS = 512
"""Kept of a video track: 3 s at 1.5 Mbit/s, 1 s at 5 Mbit/s, at most 1 MB. A picture that comes later helps nobody."""

AUDIO_PACKETS = 64
"""Kept of a sound track: 1.3 s."""

MAX_AGE_S = 2.0
"""Older packets are not sent again: the receiver has shown its picture, or asked for a new one."""


class History:
    """A ring of packets by their number."""

    __slots__ = ("_ages", "_mask", "_numbers", "_packets")

    def __init__(self, size: int) -> None:
        """`size`: packets kept, a power of two."""
        assert size & (size - 1) == 0, "a ring by bit mask"
        self._mask = size - 1
        self._numbers = [-1] * size
        self._ages = [0.0] * size
        self._packets: list[Kept | None] = [None] * size

    def put(self, number: int, packet: Kept, now: float) -> bool:
        """Keep a packet. False: it is here already, or too old to be kept. Hot."""
        slot = number & self._mask
        if number <= self._numbers[slot]:
            return False
        self._numbers[slot] = number
        self._ages[slot] = now
        self._packets[slot] = packet
        return True

    def get(self, number: int, now: float) -> Kept | None:
        """The packet of this number; None where it is not here any more, or never was."""
        slot = number & self._mask
        if number < 0 or self._numbers[slot] != number or now - self._ages[slot] > MAX_AGE_S:
            return None
        return self._packets[slot]
