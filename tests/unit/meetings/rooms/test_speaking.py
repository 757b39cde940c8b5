"""Who is marked as speaking: neither coughs nor pauses between words change it."""

from __future__ import annotations

from headwater.meetings.rooms.speaking import BEGIN_S, END_S, LOUDER_S, Speaking


def talk(speaking: Speaking, levels: dict[str, int], begin: float, seconds: float) -> str | None:
    """Packets of 20 ms; returns who is marked at the end."""
    marked = None
    for step in range(round(seconds * 50)):
        now = begin + step / 50
        for name, level in levels.items():
            speaking.heard(name, level, now)
        marked = speaking.speaker(now)
    return marked


def test_a_voice_is_marked_after_a_moment_and_a_cough_is_not() -> None:
    speaking = Speaking()
    assert talk(speaking, {"anna": -30}, 0, BEGIN_S / 2) is None
    assert talk(speaking, {"anna": -90}, BEGIN_S / 2, 1.0) is None
    assert talk(speaking, {"anna": -30}, 2, 1.0) == "anna"


def test_a_pause_between_words_does_not_end_it_and_silence_does() -> None:
    speaking = Speaking()
    talk(speaking, {"anna": -30}, 0, 1.0)
    assert talk(speaking, {"anna": -90}, 1.0, END_S * 0.7) == "anna"
    assert talk(speaking, {"anna": -90}, 1.0 + END_S * 0.7, END_S) is None


def test_levels_between_the_thresholds_change_nothing() -> None:
    speaking = Speaking()
    assert talk(speaking, {"anna": -48}, 0, 2.0) is None
    talk(speaking, {"anna": -30}, 2, 1.0)
    assert talk(speaking, {"anna": -48}, 3, 5.0) == "anna"


def test_who_sends_nothing_any_more_stops_speaking() -> None:
    speaking = Speaking()
    talk(speaking, {"anna": -30}, 0, 1.0)
    assert speaking.speaker(1.0 + 2 * END_S) is None


def test_a_voice_as_loud_takes_nothing_and_a_louder_one_after_a_while() -> None:
    speaking = Speaking()
    talk(speaking, {"anna": -30}, 0, 1.0)
    assert talk(speaking, {"anna": -30, "bert": -28}, 1.0, 3.0) == "anna"
    assert talk(speaking, {"anna": -30, "bert": -15}, 4.0, LOUDER_S / 2) == "anna"
    assert talk(speaking, {"anna": -30, "bert": -15}, 4.0 + LOUDER_S / 2, 1.0) == "bert"


def test_who_is_muted_or_left_is_forgotten() -> None:
    speaking = Speaking()
    talk(speaking, {"anna": -30, "bert": -35}, 0, 1.0)
    speaking.gone("anna")
    assert speaking.speaker(1.0) == "bert"
