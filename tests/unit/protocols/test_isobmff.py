"""Boxes: what is written reads back, and what strangers made of them is refused in our own words."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.media.aac import parse_asc
from headwater.media.cmaf import InitSegment
from headwater.media.h264 import parse_avcc
from headwater.media.mp3 import parse_mp3_header
from headwater.media.opus import parse_opus_head
from headwater.media.track import Track
from headwater.media.vp9 import parse_vpcc
from headwater.protocols.isobmff.boxes import box, full_box
from headwater.protocols.isobmff.fragment import (
    AUDIO_ROW,
    DEPENDENT_SAMPLE,
    SYNC_SAMPLE,
    VIDEO_ROW,
    build_fragment,
    payloads_of,
)
from headwater.protocols.isobmff.movie import MAX_SAMPLE_ENTRIES, description_index, init_segment, movie
from headwater.protocols.isobmff.reader import (
    find_box,
    first_sync_sample,
    iter_boxes,
    read_box_header,
    read_fragment,
    read_fragments,
)
from tests.unit.media.bit_writer import BitWriter
from tests.unit.media.test_audio_codecs import opus_head
from tests.unit.media.test_video_codecs import X264_360P30, avcc, h264_sps

VIDEO = Track(1, parse_avcc(X264_360P30))
AUDIO = Track(2, parse_asc(bytes.fromhex("1190")), language="de", name="Ton")

rows = st.lists(
    st.tuples(st.integers(1, 1 << 20), st.booleans(), st.integers(-(1 << 30), 1 << 30), st.binary(max_size=50)),
    min_size=1,
    max_size=40,
)


def content(data: bytes, path: str) -> bytes:
    found = find_box(data, path)
    assert found is not None, path
    return data[found.body : found.end]


def entries(data: bytes, track: int = 0) -> list[bytes]:
    """The sample entries of the nth track."""
    moov = find_box(data, "moov")
    assert moov is not None
    trak = [child for child in iter_boxes(data, moov.body, moov.end) if child.kind == b"trak"][track]
    stsd = find_box(data, "mdia/minf/stbl/stsd", trak.body, trak.end)
    assert stsd is not None
    found = [data[entry.start : entry.end] for entry in iter_boxes(data, stsd.body + 8, stsd.end)]
    assert struct.unpack_from(">I", data, stsd.body + 4) == (len(found),)
    return found


class TestFragments:
    @given(rows, st.integers(0, 1 << 50), st.integers(1, 64), st.integers(0, 1 << 31))
    def test_video_reads_back(
        self, samples: list[tuple[int, bool, int, bytes]], tfdt: int, index: int, sequence: int
    ) -> None:
        table = [
            number
            for duration, sync, offset, payload in samples
            for number in (duration, len(payload), SYNC_SAMPLE if sync else DEPENDENT_SAMPLE, offset)
        ]
        data = build_fragment(sequence, 7, index, tfdt, VIDEO_ROW, table, [sample[3] for sample in samples])
        fragment = read_fragment(data)
        assert (fragment.sequence, fragment.track_id, fragment.description_index) == (sequence, 7, index)
        assert (fragment.tfdt, fragment.size) == (tfdt, len(data))
        assert [
            (sample.duration, sample.sync, sample.composition_offset, data[sample.offset : sample.offset + sample.size])
            for sample in fragment.samples
        ] == samples
        assert fragment.duration == sum(sample[0] for sample in samples)
        sync = first_sync_sample(data)
        assert (sync is not None) == any(sample[1] for sample in samples)
        assert [found.kind for found in iter_boxes(data)] == [b"moof", b"mdat"]

    @given(st.lists(st.binary(max_size=50), min_size=1, max_size=40), st.integers(1, 3))
    def test_audio_reads_back(self, payloads: list[bytes], index: int) -> None:
        table = [number for payload in payloads for number in (1024, len(payload))]
        data = build_fragment(1, 2, index, 4096, AUDIO_ROW, table, payloads)
        samples = read_fragment(data).samples
        assert [data[sample.offset : sample.offset + sample.size] for sample in samples] == payloads
        assert all(sample.sync and sample.duration == 1024 for sample in samples)
        assert samples[-1].dts == 4096 + 1024 * (len(payloads) - 1)

    @given(st.data())
    def test_any_broken_byte(self, data: st.DataObject) -> None:
        """A changed byte or a cut fragment raises ProtocolError, or still reads."""
        good = build_fragment(
            1, 1, 2, 9, VIDEO_ROW, [10, 2, SYNC_SAMPLE, 0, 10, 1, DEPENDENT_SAMPLE, -5], [b"ab", b"c"]
        )
        at = data.draw(st.integers(0, len(good) - 1))
        changed = good[:at] + bytes((data.draw(st.integers(0, 255)),)) + good[at + 1 :]
        for broken in (changed, good[:at]):
            try:
                list(read_fragments(broken))
            except ProtocolError:
                pass

    def test_defaults_of_tfhd_count(self) -> None:
        """Other writers put duration, size and flags into tfhd, and the first sample's flags into trun."""
        tfhd = full_box(b"tfhd", 0, 0x38, struct.pack(">IIII", 5, 100, 3, 0x10000))
        trun = full_box(b"trun", 0, 0x5, struct.pack(">IiI", 2, 0, 0))
        moof_size = 8 + 16 + 8 + len(tfhd) + 16 + len(trun)
        trun = full_box(b"trun", 0, 0x5, struct.pack(">IiI", 2, moof_size + 8, 0))
        traf = box(b"traf", tfhd, full_box(b"tfdt", 0, 0, struct.pack(">I", 77)), trun)
        data = box(b"moof", full_box(b"mfhd", 0, 0, struct.pack(">I", 1)), traf) + box(b"mdat", b"abcdef")
        fragment = read_fragment(data)
        assert [(s.dts, s.duration, s.size, s.sync) for s in fragment.samples] == [
            (77, 100, 3, True),
            (177, 100, 3, False),
        ]

    def test_samples_outside_their_mdat_are_refused(self) -> None:
        good = build_fragment(1, 1, 1, 0, AUDIO_ROW, [1024, 3], [b"abc"])
        with pytest.raises(ProtocolError, match="outside their mdat"):
            read_fragment(good.replace(struct.pack(">II", 1024, 3), struct.pack(">II", 1024, 4)))

    def test_nothing_there(self) -> None:
        with pytest.raises(ProtocolError, match="no fragment"):
            read_fragment(box(b"free", b"x"))


