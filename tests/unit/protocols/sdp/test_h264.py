"""H.264 profiles as offers name them: RFC 6184, table 5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.sdp.h264 import profile, receiving_rank, sending_rank


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("42e01f", "constrained baseline"),
        ("42C01E", "constrained baseline"),
        ("4d801f", "constrained baseline"),
        ("58c01f", "constrained baseline"),
        ("42001f", "baseline"),
        ("58801f", "baseline"),
        ("4d001f", "main"),
        ("4d401f", "main"),
        ("58001f", "extended"),
        ("640c1f", "constrained high"),
        ("640028", "high"),
        ("f4001f", "other"),
        ("zz", "other"),
        ("", "other"),
    ],
)
def test_profiles(word: str, name: str) -> None:
    assert profile({"profile-level-id": word}) == name


def test_what_is_not_said() -> None:
    """RFC 6184, 8.1: Baseline, and single NAL units."""
    assert profile({}) == "baseline"
    assert receiving_rank({}) is not None
    assert sending_rank({"packetization-mode": "1"}, {}) is None


@given(st.text(max_size=8))
def test_any_word_has_a_profile(word: str) -> None:
    assert receiving_rank({"profile-level-id": word}) is not None


def test_interleaved_is_not_received() -> None:
    assert receiving_rank({"packetization-mode": "2", "profile-level-id": "42e01f"}) is None


def test_what_every_viewer_decodes_comes_first() -> None:
    words = ["640028", "42001f", "42e01f", "4d001f"]
    ranked = sorted(words, key=lambda word: receiving_rank({"packetization-mode": "1", "profile-level-id": word}) or 0)
    assert ranked == ["42e01f", "42001f", "4d001f", "640028"]
