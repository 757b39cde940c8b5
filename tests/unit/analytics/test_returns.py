"""Counting livestreams by pairs of days is counting them one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.returns import NEVER, changes, pairs

DAYS = st.sets(st.integers(0, 12))


def test_pairs() -> None:
    assert pairs([3, 4, 8]) == [(3, NEVER), (4, 3), (8, 4)]
    assert pairs([]) == []


@given(st.lists(DAYS, max_size=6), st.integers(0, 13), st.integers(0, 13))
def test_the_livestreams_of_a_range(livestreams: list[set[int]], a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    counts = Counter(pair for days in livestreams for pair in pairs(sorted(days)))
    found = sum(count for (day, previous), count in counts.items() if low <= day < high and previous < low)
    assert found == sum(any(low <= day < high for day in days) for days in livestreams)


@given(DAYS, st.integers(0, 12), st.integers(1, 4))
def test_days_come_in_any_order(days: set[int], first: int, length: int) -> None:
    """Adding the days of a session changes the pairs to what they would be had they always been there."""
    last = first + length - 1
    new = set(range(first, last + 1))
    before = max((day for day in days if day < first), default=NEVER)
    after = min((day for day in days if day > last), default=None)
    counts = Counter(pairs(sorted(days)))
    counts.update(changes(days & new, new - days, before, after))
    assert +counts == Counter(pairs(sorted(days | new)))
    assert min(counts.values()) >= 0
