"""Token buckets by key: how often somebody may do something. Time is an argument."""

from __future__ import annotations

import math
from collections import OrderedDict

KEY_LIMIT = 10_000
"""Buckets remembered; the one unused for longest is forgotten first, and starts full again."""


class RateLimit:
    """Lets each key act `rate_per_s` times a second, and `burst` times at once.

    A bucket is (tokens, when they were counted); it fills up while nobody looks.
    """

    def __init__(self, rate_per_s: float, burst: int, *, key_limit: int = KEY_LIMIT) -> None:
        assert rate_per_s > 0 and burst >= 1
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._key_limit = key_limit
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now_s: float) -> int:
        """Take one token of a key.

        Returns:
            0 if there was one, else the whole seconds after which there will be: a `Retry-After`, at least 1.
        """
        tokens, counted_s = self._buckets.pop(key, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(0.0, now_s - counted_s) * self._rate_per_s)
        allowed = tokens >= 1.0
        if allowed:
            tokens -= 1.0
        if len(self._buckets) >= self._key_limit:
            self._buckets.popitem(last=False)
        self._buckets[key] = (tokens, now_s)
        return 0 if allowed else max(1, math.ceil((1.0 - tokens) / self._rate_per_s))
