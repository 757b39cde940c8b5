"""The transition table of a livestream's status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.control.lifecycle import ACTIVE, TRANSITIONS, Happening, Status, follow


def test_the_table_is_complete() -> None:
    """Whatever happens in whatever status has one outcome."""
    assert set(TRANSITIONS) == set(Happening)
    for happening in Happening:
        assert set(TRANSITIONS[happening]) == set(Status)


def test_the_ordinary_life() -> None:
    status = Status.INVOKED
    seen = []
    for happening in (
        Happening.OPENED,
        Happening.PLAYABLE,
        Happening.INTERRUPTED,
        Happening.RESUMED,
        Happening.ENDED,
        Happening.OPENED,
        Happening.PLAYABLE,
        Happening.FAILED,
        Happening.OPENED,
        Happening.PLAYABLE,
    ):
        status = follow(status, happening)
        seen.append(str(status))
    assert seen == ["INVOKED", "LIVE", "LIVE", "LIVE", "IDLE", "IDLE", "LIVE", "ERRORED", "ERRORED", "LIVE"]


def test_a_stop_ends_what_is_active() -> None:
    assert {follow(status, Happening.STOPPED) for status in ACTIVE} == {Status.IDLE}


def test_a_stop_does_not_hide_a_failure() -> None:
    assert follow(Status.ERRORED, Happening.STOPPED) is Status.ERRORED


@given(st.lists(st.sampled_from(Happening)))
def test_only_media_makes_it_live_and_only_a_call_invokes_it(happenings: list[Happening]) -> None:
    """LIVE is entered by PLAYABLE alone, INVOKED by INVOKED alone."""
    status = Status.IDLE
    for happening in happenings:
        after = follow(status, happening)
        if after is not status and after is Status.LIVE:
            assert happening is Happening.PLAYABLE
        if after is not status and after is Status.INVOKED:
            assert happening is Happening.INVOKED
        status = after
