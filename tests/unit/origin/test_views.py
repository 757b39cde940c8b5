"""Who watches, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.pipeline.origin.views import ViewLedger


def ledger(limit: int = 100) -> ViewLedger:
    return ViewLedger(6.0, limit)


def test_watched_is_from_the_first_request_to_the_last() -> None:
    views = ledger()
    for second in range(11):
        views.touch(b"a", 100.0 + second)
    assert views.seconds(200.0) == 10.0


def test_a_gap_longer_than_three_targets_is_left_out() -> None:
    views = ledger()
    views.touch(b"a", 0.0)
    views.touch(b"a", 6.0)
    views.touch(b"a", 12.1)
    views.touch(b"a", 13.1)
    assert round(views.seconds(14.0), 6) == 7.0


def test_a_viewer_is_counted_at_once_and_no_more_after_three_seconds() -> None:
    views = ledger()
    views.touch(b"a", 10.0)
    assert views.viewers(10.0) == 1
    assert views.viewers(12.9) == 1
    assert views.viewers(13.3) == 0


def test_who_waits_is_present_and_its_wait_is_watched_to_the_moment() -> None:
    views = ledger()
    views.touch(b"a", 0.0).held += 1
    assert views.viewers(5.9) == 1
    assert views.seconds(5.5) == 5.5
    views.fold(6.4)
    views.release(b"a", 6.5)  # answered 503, a sweep later than three targets
    assert views.seconds(6.5) == 6.5
    assert views.viewers(10.0) == 0


def test_two_playlists_of_one_viewer_are_one_view() -> None:
    views = ledger()
    views.touch(b"a", 0.0).held += 1
    views.touch(b"a", 0.1).held += 1
    views.release(b"a", 0.5)
    assert views.viewers(3.4) == 1
    views.release(b"a", 3.6)
    assert views.viewers(3.7) == 1
    assert round(views.seconds(3.7), 6) == 3.6


def test_names_are_bounded_and_nothing_watched_is_lost() -> None:
    views = ledger(limit=10)
    for k in range(1000):
        views.touch(b"%d" % k, k * 0.001)
        views.touch(b"%d" % k, k * 0.001 + 0.0005)
    assert len(views) == 10
    assert round(views.seconds(2.0), 6) == 0.5


def test_folding_forgets_who_is_gone_and_keeps_what_was_watched() -> None:
    views = ledger()
    views.touch(b"a", 0.0)
    views.touch(b"a", 2.0)
    views.touch(b"b", 1.0).held += 1
    views.fold(9.0)
    assert len(views) == 1
    assert views.seconds(9.0) == 10.0
    views.release(b"a", 9.0)  # of a view that was forgotten: nothing happens
    assert len(views) == 1


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 8)), max_size=60))
def test_folding_at_any_time_changes_no_total(steps: list[tuple[bytes, float]]) -> None:
    now, plain, folded = 0.0, ledger(), ledger()
    for key, elapsed in steps:
        now += elapsed
        plain.touch(key, now)
        folded.fold(now)
        folded.touch(key, now)
    assert abs(plain.seconds(now) - folded.seconds(now)) < 1e-6


def test_who_leaves_while_it_waits_is_not_counted_for_long() -> None:
    views = ViewLedger(30.0, 100)  # target durations of 10 s
    for key in (b"stays", b"leaves", b"comes back"):
        views.touch(key, 0.0).held += 1
        views.release(key, 1.0, left=key != b"stays")
    views.touch(b"comes back", 1.5)
    assert views.viewers(1.9) == 3
    assert views.viewers(2.2) == 2
    assert views.viewers(11.0) == 2
