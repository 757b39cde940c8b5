"""Clocks that wrap become times that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.rtmp.timestamps import Unwrapper


@pytest.mark.parametrize("bits", [24, 32])
@given(st.integers(0, 3), st.lists(st.integers(-2000, 5000), min_size=1, max_size=50))
def test_a_wrap_goes_unseen(bits: int, wraps: int, steps: list[int]) -> None:
    """Audio and video cross the wrap one after the other, back and forth."""
    clock, wrap = Unwrapper(), 1 << bits
    true = base = wrap - 3000
    assert clock.unwrap(true) == true
    for _ in range(wraps):  # go round, in steps that a livestream may take
        while true < base + wrap:
            true += min(50_000, base + wrap - true) if bits == 24 else min(1 << 30, base + wrap - true)
            assert clock.unwrap(true % wrap) == true
        base = true
    for step in steps:
        true += step
        assert clock.unwrap(true % wrap) == true


def test_a_clock_set_back_is_handed_on() -> None:
    """An encoder that starts over at 0 is the packager's to repair."""
    clock = Unwrapper()
    clock.unwrap(5_000_000)
    assert clock.unwrap(0) == 0


def test_a_jump_forward_stays_a_jump() -> None:
    clock = Unwrapper()
    clock.unwrap(0)
    assert clock.unwrap(3_600_000) == 3_600_000
