"""What a receiver can take, from what it says (REMB, losses) and what it is sent. Pure.

A browser's estimate grows no further than half again above what comes: of a still picture it says 250 kbit/s, and
means that it saw no more; a key frame is then more than it said, and no harm done. So an estimate counts where it
falls, and is below what is sent: then the way is full. From there on more is tried, step by step, until the receiver
complains.
"""

from __future__ import annotations

FULL = 0.95
"""Below this share of what is sent, and of what it was, an estimate says that the way is full: browsers go to 0.85 of
what arrives."""

LOSSY = 0.1
"""Beyond this share of lost packets the way is full, whatever the estimate; below it, radio and chance lose some."""

GROWTH = 1.15
"""A second: from 500 kbit/s to 1.8 Mbit/s in 9 s."""


class Allowance:
    """Of one receiver.

    Attributes:
        bits_per_s: What may be sent; None: no bound is known.
    """

    __slots__ = ("_estimate", "_fallen_to", "_lost", "bits_per_s")

    def __init__(self) -> None:
        self._estimate = 0
        self._fallen_to: int | None = None
        self._lost = 0.0
        self.bits_per_s: float | None = None

    def estimated(self, bits_per_s: int) -> None:
        """The receiver thinks that it can take as much."""
        if bits_per_s < FULL * self._estimate:
            self._fallen_to = bits_per_s
        self._estimate = bits_per_s

    def lost(self, share: float) -> None:
        """The receiver lost so many of its packets, 0 to 1; the worst since the last `update` counts."""
        self._lost = max(self._lost, share)

    def update(self, sent: float, most: float) -> None:
        """Once a second.

        Args:
            sent: Bits in the last second.
            most: Beyond this there is no bound any more.
        """
        lost, self._lost = self._lost, 0.0
        fallen_to, self._fallen_to = self._fallen_to, None
        if lost > LOSSY:
            self.bits_per_s = sent * (1 - lost / 2)
        elif fallen_to is not None and fallen_to < FULL * sent:
            self.bits_per_s = float(fallen_to)
        elif self.bits_per_s is not None:
            grown = self.bits_per_s * GROWTH
            self.bits_per_s = grown if grown < most else None
