"""Which pictures are taken, and how the index names them."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipeline.recorder.sprite import COLUMNS, TILES_LIMIT, Sheet, clock, tile_times, webvtt


@given(st.floats(0, 100_000))
def test_pictures_are_spread_over_the_whole(seconds: float) -> None:
    times = tile_times(seconds)
    assert 1 <= len(times) <= TILES_LIMIT
    assert times[0] == 0 and times == sorted(times)
    assert times[-1] < max(seconds, 0.001)


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00:00.000"), (62.5, "00:01:02.500"), (36_000, "10:00:00.000")])
def test_times_as_webvtt_has_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(st.floats(0.1, 50_000))
def test_the_index_covers_it_without_a_gap(seconds: float) -> None:
    """Every cue begins where the one before ends; every picture lies within the sheet, none on another."""
    tiles = len(tile_times(seconds))
    text = webvtt(Sheet(tiles, 160, 90, seconds), "sprite.jpg")
    assert text.startswith("WEBVTT\n\n")
    cues = re.findall(r"(\S+) --> (\S+)\nsprite\.jpg#xywh=(\d+),(\d+),160,90\n", text)
    assert len(cues) == tiles and cues[0][0] == "00:00:00.000"
    assert all(after[0] == before[1] for before, after in itertools.pairwise(cues))
    places = {(int(x), int(y)) for _, _, x, y in cues}
    assert len(places) == tiles and max(x for x, _ in places) <= 160 * (COLUMNS - 1)