class TestBoxes:
    def test_large_size(self) -> None:
        data = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"
        (found,) = iter_boxes(data)
        assert (found.body, found.end) == (16, 20)

    def test_header_without_enough_bytes(self) -> None:
        whole = box(b"free", b"abc")
        assert all(read_box_header(whole[:count]) is None for count in range(8))
        assert read_box_header(whole[:8]) is not None

    @pytest.mark.parametrize("data", [b"\0\0\0\x07free", b"\0\0\0\0free", b"\0\0\0\x10free", b"\0\0\0\x08freeabc"])
    def test_broken(self, data: bytes) -> None:
        with pytest.raises(ProtocolError):
            list(iter_boxes(data))

    def test_too_many(self) -> None:
        with pytest.raises(ProtocolError, match="more than 10000 boxes"):
            list(iter_boxes(box(b"free") * 10_001))


class TestInitSegments:
    def test_brands(self) -> None:
        """CMAF without edit lists: cmfc and cmf2 (ISO/IEC 23000-19, 7.2)."""
        assert content(init_segment(VIDEO, 90_000), "ftyp") == b"iso6\0\0\0\0iso6cmfccmf2"

    def test_video(self) -> None:
        data = init_segment(VIDEO, 90_000)
        (entry,) = entries(data)
        assert entry[4:8] == b"avc1"
        assert struct.unpack_from(">HH", entry, 32) == (640, 360)
        assert box(b"avcC", X264_360P30) in entry
        assert b"pasp" not in entry
        assert find_box(data, "moov/trak/edts") is None
        assert struct.unpack_from(">I", content(data, "moov/trak/mdia/mdhd"), 12) == (90_000,)
        assert struct.unpack(">IIIIII", content(data, "moov/mvex/trex")) == (0, 1, 1, 0, 0, 0)

    def test_colours_and_sample_shape(self) -> None:
        vui = BitWriter().u(1, 1).u(8, 14).u(1, 0).u(1, 1).u(3, 5).u(1, 1).u(1, 1).u(8, 9).u(8, 16).u(8, 9).u(2, 0)
        track = Track(1, parse_avcc(avcc(h264_sps(width_mbs=90, vui=vui))))
        (entry,) = entries(init_segment(track, 90_000))
        assert box(b"pasp", struct.pack(">II", 4, 3)) in entry
        assert box(b"colr", b"nclx" + struct.pack(">HHHB", 9, 16, 9, 0x80)) in entry
        assert struct.unpack_from(">HH", entry, 32) == (1440, 1080)
        assert content(init_segment(track, 90_000), "moov/trak/tkhd")[-8:] == struct.pack(">II", 1920 << 16, 1080 << 16)

    def test_audio(self) -> None:
        data = init_segment(AUDIO, 48_000)
        (entry,) = entries(data)
        assert entry[4:8] == b"mp4a"
        assert struct.unpack_from(">H", entry, 24) == (2,)
        assert struct.unpack_from(">I", entry, 32) == (48_000 << 16,)
        assert b"\x05\x80\x80\x80\x02\x11\x90" in entry
        assert content(data, "moov/trak/mdia/elng") == b"\0\0\0\0de\0"
        assert content(data, "moov/trak/mdia/hdlr").endswith(b"Ton\0")

    @pytest.mark.parametrize("language", ["deu", "zh-Hant", "und", "DEU", "de\u00e9"])
    def test_languages(self, language: str) -> None:
        data = init_segment(Track(2, AUDIO.config, language=language), 48_000)
        (packed,) = struct.unpack_from(">H", content(data, "moov/trak/mdia/mdhd"), 20)
        letters = "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0))
        assert letters == (language.lower() if language.lower() in ("deu", "und") else "und")

    def test_other_codecs(self) -> None:
        opus = Track(2, parse_opus_head(opus_head()))
        assert box(b"dOps", opus.config.record) in entries(init_segment(opus, 48_000))[0]
        vp9 = Track(1, parse_vpcc(bytes.fromhex("001f800202020000"), width=640, height=360))
        assert full_box(b"vpcC", 1, 0, vp9.config.record) in entries(init_segment(vp9, 90_000))[0]
        mp3 = Track(2, parse_mp3_header(bytes.fromhex("fff35064")))
        assert b"\x04\x80\x80\x80\x0d\x69\x15" in entries(init_segment(mp3, 22_050))[0]

    def test_later_versions_decode_what_names_them(self) -> None:
        """Fragments name the entry that the recording has for them; here it is the same at each place."""
        found = entries(init_segment(VIDEO, 90_000, 3))
        assert len(found) == 4 == description_index(3)
        assert len(set(found)) == 1
        assert description_index(1000) == MAX_SAMPLE_ENTRIES


