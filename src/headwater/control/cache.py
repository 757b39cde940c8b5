"""A small cache whose answers are at most a moment old; it also remembers that there is nothing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Keeps values for `ttl_s`, at most `limit` of them: a stranger who asks for random keys fills it, not memory.

    Time is an argument: seconds of a monotonic clock.
    """

    def __init__(self, ttl_s: float, limit: int) -> None:
        self._ttl_s = ttl_s
        self._limit = limit
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, now_s: float) -> tuple[V] | None:
        """The value in a tuple, so that a remembered None differs from nothing remembered."""
        entry = self._entries.get(key)
        if entry is None or now_s >= entry[0]:
            return None
        return (entry[1],)

    def put(self, key: K, value: V, now_s: float) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= self._limit:
            self._entries.popitem(last=False)
        self._entries[key] = (now_s + self._ttl_s, value)

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
