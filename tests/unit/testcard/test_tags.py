"""FLV tags out of what a muxer writes: every split of the bytes gives the same tags."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.testcard.tags import AUDIO, SCRIPT, VIDEO, Tag, TagSink

HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"

tags = st.builds(Tag, st.sampled_from([AUDIO, VIDEO, SCRIPT]), st.integers(0, 2**32 - 1), st.binary(max_size=40))


def written(many: list[Tag]) -> bytes:
    out = HEADER
    for tag in many:
        time = tag.timestamp_ms
        head = bytes([tag.type_id]) + len(tag.body).to_bytes(3, "big")
        head += (time & 0xFFFFFF).to_bytes(3, "big") + bytes([time >> 24]) + bytes(3)
        out += head + tag.body + (11 + len(tag.body)).to_bytes(4, "big")
    return out


@given(st.lists(tags, max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_any_split_gives_the_same_tags(many: list[Tag], sizes: list[int]) -> None:
    data, sink, found, position, turn = written(many), TagSink(), [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        assert sink.write(data[position : position + size]) == len(data[position : position + size])
        position, turn = position + size, turn + 1
        found += sink.take()
    assert found == many


def test_configurations_are_told_from_media() -> None:
    assert Tag(VIDEO, 0, b"\x17\x00\0\0\0").setup == (VIDEO, 0)
    assert Tag(VIDEO, 0, b"\x17\x01\0\0\0").setup is None
    assert Tag(VIDEO, 0, b"\x90hvc1").setup == (VIDEO, 0)
    assert Tag(VIDEO, 0, b"\xd4hvc1").setup == (VIDEO, 4)
    assert Tag(AUDIO, 0, b"\xaf\x00\x11\x90").setup == (AUDIO, 0)
    assert Tag(AUDIO, 0, b"\xaf\x01\x21").setup is None
    assert Tag(AUDIO, 0, b"\x90Opus").setup == (AUDIO, 0)
    assert Tag(AUDIO, 0, b"\x2f\xff").setup is None, "MP3 has none"
    assert Tag(AUDIO, 0, b"").setup is None


def test_sync_samples_are_key_frames_and_no_configuration() -> None:
    assert Tag(VIDEO, 0, b"\x17\x01\0\0\0").is_sync
    assert Tag(VIDEO, 0, b"\x91hvc1").is_sync
    assert not Tag(VIDEO, 0, b"\x27\x01\0\0\0").is_sync
    assert not Tag(VIDEO, 0, b"\x17\x00\0\0\0").is_sync
    assert not Tag(AUDIO, 0, b"\x17\x01").is_sync
