"""Viewing sessions: what players' reports make of them, by events and by requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.experience import METRICS, TOTALS, Experience
from headwater.analytics.sketch import ERROR
from headwater.analytics.viewing import GRACE_MS, LEAST_STALL_MS, Facts, Viewing, bitrate, buffer_ms
from headwater.errors import ProtocolError
from headwater.protocols.cmcd import Report, parse

START_MS = 1_700_000_000_000


def told(*reports: str, took_s: float = 60.0) -> Facts:
    """The facts after these events, which come in one batch at the end; `ts` counts from the start."""
    viewing = Viewing(0.0)
    for number, text in enumerate(reports):
        report = parse(text.encode())
        report["ts"] = START_MS + int(str(report.get("ts", 0)))
        report.setdefault("sn", number)
        viewing.event(report, took_s)
    return viewing.facts()


def test_a_viewing_with_one_stall() -> None:
    facts = told(
        "e=ps,sta=s,ts=0",
        "e=ps,sta=p,ts=800,br=(3000;v 128;a)",
        "e=t,sta=p,ts=10800,ltc=2000",
        "e=ps,sta=r,ts=12800",
        "e=ps,sta=p,ts=17000,ltc=4000",
        "e=ps,sta=q,ts=20000",
    )
    assert facts == Facts(800, 1, 4200, 15_000, 3000.0, 3000.0)
    assert facts.rebuffering == pytest.approx(4200 / 19_200)


def test_a_stall_that_lasts_counts_as_long_as_it_has_lasted() -> None:
    facts = told("e=ps,sta=p,ts=0", "e=ps,sta=r,ts=1000", "e=t,sta=r,ts=6000")
    assert (facts.stalls, facts.stalled_ms, facts.played_ms) == (1, 5000, 1000)


def test_a_blink_is_no_stall() -> None:
    facts = told("e=ps,sta=p,ts=0", "e=ps,sta=r,ts=1000", f"e=ps,sta=p,ts={1000 + LEAST_STALL_MS - 1}")
    assert (facts.stalls, facts.stalled_ms, facts.played_ms) == (0, 0, 1000 + LEAST_STALL_MS - 1)


def test_pause_seek_and_end_are_neither_played_nor_stalled() -> None:
    facts = told(*(f"e=ps,sta={state},ts={at}" for at, state in enumerate("pakedf")), "e=t,sta=a,ts=50000")
    assert (facts.stalls, facts.stalled_ms, facts.played_ms) == (0, 0, 1)


def test_waiting_at_the_start_is_start_up_and_no_stall() -> None:
    facts = told("e=ps,sta=d,ts=0", "e=ps,sta=s,ts=5000", "e=ps,sta=r,ts=5200", "e=ps,sta=p,ts=9000")
    assert (facts.startup_ms, facts.stalls, facts.stalled_ms) == (4000, 0, 0)


def test_start_up_does_not_count_the_time_until_the_viewer_presses_play() -> None:
    assert told("e=ps,sta=s", "e=ps,sta=a,ts=100", "e=ps,sta=s,ts=9000", "e=ps,sta=p,ts=9500").startup_ms == 500


def test_a_player_that_says_no_states_plays_from_its_media_start_delay_on() -> None:
    facts = told("e=t,ts=0", "e=t,msd=891,ts=1000,br=(436)", "e=t,ts=6000", "e=t,bsd=(2000;v 1500;a),ts=11000")
    assert facts == Facts(891, 1, 2000, 8000, 436.0)
    assert told("e=t,msd=1", "e=t,bsd=(90000),ts=5000").stalled_ms == 5000
    assert told("e=t,msd=1,sta=p", "e=t,bsd=(2000),ts=5000").stalled_ms == 0  # the states say it all


def test_requests_of_version_2_say_how_long_the_stall_was() -> None:
    viewing = Viewing(0.0)
    asked(viewing, 0.0, "ot=v")
    asked(viewing, 10.0, "bsd=(3000),ot=v", starved_ms=4000)
    assert (viewing.facts().stalled_ms, viewing.facts().played_ms) == (3000, 7000)


def test_what_the_player_measured_comes_first() -> None:
    assert told("e=ps,sta=s", "e=ps,sta=p,ts=800,msd=650").startup_ms == 650
    assert told("e=ps,sta=p,msd=999999999").startup_ms is None


def test_a_report_that_comes_again_or_late_counts_once() -> None:
    play, later = "e=ps,sta=p,ts=0,sn=0", "e=ps,sta=r,ts=5000,sn=1"
    once = told(play, later, "e=t,sta=r,ts=7000,sn=2")
    assert told(play, later, later, play, "e=t,sta=r,ts=7000,sn=2") == once
    assert once.stalled_ms == 2000


def test_a_clock_that_is_set_back_loses_no_more_than_a_moment() -> None:
    facts = told("e=ps,sta=p,ts=3600000", "e=t,sta=p,ts=3605000", "e=t,sta=p,ts=1000", "e=t,sta=p,ts=5000")
    assert facts.played_ms == 9000


def test_no_viewing_lasts_longer_than_since_it_began() -> None:
    facts = told("e=ps,sta=p,ts=0", "e=t,sta=p,ts=900000000", took_s=10)
    assert facts.played_ms == 10_000 + GRACE_MS


def asked(
    viewing: Viewing, at_s: float, text: str, *, latency_ms: int | None = None, starved_ms: int | None = None
) -> None:
    viewing.request(parse(text.encode()), at_s, latency_ms=latency_ms, starved_ms=starved_ms)


def test_requests_tell_start_up_stalls_bitrate_and_latency() -> None:
    viewing = Viewing(10.0)
    asked(viewing, 10.2, "br=3000,ot=v,su")
    asked(viewing, 11.0, "br=3000,ot=v", latency_ms=2000)
    asked(viewing, 13.0, "br=3000,ot=v", latency_ms=2400)
    asked(viewing, 18.0, "br=3000,bs,ot=v,su", starved_ms=4000)
    asked(viewing, 20.0, "br=1000,ot=v", latency_ms=2200)
    assert viewing.facts() == Facts(1000, 1, 4000, 5000, 3000.0, 2200.0)


def test_requests_far_apart_are_a_pause() -> None:
    viewing = Viewing(0.0)
    for at_s in (0, 2, 100, 102):
        asked(viewing, at_s, "br=3000,ot=v")
    assert viewing.facts().played_ms == 4000
    assert viewing.facts().startup_ms is None  # nobody said `su`


def test_once_there_are_events_requests_do_not_count() -> None:
    viewing = Viewing(0.0)
    asked(viewing, 0, "br=3000,ot=v,su")
    asked(viewing, 3, "br=3000,ot=v")
    viewing.event(parse(b"e=ps,sta=s,ts=100,sn=0"), 4.0)
    assert viewing.by_events and viewing.facts() == Facts()


def test_which_bitrate_and_which_buffer() -> None:
    assert bitrate(parse(b"br=(128;a 2500;v 5000;v)")) == 5000
    assert bitrate(parse(b"br=128,ot=a")) is None
    assert bitrate(parse(b"br=(128;a)")) is None
    assert bitrate(parse(b"br=4000,pb=(2000)")) == 2000
    assert bitrate(parse(b"br=0")) is None
    assert buffer_ms(parse(b"bl=(4000;v 2000;a)")) == 2000
    assert buffer_ms(parse(b"bs")) is None


REPORTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "sta": st.sampled_from([*"spkrawefqd", "x"]),
            "ts": st.integers(-(10**14), 10**14) | st.integers(0, 100_000),
            "sn": st.integers(0, 5),
            "msd": st.integers(-5, 10**9),
            "ltc": st.integers(-(10**9), 10**9),
            "su": st.booleans(),
            "br": st.text("(0123456789;va) ", max_size=12).map(lambda text: parse(f"br={text}".encode()).get("br", 0)),
        },
    ),
    max_size=12,
)


@given(REPORTS, st.booleans())
def test_whatever_is_reported_adds_up_and_can_be_taken_back(reports: list[Report], by_events: bool) -> None:
    whole, viewing, before = Experience(), Viewing(0.0), None
    for number, report in enumerate(reports):
        if by_events:
            viewing.event(report, number * 5.0)
        else:
            viewing.request(report, number * 5.0, latency_ms=100, starved_ms=700 if number % 3 else None)
        facts = viewing.facts()
        assert facts.stalled_ms >= 0 and facts.played_ms >= 0 and facts.stalls >= 0
        assert facts.played_ms + facts.stalled_ms <= number * 5000 + GRACE_MS
        whole.put(before, facts)
        before = facts
    alone = Experience()
    if before is not None:
        alone.put(None, before)
    assert whole.totals == alone.totals
    assert whole.packed().split("],[")[2:] == alone.packed().split("],[")[2:]


def test_wholes_are_merged_and_stored() -> None:
    whole, other = Experience(), Experience()
    for startup in range(1, 101):
        facts = Facts(startup * 10, startup % 4, 100 * (startup % 4), 9_700, 3000.0)
        (whole if startup % 2 else other).put(None, facts)
    whole.merge(Experience.unpacked(other.packed()))
    assert whole.totals == dict(zip(TOTALS, (100, 100, 75, 150, 15_000, 970_000), strict=True))
    assert whole.mean("startup_ms") == pytest.approx(505)
    assert whole.quantile("startup_ms", 0.95) == pytest.approx(950, rel=ERROR)
    assert whole.rebuffering == pytest.approx(15 / 985)
    assert whole.quantile("rebuffering_ppm", 0.25) == 0
    assert whole.mean("latency_ms") is None and whole.quantile("latency_ms", 0.5) is None
    assert len(METRICS) == 5


@pytest.mark.parametrize("text", ["", "{}", "[[1],[1],[1]]", "[[0,0,0,0,0,0],[0,0,0,0,0],[[1],[],[],[],[]]]"])
def test_what_was_not_stored_so_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Experience.unpacked(text)
