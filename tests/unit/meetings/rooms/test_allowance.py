"""What a receiver can take: bounded where its way is full, and tried again."""

from __future__ import annotations

from headwater.meetings.rooms.forwarding.allowance import Allowance

MOST = 1_800_000


def test_an_estimate_of_what_came_is_no_bound_and_a_burst_above_it_neither() -> None:
    allowance = Allowance()
    for estimate, sent in ((250_000, 200_000), (255_000, 900_000), (260_000, 200_000)):
        allowance.estimated(estimate)
        allowance.update(sent, MOST)
        assert allowance.bits_per_s is None


def test_a_first_guess_that_comes_down_is_no_bound() -> None:
    allowance = Allowance()
    for estimate in (30_000_000, 600_000):
        allowance.estimated(estimate)
    allowance.update(500_000, MOST)
    assert allowance.bits_per_s is None


def test_a_full_way_is_a_bound_that_is_lifted_step_by_step() -> None:
    allowance = Allowance()
    for estimate in (1_200_000, 850_000):
        allowance.estimated(estimate)
    allowance.update(1_000_000, MOST)
    assert allowance.bits_per_s == 850_000
    bounds = []
    for second in range(1, 8):
        allowance.estimated(850_000 + 50_000 * second)
        allowance.update(850_000, MOST)
        bounds.append(allowance.bits_per_s)
    assert bounds[0] == 850_000 * 1.15
    assert bounds[-1] is None


def test_losses_are_a_bound_too_and_chance_is_not() -> None:
    allowance = Allowance()
    allowance.lost(0.05)
    allowance.update(1_000_000, MOST)
    assert allowance.bits_per_s is None
    allowance.lost(0.4)
    allowance.lost(0.0)
    allowance.update(1_000_000, MOST)
    assert allowance.bits_per_s == 800_000
