"""Names, initials, the slate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.meetings.compositor import fonts, labels


def test_initials_are_of_the_first_and_the_last_word() -> None:
    assert labels.initials("Ada Lovelace") == "AL"
    assert labels.initials("  juan de la cruz ") == "JC"
    assert labels.initials("x") == "X"
    assert labels.initials("(Ops) Дмитрий Менделеев") == "ДМ"
    assert labels.initials("") == labels.initials("!!!") == "?"


def test_a_name_is_one_line_without_signs_that_turn_or_break_it() -> None:
    assert labels.clean("a\n\tb\x00c\u202ed\u200f") == "a bcd"
    assert len(labels.clean("n" * 1000)) == labels.MAX_TEXT


@given(st.text(max_size=200), st.integers(2, 600), st.integers(labels.MIN_FONT, 60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_name_fits(name: str, width: int, size: int, muted: bool) -> None:
    made = labels.label(name, width, size, muted)
    if made is not None:
        assert made.size[0] <= width
        assert made.size[0] % 2 == made.size[1] % 2 == 0
    labels.initials(name)


def test_a_long_name_ends_with_an_ellipsis() -> None:
    font = fonts.font_for("abc", 20)
    text = labels.shortened("A name that is longer than its tile", font, 120)
    assert text.endswith("…")
    assert font.getlength(text) <= 120
    assert labels.shortened("short", font, 120) == "short"
    assert labels.shortened("anything", font, 3) == ""


@pytest.mark.parametrize(("canvas_height", "tile_height"), [(360, 116), (720, 352), (1080, 1080), (1080, 200)])
def test_names_are_large_enough_to_read(canvas_height: int, tile_height: int) -> None:
    """12 pixels and more on 360 lines are 36 on a phone's 1080."""
    size = labels.font_size(tile_height, canvas_height)
    assert labels.MIN_FONT <= size <= canvas_height / 28


def test_a_label_has_letters_that_stand_out_from_its_pill() -> None:
    made = labels.label("Ada Lovelace", 300, 16, False)
    assert made is not None
    luma = made.colour[0].astype(float) / np.maximum(256 - made.rest[0], 1)
    assert luma.max() > 200
    assert np.median(luma) < 40


def test_a_font_is_chosen_by_the_letters_of_the_name() -> None:
    files = fonts.available()
    if not any("DejaVuSans" in path for path in files):
        pytest.skip("DejaVu Sans is not installed: names in other scripts are boxes")
    for name in ("Дмитрий", "Ελένη", "שרה"):
        font = fonts.font_for(name, 20)
        shapes = {bytes(font.getmask(letter)) for letter in name}
        assert len(shapes) > len(set(name)) / 2, "boxes are all of one shape"


def test_without_fonts_pillows_own_is_used() -> None:
    assert fonts.font_for("Ada", 20, files=()).getlength("Ada") > 10
    assert fonts.font_for("Ada", 20, files=("/dev/null",)).getlength("Ada") > 10


def test_a_disc_keeps_its_colour() -> None:
    one, again = labels.disc("id", "", 96), labels.disc("id", "", 48)
    assert one.colour[1][24, 24] == again.colour[1][12, 12]
    assert one.size == (96, 96)
    assert one.rest[0][0, 0] == 256, "its corners are open"


def test_a_slate_shows_the_title_within_the_canvas() -> None:
    for width, height in ((320, 180), (1920, 1080), (320, 1080), (1920, 180)):
        lines = labels.slate("A title that is too long for many a canvas" * 2, width, height)
        for line in lines:
            assert line.x % 2 == line.y % 2 == 0
            assert line.x >= 0
            assert line.x + line.planes[0].shape[1] <= width
            assert line.y + line.planes[0].shape[0] <= height
        assert lines[0].planes[0].max() > 200
