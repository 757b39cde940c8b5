"""Tables for terminals: an id is never cut, whatever the width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.cli.table import table

ID = "d1d56de1-b14b-43bf-b2a5-46bb0204fd7e"
NAME = "a-rather-long-name_of-a-livestream-for-the-summer"
URL = "http://127.0.0.1:41757/0e4e09106e3abdcfd17f59afb8997091/manifest/video.m3u8"
ROW = {"id": ID, "status": "INVOKED", "name": NAME, "created": "2026-11-24 11:57", "plays at": URL}


def test_at_80_columns_the_name_folds_and_the_url_is_left_out() -> None:
    head, *lines = table([ROW], 80)
    assert head.split() == ["id", "status", "name", "created"]
    assert lines[0].startswith(f"{ID}  INVOKED  ")
    assert all(len(line) <= 80 for line in lines)
    assert "".join(line[47:63].strip() for line in lines) == NAME


def test_a_wide_terminal_has_all_of_it_in_one_line() -> None:
    assert list(table([ROW], 200))[1:] == [f"{ID}  INVOKED  {NAME}  2026-11-24 11:57  {URL}"]


def test_a_pipe_has_no_width() -> None:
    assert list(table([ROW], None)) == list(table([ROW], 10_000))


@given(st.integers(1, 300), st.text("abc-_", max_size=80))
def test_ids_and_status_stay_whole_at_any_width(width: int, name: str) -> None:
    lines = list(table([{**ROW, "name": name}, {**ROW, "name": ""}], width))
    assert sum(line.startswith(f"{ID}  INVOKED") for line in lines) == 2
    if width >= 36 + 2 + 8 + 2 + 12:
        assert all(len(line) <= width for line in lines)
