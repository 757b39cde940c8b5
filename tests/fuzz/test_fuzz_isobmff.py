"""Fuzz of the box reader and the codec parsers.

Invariant: bytes of any kind are read, or raise a PublisherError; nothing else escapes, nothing runs away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError, PublisherError
from headwater.media import aac, av1, h264, hevc, mp3, opus, vp9
from headwater.protocols.isobmff.boxes import box
from headwater.protocols.isobmff.fragment import SYNC_SAMPLE, VIDEO_ROW, build_fragment
from headwater.protocols.isobmff.reader import find_box, first_sync_sample, read_fragments
from tests.unit.media.test_video_codecs import X264_360P30, TestVp9, hevc_record

FRAGMENT = build_fragment(1, 1, 2, 9, VIDEO_ROW, [10, 4, SYNC_SAMPLE, 0] * 3, [b"abcd"] * 3)
PARSERS: list[Callable[[bytes], object]] = [
    h264.parse_avcc, hevc.parse_hvcc, av1.parse_av1c, vp9.parse_vpcc, aac.parse_asc, opus.parse_opus_head,
    mp3.parse_mp3_header, h264.parse_sps, hevc.parse_sps, av1.sequence_header, vp9.key_frame_size, opus.packet_samples,
]  # fmt: skip
SEEDS = [X264_360P30, hevc_record(1920, 1080), TestVp9.RECORD, X264_360P30[8:34], b"\x81\x00\x0c\x00\x0a\x0b\0\0\0\x0c"]

KINDS = st.sampled_from([b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat", b"moov"])
TREES = st.recursive(
    st.builds(box, KINDS, st.binary(max_size=40)),
    lambda inner: st.builds(lambda kind, children: box(kind, *children), KINDS, st.lists(inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with some bytes changed, cut, doubled or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["set", "cut", "insert", "double"]))
        if kind == "set" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 20))]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=8))
        else:
            data += data[at : at + 30]
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=200), mutated(SEEDS)))
def test_codec_parsers(data: bytes) -> None:
    for parse in PARSERS:
        with contextlib.suppress(PublisherError):
            parse(data)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(TREES, max_size=5).map(b"".join), mutated([FRAGMENT]), st.binary(max_size=100)))
def test_box_reader(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for fragment in read_fragments(data):
            assert all(sample.offset + sample.size <= len(data) for sample in fragment.samples)
    with contextlib.suppress(ProtocolError):
        first_sync_sample(data)
    with contextlib.suppress(ProtocolError):
        find_box(data, "moof/traf/trun")
