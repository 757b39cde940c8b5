"""Sketches: percentiles are off by the error that is promised, whatever comes; adding up and taking back are exact."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.sketch import BUCKETS, ERROR, LARGEST, Sketch, bucket_of

values = st.lists(st.floats(0, LARGEST) | st.integers(0, 100_000).map(float), min_size=1, max_size=60)


def sketch_of(numbers: list[float]) -> Sketch:
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    return sketch


@given(values, st.floats(0.01, 1))
def test_a_quantile_is_off_by_two_percent_at_most(numbers: list[float], q: float) -> None:
    true = sorted(numbers)[max(1, math.ceil(q * len(numbers))) - 1]
    found = sketch_of(numbers).quantile(q)
    assert found is not None
    assert abs(found - true) <= ERROR * true + 1e-9 or (true < 1 and found in (0, 1))


@given(values, values)
def test_merged_is_the_sketch_of_all(left: list[float], right: list[float]) -> None:
    merged = sketch_of(left)
    merged.merge(sketch_of(right))
    assert merged.packed() == sketch_of(left + right).packed() and merged.total == len(left) + len(right)


@given(values, values)
def test_what_is_taken_back_was_never_there(kept: list[float], gone: list[float]) -> None:
    sketch = sketch_of(gone + kept)
    for number in gone:
        sketch.take_back(bucket_of(number))
    assert sketch.packed() == sketch_of(kept).packed()
    assert Sketch.unpacked(sketch.packed()).counts == sketch.counts


def test_it_is_bounded_and_strange_numbers_have_a_bucket() -> None:
    assert bucket_of(math.inf) == bucket_of(LARGEST) < BUCKETS
    assert bucket_of(math.nan) == bucket_of(-5) == bucket_of(0) == 0
    assert Sketch().quantile(0.5) is None