class TestMovies:
    def test_tracks_and_versions(self) -> None:
        small = Track(1, parse_avcc(avcc(h264_sps(width_mbs=40, height_units=23, crop=None))))
        inits = [
            InitSegment(VIDEO, 0, 90_000, b""),
            InitSegment(AUDIO, 0, 48_000, b""),
            InitSegment(small, 1, 90_000, b""),
        ]
        data = movie(inits, duration_ms=12_345)
        first, second = entries(data, 0)
        assert struct.unpack_from(">HH", first, 32) == (640, 360)
        assert struct.unpack_from(">HH", second, 32) == (640, 368)
        assert [entry[4:8] for entry in entries(data, 1)] == [b"mp4a"]
        assert struct.unpack(">IQ", content(data, "moov/mvex/mehd")) == (1 << 24, 12_345)

    def test_versions_that_are_missing_are_held_by_the_next(self) -> None:
        data = movie([InitSegment(VIDEO, 2, 90_000, b"")])
        assert len(entries(data)) == 3


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=40), st.integers(1, 3))
def test_sound_comes_out_of_a_fragment_as_it_went_in(payloads: list[bytes], index: int) -> None:
    table = [number for payload in payloads for number in (1024, len(payload))]
    assert payloads_of(build_fragment(7, 2, index, 12345, AUDIO_ROW, table, payloads)) == payloads
