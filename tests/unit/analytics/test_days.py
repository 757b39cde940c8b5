"""Sessions over days: nothing is lost, nothing is counted twice, wherever time is cut."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.days import (
    DAY_MS,
    Cut,
    Spell,
    Sums,
    Take,
    cut,
    day_of,
    days_of,
    split,
    split_take,
    spread,
    spread_take,
    take,
)

START = 1_700_006_400_000
DAY = START // DAY_MS
TIMES = st.integers(START - 1, START + 6 * DAY_MS) | st.integers(0, 6).map(lambda day: START + day * DAY_MS)
LENGTHS = st.integers(0, 3 * DAY_MS) | st.sampled_from([0, 1, DAY_MS, 2 * DAY_MS])
SPELLS = st.builds(
    lambda start, length, ingest, viewer: Spell(start, start + length, ingest, viewer),
    TIMES,
    LENGTHS,
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 10**15),
)
SPANS = st.lists(st.tuples(TIMES, st.none() | TIMES), max_size=5)
TAKES = st.builds(take, TIMES, TIMES, st.none() | st.integers(0, 10**12), st.none() | SPANS)


def added(parts: list[tuple[int, Sums]]) -> Sums:
    total = Sums()
    for _, sums in parts:
        total.add(sums)
    return total


class TestSplit:
    @given(SPELLS)
    def test_a_session_is_spread_without_loss(self, spell: Spell) -> None:
        """To the millisecond; its days follow each other, and it starts on the first."""
        parts = spread(spell)
        assert added(parts) == Sums(1, spell.end_ms - spell.start_ms, spell.ingest_ms, spell.viewer_ms)
        days = [day for day, _ in parts]
        assert days == list(days_of(spell.start_ms, spell.end_ms))
        assert [sums.sessions for _, sums in parts] == [1] + [0] * (len(parts) - 1)

    @given(SPELLS, TIMES, TIMES, TIMES)
    def test_ranges_side_by_side_add_up(self, spell: Spell, a: int, b: int, c: int) -> None:
        low, middle, high = sorted((a, b, c))
        left, right = list(split(spell, low, middle)), list(split(spell, middle, high))
        assert added(left + right) == added(list(split(spell, low, high)))

    @given(SPELLS, TIMES, TIMES)
    def test_each_part_is_in_proportion(self, spell: Spell, a: int, b: int) -> None:
        low, high = min(a, b), max(a, b)
        for day, sums in split(spell, low, high):
            assert day in days_of(low, high)
            assert 0 <= sums.session_ms <= min(DAY_MS, high - low)
            if spell.end_ms > spell.start_ms:
                share = sums.session_ms / (spell.end_ms - spell.start_ms)
                assert abs(sums.ingest_ms - spell.ingest_ms * share) < 1 + 1e-6
                assert abs(sums.viewer_ms - spell.viewer_ms * share) < 2

    def test_over_midnight(self) -> None:
        hour = 3_600_000
        spell = Spell(START + DAY_MS - hour, START + DAY_MS + 3 * hour, 1000, 41)
        assert spread(spell) == [
            (DAY, Sums(1, hour, 250, 10)),
            (DAY + 1, Sums(0, 3 * hour, 750, 31)),
        ]

    def test_until_midnight(self) -> None:
        """A session that ends as a day begins has nothing of that day."""
        assert [day for day, _ in spread(Spell(START, START + DAY_MS, 1, 1))] == [DAY]

    def test_over_at_once(self) -> None:
        spell = Spell(START, START, 7, 8)
        assert list(split(spell, START, START + 1)) == [(DAY, Sums(1, 0, 7, 8))]
        assert list(split(spell, START - 1, START)) == []
        assert list(split(spell, START + 1, START + 2)) == []


class TestRecordings:
    @given(TAKES)
    def test_a_recording_is_spread_without_loss(self, recording: Take) -> None:
        """Whatever is stored of it: spans that overlap, lie beyond its ends, or run backwards."""
        parts = spread_take(recording)
        assert added(parts) == Sums(recordings=1, recorded_ms=recording.recorded_ms)
        assert [day for day, _ in parts] == list(days_of(recording.start_ms, recording.end_ms))
        assert all(sums.recorded_ms >= 0 for _, sums in parts)

    @given(TAKES, TIMES, TIMES, TIMES)
    def test_ranges_side_by_side_add_up(self, recording: Take, a: int, b: int, c: int) -> None:
        low, middle, high = sorted((a, b, c))
        left, right = list(split_take(recording, low, middle)), list(split_take(recording, middle, high))
        assert added(left + right) == added(list(split_take(recording, low, high)))

    def test_a_pause_over_midnight_brings_nothing(self) -> None:
        hour = 3_600_000
        spans = [(START, START + hour), (START + DAY_MS + hour, None)]
        recording = take(START, START + DAY_MS + 4 * hour, 4_000, spans)
        assert spread_take(recording) == [
            (DAY, Sums(recordings=1, recorded_ms=1_000)),
            (DAY + 1, Sums(recorded_ms=3_000)),
        ]
        paused = split_take(recording, START + 2 * hour, START + DAY_MS)
        assert list(paused) == [(DAY, Sums())]

    def test_as_long_as_it_recorded(self) -> None:
        """Where nobody has measured it."""
        assert take(START, START + 9, None, [(START, START + 2), (START + 5, None)]).recorded_ms == 6
        assert take(START, START + 9, None, None).recorded_ms == 9
        assert take(START, START - 9, None, None) == Take(START, START, 0)


class TestRanges:
    def test_days_of_a_range(self) -> None:
        assert list(days_of(START + 5, START + DAY_MS)) == [DAY]
        assert list(days_of(START + 5, START + DAY_MS + 1)) == [DAY, DAY + 1]
        assert list(days_of(START, START)) == [DAY]

    def test_a_leap_day_is_a_day(self) -> None:
        def noon(month: int, day: int) -> int:
            return int(datetime(2028, month, day, 12, tzinfo=UTC).timestamp()) * 1000

        assert len(days_of(noon(2, 28), noon(3, 1))) == 3
        assert day_of(noon(3, 1)) - day_of(noon(2, 29)) == 1

    @given(TIMES, TIMES)
    def test_a_cut_has_all_of_the_range(self, a: int, b: int) -> None:
        low, high = min(a, b), max(a, b)
        parts = cut(low, high)
        assert sum(end - start for start, end in parts.rests) + len(parts.days) * DAY_MS == high - low
        assert all(start < end and day_of(start) == day_of(end - 1) for start, end in parts.rests)
        assert all(low <= day * DAY_MS and (day + 1) * DAY_MS <= high for day in parts.days)

    def test_cuts(self) -> None:
        assert cut(START, START + 2 * DAY_MS) == Cut(range(DAY, DAY + 2), ())
        assert cut(START + 1, START + 2) == Cut(range(0), ((START + 1, START + 2),))
        assert cut(START + 1, START + DAY_MS + 2).rests == (
            (START + 1, START + DAY_MS),
            (START + DAY_MS, START + DAY_MS + 2),
        )
        assert cut(START, START).rests == ()
