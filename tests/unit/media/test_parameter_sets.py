from __future__ import annotations

import pytest

from headwater.errors import ProtocolError
from headwater.media.parameter_sets import parameter_sets
from headwater.media.track import AudioConfig, Codec, VideoConfig

AVCC = bytes.fromhex("0164000dffe1" + "0004 67640001" + "01" + "0003 68ebe3" + "fdf8f800")
HVCC = bytes(22) + bytes.fromhex("02" + "a00001" + "0002 4001" + "a10002" + "0001 42" + "0003 420101")


def video(codec: Codec, record: bytes) -> VideoConfig:
    return VideoConfig(codec, record, 16, 16, "")


def test_h264() -> None:
    """SPS and PPS; what a High profile record has behind them is no parameter set."""
    assert parameter_sets(video(Codec.H264, AVCC)) == bytes.fromhex("00000004 67640001 00000003 68ebe3")


def test_hevc() -> None:
    expected = bytes.fromhex("00000002 4001 00000001 42 00000003 420101")
    assert parameter_sets(video(Codec.HEVC, HVCC)) == expected


def test_others() -> None:
    assert parameter_sets(video(Codec.AV1, b"\x81")) == b""
    assert parameter_sets(AudioConfig(Codec.AAC, b"\x11\x90", 48000, 2, 1024, "mp4a.40.2")) == b""


@pytest.mark.parametrize(("codec", "record", "whole"), [(Codec.H264, AVCC, 18), (Codec.HEVC, HVCC, len(HVCC))])
def test_any_cut(codec: Codec, record: bytes, whole: int) -> None:
    """A record that ends early is the publisher's error wherever it ends."""
    for size in range(whole):
        with pytest.raises(ProtocolError):
            parameter_sets(video(codec, record[:size]))
