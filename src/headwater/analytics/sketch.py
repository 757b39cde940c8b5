"""Percentiles of a number that many viewers report, in bounded memory: a histogram with buckets that grow by a factor.

Bucket n holds what lies above γ^(n-1) and up to γ^n, with γ = (1+α)/(1-α); a quantile is answered by its bucket's
middle 2γ^n/(γ+1), which is off by α of the true value at most (Masson, Rim, Lee: DDSketch, VLDB 2019). Two sketches
are merged by adding their counts, and a value can be taken back, both exactly. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ERROR = 0.02
"""α: a percentile is off by 2 % of its value at most."""

LARGEST = 1e9
"""Larger values count as this one: in milliseconds eleven days, in kbit/s a terabit."""

_GAMMA = (1 + ERROR) / (1 - ERROR)
_LOG_GAMMA = math.log(_GAMMA)

BUCKETS = math.ceil(math.log(LARGEST) / _LOG_GAMMA) + 2
"""Buckets that a sketch can have: 520."""


def bucket_of(value: float) -> int:
    """The bucket of a value: 0 for what is not above zero, 1 for what is up to 1, then as above."""
    if not value > 0:
        return 0
    if value <= 1:
        return 1
    return math.ceil(math.log(min(value, LARGEST)) / _LOG_GAMMA) + 1


def middle_of(bucket: int) -> float:
    """What a bucket's values are taken for."""
    if bucket <= 1:
        return float(bucket)
    return 2 * _GAMMA ** (bucket - 1) / (_GAMMA + 1)


class Sketch:
    """Counts by bucket.

    Attributes:
        counts: Of the buckets that hold something.
        total: How many values there are.
    """

    __slots__ = ("counts", "total")

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts = counts or {}
        self.total = sum(self.counts.values())

    def add(self, value: float) -> int:
        """Count a value; returns its bucket, by which it can be taken back."""
        bucket = bucket_of(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total += 1
        return bucket

    def take_back(self, bucket: int) -> None:
        """Undo one `add` that returned this bucket."""
        left = self.counts[bucket] - 1
        if left:
            self.counts[bucket] = left
        else:
            del self.counts[bucket]
        self.total -= 1

    def merge(self, other: Sketch) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += other.total

    def quantile(self, q: float) -> float | None:
        """The value that a share q of all values does not exceed; None where there are none."""
        if not self.total:
            return None
        rank, seen, bucket = max(1, math.ceil(q * self.total)), 0, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                break
        return middle_of(bucket)

    def packed(self) -> list[int]:
        """Bucket, count, bucket, count ...: to be stored."""
        return [number for bucket in sorted(self.counts) for number in (bucket, self.counts[bucket])]

    @classmethod
    def unpacked(cls, numbers: Iterable[int]) -> Sketch:
        """What `packed` wrote."""
        flat = list(numbers)
        return cls(dict(zip(flat[::2], flat[1::2], strict=True)))
