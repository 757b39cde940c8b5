"""What all viewing sessions of a livestream session add up to: totals, means and percentiles, in bounded memory.

A viewing session's facts are put in, and put in again as they grow: what was in before is taken out, so the whole is
right at any moment and nothing has to be kept of those who are gone. Wholes are merged by adding. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.analytics.sketch import Sketch, bucket_of
from headwater.analytics.viewing import Facts
from headwater.errors import ProtocolError

PPM = 1_000_000
"""Shares are counted in millionths."""

METRICS = ("startup_ms", "rebuffering_ppm", "stalled_ms", "kbps", "latency_ms")
"""Of which there are percentiles over viewing sessions."""

TOTALS = ("views", "started", "stalled_views", "stalls", "stalled_ms", "played_ms")


class _Packed(msgspec.Struct, array_like=True):
    totals: list[int]
    sums: list[float]
    sketches: list[list[int]]


class Experience:
    """A whole.

    Attributes:
        totals: `views`, of which `started` have played, of which `stalled_views` stood still at least once; `stalls`,
            `stalled_ms`, `played_ms` of all of them.
        sums: Of each metric's values.
        sketches: Of each metric's values, one a viewing session.
    """

    __slots__ = ("sketches", "sums", "totals")

    def __init__(self) -> None:
        self.totals = dict.fromkeys(TOTALS, 0)
        self.sums = dict.fromkeys(METRICS, 0.0)
        self.sketches = {metric: Sketch() for metric in METRICS}

    def put(self, before: Facts | None, after: Facts) -> None:
        """Count a viewing session as it is now in place of what it was before; None: it is new."""
        if before is not None:
            self._count(before, -1)
        self._count(after, 1)

    def _count(self, facts: Facts, sign: int) -> None:
        started = facts.startup_ms is not None or facts.played_ms > 0 or facts.stalls > 0
        counted = (1, started, facts.stalls > 0, facts.stalls, facts.stalled_ms, facts.played_ms)
        for name, number in zip(TOTALS, counted, strict=True):
            self.totals[name] += sign * number
        for metric, value in zip(METRICS, _values(facts), strict=True):
            if value is None:
                continue
            self.sums[metric] += sign * value
            if sign > 0:
                self.sketches[metric].add(value)
            else:
                self.sketches[metric].take_back(bucket_of(value))

    def merge(self, other: Experience) -> None:
        """Add another whole, of other viewing sessions."""
        for name, number in other.totals.items():
            self.totals[name] += number
        for metric in METRICS:
            self.sums[metric] += other.sums[metric]
            self.sketches[metric].merge(other.sketches[metric])

    def mean(self, metric: str) -> float | None:
        """The mean over viewing sessions; None where none has the metric."""
        count = self.sketches[metric].total
        return self.sums[metric] / count if count else None

    def quantile(self, metric: str, q: float) -> float | None:
        """The metric that a share q of the viewing sessions does not exceed, with the sketch's error."""
        return self.sketches[metric].quantile(q)

    @property
    def rebuffering(self) -> float | None:
        """Share of all viewers' time that they stood still; None where there is no time."""
        whole = self.totals["played_ms"] + self.totals["stalled_ms"]
        return self.totals["stalled_ms"] / whole if whole else None

    def packed(self) -> str:
        """To be stored; some hundred bytes to 30 KB."""
        packed = _Packed(
            [self.totals[name] for name in TOTALS],
            [self.sums[metric] for metric in METRICS],
            [self.sketches[metric].packed() for metric in METRICS],
        )
        return msgspec.json.encode(packed).decode()

    @classmethod
    def unpacked(cls, text: str) -> Experience:
        """What `packed` wrote.

        Raises:
            ProtocolError: it is something else.
        """
        try:
            packed = msgspec.json.decode(text, type=_Packed)
            whole = cls()
            whole.totals = dict(zip(TOTALS, packed.totals, strict=True))
            whole.sums = dict(zip(METRICS, packed.sums, strict=True))
            sketches: Any = map(Sketch.unpacked, packed.sketches)
            whole.sketches = dict(zip(METRICS, sketches, strict=True))
        except (msgspec.MsgspecError, ValueError) as error:
            raise ProtocolError(f"not a stored experience: {error}") from error
        return whole


def _values(facts: Facts) -> tuple[float | None, ...]:
    share = facts.rebuffering
    ppm = None if share is None else round(share * PPM)
    stalled = None if share is None else facts.stalled_ms
    return facts.startup_ms, ppm, stalled, facts.kbps, facts.latency_ms
