"""Sessions over days: nothing is lost, nothing is counted twice, wherever time is cut."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.days import DAY_MS, Cut, Spell, Sums, cut, day_of, days_of, split, spread

START = 1_700_006_400_000
DAY = START // DAY_MS
TIMES = st.integers(START - 1, START + 6 * DAY_MS) | st.integers(0, 6).map(lambda day: START + day * DAY_MS)
LENGTHS = st.integers(0, 3 * DAY_MS) | st.sampled_from([0, 1, DAY_MS, 2 * DAY_MS])
SPELLS = st.builds(
    lambda start, length, ingest, viewer, recorded: Spell(start, start + length, ingest, viewer, recorded),
    TIMES,
    LENGTHS,
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 10**15),
    st.booleans(),
)


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
        recorded_ms = spell.ingest_ms if spell.recorded else 0
        assert added(parts) == Sums(
            1, spell.end_ms - spell.start_ms, spell.ingest_ms, spell.viewer_ms, int(spell.recorded), recorded_ms
        )
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
        spell = Spell(START + DAY_MS - hour, START + DAY_MS + 3 * hour, 1000, 41, True)
        assert spread(spell) == [
            (DAY, Sums(1, hour, 250, 10, 1, 250)),
            (DAY + 1, Sums(0, 3 * hour, 750, 31, 0, 750)),
        ]

    def test_until_midnight(self) -> None:
        """A session that ends as a day begins has nothing of that day."""
        assert [day for day, _ in spread(Spell(START, START + DAY_MS, 1, 1, False))] == [DAY]

    def test_over_at_once(self) -> None:
        spell = Spell(START, START, 7, 8, False)
        assert list(split(spell, START, START + 1)) == [(DAY, Sums(1, 0, 7, 8))]
        assert list(split(spell, START - 1, START)) == []
        assert list(split(spell, START + 1, START + 2)) == []


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
