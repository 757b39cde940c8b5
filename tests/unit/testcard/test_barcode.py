"""The clock in the picture: what is shown reads back, and what is damaged is not believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.testcard import barcode

times = st.integers(0, barcode.MAX_MS)


def picture(ms: int, width: int, height: int, *, black: int = 16, white: int = 235) -> np.ndarray:
    luma = np.full((height, width), 90, np.uint8)
    top, bottom = barcode.rows(height)
    edges = barcode.block_edges(width)
    for bit, left, right in zip(barcode.encode(ms), edges, edges[1:], strict=False):
        luma[top:bottom, left:right] = white if bit else black
    return luma


@given(times, st.integers(0, 100), st.integers(0, 100))
def test_what_is_shown_reads_back_at_any_contrast_that_counts(ms: int, black: int, extra: int) -> None:
    white = black + barcode.MIN_CONTRAST + extra
    assert barcode.decode([white if bit else black for bit in barcode.encode(ms)]) == ms


@given(times, st.integers(0, barcode.BLOCKS - 1))
def test_a_single_wrong_block_is_never_believed(ms: int, wrong: int) -> None:
    bits = barcode.encode(ms)
    bits[wrong] = not bits[wrong]
    assert barcode.decode([235.0 if bit else 16.0 for bit in bits]) is None


@given(st.lists(st.floats(0, 255), max_size=80))
def test_noise_gives_a_time_or_none_and_no_error(luma: list[float]) -> None:
    assert barcode.decode(luma) is None or len(luma) == barcode.BLOCKS


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (640, 360), (426, 240), (360, 640), (1366, 768)])
def test_it_reads_at_the_sizes_that_ladders_have(size: tuple[int, int]) -> None:
    assert barcode.read(picture(1_790_000_123_456, *size)) == 1_790_000_123_456


def test_it_survives_scaling_by_any_factor() -> None:
    luma = picture(1_790_000_123_456, 1280, 720)
    for width, height in [(854, 480), (640, 360), (320, 180)]:
        y = np.arange(height) * 720 // height
        x = np.arange(width) * 1280 // width
        assert barcode.read(luma[y][:, x]) == 1_790_000_123_456


def test_a_picture_without_the_row_has_no_time() -> None:
    assert barcode.read(np.full((720, 1280), 16, np.uint8)) is None
    assert barcode.read(np.zeros((8, 8), np.uint8)) is None


def test_a_row_faded_into_grey_has_no_time() -> None:
    assert barcode.read(picture(1, 1280, 720, black=100, white=110)) is None


@pytest.mark.parametrize("ms", [-1, barcode.MAX_MS + 1])
def test_a_time_that_does_not_fit_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        barcode.encode(ms)


def test_the_layout_is_the_documented_one() -> None:
    assert barcode.BLOCKS == 64
    assert barcode.block_edges(1280)[:2] == [128, 144]
    assert barcode.block_edges(1280)[-1] == 1152
    assert barcode.rows(720) == (640, 688)
    bits = "".join("01"[bit] for bit in barcode.encode(0x0102030405FF))
    assert bits[:6] == "101011"
    assert bits[6:54] == f"{0x0102030405FF:048b}"
    assert bits[62:] == "01"
